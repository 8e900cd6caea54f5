"""One session on this replica: its numbers and clock, its way into the log, the socket that it has at the moment.

It outlives its sockets: a client that comes back goes on where it was.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from functools import partial

from schemas.events import SessionTotals
from schemas.frames import FrameHeaders, Kind
from schemas.sessions import EndReason, SessionEnd, SessionStart
from schemas.topics import FRAMES
from schemas.wire import CLOSE_REPLACED, RecordingMessage, StartVideoSession
from services.ingest.backlog import Backlog
from services.ingest.protocol import MAX_SEQ, SEQ_BLOCK, Accepted, Limits, Protocol, StreamState
from services.ingest.publisher import Publisher, Taken
from services.ingest.sessions import Sessions, begin
from services.ingest.socket import Socket
from services.ingest.vigil import Vigil
from services.runtime.backoff import until_taken
from services.runtime.log import EventLog
from services.runtime.metrics import Metrics
from services.runtime.store import Document, StoreUnavailable

CLAIM_ATTEMPTS = 3


class Stream:
    def __init__(
        self,
        document: Document,
        log: EventLog,
        sessions: Sessions,
        metrics: Metrics,
        limits: Limits,
        now_ms: Callable[[], int],
        *,
        idle_ms: int,
        backlog: Backlog,
        vigil: Vigil,
        gone: Callable[["Stream"], Awaitable[None]],
    ) -> None:
        self.session_id: str = document["_id"]
        self.lecture_code: str = document["lecture_code"]
        self.connection: str | None = document["connection"]
        self.state = StreamState(document["seq_reserved"], limits.credit)
        self.known_from_the_start = document["state"] == "created"
        self.record: bool = document["record"]
        self.landmarks = False
        self.frames = 0
        self.acked_seq = -1  # what the client was told: the log has it and all before it
        self.last_frame_at_ms = self.active_at_ms = now_ms()
        self.socket: Socket | None = None
        self.protocol: Protocol | None = None
        self.claiming = False
        self.ending = False
        self.ending_by: str | None = None
        self.recording_id: str | None = None
        self.recording_active = False
        self.totals: asyncio.Future[SessionTotals] = asyncio.get_running_loop().create_future()
        self.publisher = Publisher(
            log,
            self.session_id,
            backlog,
            reserved=document["seq_reserved"],
            reserve=self._reserve,
            on_acked=self._acked,
            on_trouble=self._trouble,
        )
        self._sessions = sessions
        self._now_ms = now_ms
        self._idle_ms = idle_ms
        self._vigil = vigil
        self._gone = gone
        self._reserving = asyncio.Lock()
        self._confirmed_ms = 0
        self._confirming: asyncio.Task[None] | None = None
        self._frames_in = metrics.frames_in
        self._capture_log = metrics.stage_seconds.labels("capture_log")
        trace_id = hashlib.blake2b(self.session_id.encode(), digest_size=16).hexdigest()
        template = FrameHeaders(self.session_id, "frame", 0, 0, 0).encode()
        self._headers = {**template, "schema": FRAMES.schema, "traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}

    def take(self, socket: Socket, protocol: Protocol) -> None:
        """Give the stream to a new socket; the one it had is told and closed."""
        self.release("a newer connection took this session")
        self.socket, self.protocol = socket, protocol

    def release(self, reason: str) -> None:
        """Tell the socket, if there is one, that the session went elsewhere."""
        if self.socket is not None:
            self.socket.error("replaced", reason, fatal=True)
            self.socket.close(CLOSE_REPLACED, reason)
        self.socket = self.protocol = None

    async def claim(self, message: StartVideoSession) -> SessionStart | None:
        """Note in the store that this replica streams the session now; None when it has ended.

        Raises `sessions.Mismatch`, `StoreUnavailable`, and `Taken` when others claim it again and again."""
        connection = secrets.token_hex(8)
        self.claiming = True
        try:
            for _ in range(CLAIM_ATTEMPTS):
                before = await self._sessions.get(self.session_id)
                if before is None or before["state"] == "ended" or before.get("ending_by") is not None:
                    return None
                start = begin(before, message, self._now_ms())
                now_ms = self._now_ms()
                claimed = await self._sessions.claim(before, start, connection, now_ms)
                if claimed is None:
                    continue
                self._confirmed_ms = now_ms
                if before["connection"] != self.connection:
                    # Somebody else streamed meanwhile: what was used of the reserved numbers is not known here.
                    self.state.first_free_seq = before["seq_reserved"] + 1
                    self.known_from_the_start = False
                self.connection = connection
                self.state.reserved = self.publisher.reserved = claimed["seq_reserved"]
                return start
            raise Taken(self.session_id)
        finally:
            self.claiming = False

    async def begin(self, start: SessionStart) -> None:
        """Tell the log that the session starts, or goes on; returns once it knows."""
        self.record = start.record
        self.landmarks = start.landmarks
        self.active_at_ms = self._now_ms()
        await self.publisher.record(self._control_headers("start", self.state.next_seq), start.encode())
        self.acked_seq = self.publisher.acked_seq

    async def frame(self, frame: Accepted) -> None:
        """Into the log; waits while it has no room."""
        self.last_frame_at_ms = self.active_at_ms = frame.received_at_ms
        headers = self._headers.copy()
        headers["seq"] = str(frame.seq)
        headers["captured_at_ms"] = str(frame.captured_at_ms)
        headers["received_at_ms"] = str(frame.received_at_ms)
        await self.publisher.publish(frame.seq, frame.jpeg, headers)

    async def end(self, reason: EndReason, now_ms: int) -> None:
        """Tell the log that the session is over, behind its last frame; returns once it knows."""
        self.ending = True
        last_seq = self.state.last_seq if self.state.last_seq >= 0 else None
        end = SessionEnd(session_id=self.session_id, reason=reason, ended_at_ms=now_ms, last_seq=last_seq)
        await self.publisher.record(self._control_headers("end", last_seq or 0), end.encode())

    @property
    def listener(self) -> Socket | None:
        """The socket, once its client has started: results are for it."""
        return self.socket if self.protocol is not None and self.protocol.started else None

    def show_recording(self) -> None:
        if self.listener is not None:
            self.listener.control(RecordingMessage(enabled=self.record, active=self.recording_active))

    def _control_headers(self, kind: Kind, seq: int) -> dict[str, str]:
        now_ms = self._now_ms()
        return {**self._headers, **FrameHeaders(self.session_id, kind, min(seq, MAX_SEQ), now_ms, now_ms).encode()}

    async def confirm(self, now_ms: int) -> bool:
        """Note in the store that this replica streams the session; False when another one does, or it was ended."""
        connection, ending_by = self.connection, self.ending_by
        if connection is None:
            return True
        if await self._sessions.seen(self.session_id, connection, ending_by, now_ms):
            self._confirmed_ms = now_ms
            return True
        # Unless it was asked while this replica claimed it anew.
        return self.claiming or (self.connection, self.ending_by) != (connection, ending_by)

    def _acked(self, seq: int, frames: int) -> None:
        now_ms = self._now_ms()
        self.frames += frames
        self.active_at_ms = now_ms
        self._frames_in.inc(frames)
        self._capture_log.observe(max(0, now_ms - self.last_frame_at_ms) / 1000)
        if self._confirmed(now_ms):
            self._tell(seq)
        elif self._confirming is None:
            self._confirming = asyncio.create_task(self._confirm_and_tell(), name=f"confirm {self.session_id}")

    def _confirmed(self, now_ms: int) -> bool:
        """Nobody else can have taken up or ended the session: the store heard of it, and this process did not sleep.

        Else the log may have the frame behind another replica's frames, or behind the session's end, where its readers
        pass it over: it must not be acknowledged."""
        self._vigil.beat(now_ms)
        return self._confirmed_ms >= self._vigil.woke_at_ms and now_ms - self._confirmed_ms < self._idle_ms

    async def _confirm_and_tell(self) -> None:
        try:
            while not self._confirmed(now_ms := self._now_ms()):
                if not await until_taken(partial(self.confirm, now_ms), StoreUnavailable, self._unconfirmed):
                    await until_taken(partial(self._gone, self), StoreUnavailable, self._unconfirmed)
                    return
            self._tell(self.publisher.acked_seq)
        finally:
            self._confirming = None

    def _unconfirmed(self, error: Exception, number: int) -> None:
        if number == 1:
            self._trouble(f"the store is not available ({error}); frames are acknowledged once it is")

    def _tell(self, seq: int) -> None:
        self.acked_seq = seq
        if self.socket is not None:
            self.socket.ack(seq)

    def _trouble(self, text: str) -> None:
        if self.socket is not None:
            self.socket.error("unavailable", text)

    async def reserve_ahead(self) -> None:
        """Keep a block of numbers reserved beyond those in use, so that the store may be away for as long as it lasts.

        Not two: a client may send again what is that far below (`StreamState.oldest_resend`)."""
        wanted = min(MAX_SEQ, self.state.last_seq + SEQ_BLOCK * 3 // 2)
        if self.connection is None or self.publisher.reserved - self.state.last_seq >= SEQ_BLOCK:
            return
        async with self._reserving:
            if wanted > self.publisher.reserved and await self._reserved(wanted):
                self.publisher.reserved = wanted

    async def _reserve(self, seq: int) -> int:
        async with self._reserving:
            while seq > self.publisher.reserved:
                connection, wanted = self.connection, min(MAX_SEQ, seq + SEQ_BLOCK - 1)
                if await self._reserved(wanted):
                    return wanted
                if not self.claiming and self.connection == connection:
                    self.publisher.close()
                    await self._gone(self)
                    raise Taken(self.session_id)
            return self.publisher.reserved

    async def _reserved(self, seq: int) -> bool:
        if self.connection is None or not await self._sessions.reserve(self.session_id, self.connection, seq):
            return False
        self.state.reserved = seq
        return True
