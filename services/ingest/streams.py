"""All streams of this replica: who has which, and how they end."""

import asyncio
from collections.abc import Callable, Iterator

import structlog

from schemas.sessions import EndReason
from schemas.wire import CLOSE_ENDED, CLOSE_GOING_AWAY, CLOSE_NORMAL, ProcessingEndedAck
from services.ingest.backlog import Backlog
from services.ingest.endings import OWNER_LIMIT_S, Endings
from services.ingest.protocol import Limits, Protocol
from services.ingest.sessions import Sessions
from services.ingest.socket import Socket
from services.ingest.stream import Stream
from services.ingest.vigil import Vigil
from services.runtime.log import EventLog
from services.runtime.metrics import Metrics
from services.runtime.store import Document, Store
from services.runtime.store.collections import RECORDINGS

logger = structlog.get_logger(__name__)

# How long the end of a session waits for the analyzer's totals.
TOTALS_LIMIT_S = 10.0
DRAIN_LIMIT_S = 5.0


class Streams:
    """`changed(lecture_code)` is called when a session of that lecture starts or ends here."""

    def __init__(
        self,
        log: EventLog,
        store: Store,
        metrics: Metrics,
        limits: Limits,
        now_ms: Callable[[], int],
        changed: Callable[[str], None],
        *,
        idle_ms: int,
        totals_limit_s: float = TOTALS_LIMIT_S,
        owner_limit_s: float = OWNER_LIMIT_S,
    ) -> None:
        self._log = log
        self._store = store
        self.sessions = Sessions(store)
        self._metrics = metrics
        self._limits = limits
        self._now_ms = now_ms
        self.changed = changed
        self.vigil = Vigil(now_ms())
        self.backlog = Backlog(limits.backlog_bytes, limits.credit)
        self.endings = Endings(
            self.sessions,
            now_ms,
            own=self._own,
            teller=self._stream,
            done=self._ended,
            gone=self.let_go,
            owner_limit_s=owner_limit_s,
        )
        self._idle_ms = idle_ms
        self._totals_limit_s = totals_limit_s
        self._streams: dict[str, Stream] = {}
        self._farewells: set[asyncio.Task[None]] = set()
        self.stopping = False

    def __iter__(self) -> Iterator[Stream]:
        return iter(list(self._streams.values()))

    def get(self, session_id: str) -> Stream | None:
        return self._streams.get(session_id)

    def attach(self, document: Document, socket: Socket) -> tuple[Stream, Protocol]:
        """Give a session to this socket."""
        stream = self._streams.get(document["_id"])
        if stream is None:
            stream = self._stream(document)
            self._streams[stream.session_id] = stream
            self._metrics.sessions.labels("ingest").set(len(self._streams))
        protocol = Protocol(stream.state, self._limits)
        stream.take(socket, protocol)
        return stream, protocol

    def detach(self, stream: Stream, socket: Socket) -> None:
        """The socket is gone; the stream waits for the client to come back."""
        if stream.socket is socket:
            stream.socket = stream.protocol = None
            if stream.connection is None:
                self.forget(stream, "nothing came of it")

    def forget(self, stream: Stream, reason: str) -> None:
        """The session goes on elsewhere, or nowhere."""
        stream.publisher.close()
        stream.release(reason)
        if self._streams.get(stream.session_id) is stream:
            del self._streams[stream.session_id]
            self._metrics.sessions.labels("ingest").set(len(self._streams))

    def let_go(self, stream: Stream, document: Document | None) -> None:
        """The store says that this session is not this replica's any more: tell the socket why."""
        if document is not None and document["state"] != "ended" and document["connection"] != stream.connection:
            self.forget(stream, "a newer connection took this session")
            return
        if stream.socket is not None:
            stream.socket.close(CLOSE_ENDED, "the session has ended")
            stream.socket = stream.protocol = None
        self.forget(stream, "the session has ended")

    async def end(self, session_id: str, reason: EndReason) -> Document | None:
        """End a session once, whoever asks and however often; returns its document, None for an unknown one."""
        return await self.endings.end(session_id, reason)

    def _stream(self, document: Document) -> Stream:
        return Stream(
            document,
            self._log,
            self.sessions,
            self._metrics,
            self._limits,
            self._now_ms,
            idle_ms=self._idle_ms,
            backlog=self.backlog,
            vigil=self.vigil,
            gone=self._gone,
        )

    async def _gone(self, stream: Stream) -> None:
        self.let_go(stream, await self.sessions.get(stream.session_id))

    def _own(self, document: Document) -> Stream | None:
        """The stream of this session here, unless another replica has it by now."""
        stream = self._streams.get(document["_id"])
        if stream is None or stream.connection == document["connection"]:
            return stream
        if not stream.claiming:
            self.let_go(stream, document)
        return None

    def _ended(self, stream: Stream | None, document: Document) -> None:
        self.changed(document["lecture_code"])
        if stream is not None:
            task = asyncio.create_task(self._farewell(stream, document), name=f"farewell {stream.session_id}")
            self._farewells.add(task)
            task.add_done_callback(self._farewells.discard)

    async def _farewell(self, stream: Stream, document: Document) -> None:
        """Tell the socket how it went, once the analyzer has said its last, and let it go."""
        stream.ending = True
        totals = None
        if stream.socket is not None and document["started_at_ms"] is not None:
            try:
                async with asyncio.timeout(self._totals_limit_s):
                    totals = await asyncio.shield(stream.totals)
            except TimeoutError:
                logger.warning("no totals of a session in time", session_id=stream.session_id)
        if (socket := stream.socket) is not None:
            frames = stream.frames
            if totals is not None and not stream.known_from_the_start:
                frames = max(frames, totals.frames)
            socket.control(
                ProcessingEndedAck(
                    frames=frames,
                    analyzed=totals.analyzed if totals else None,
                    skipped=totals.skipped if totals else None,
                    duration_ms=max(
                        0, document["ended_at_ms"] - (document["started_at_ms"] or document["ended_at_ms"])
                    ),
                    recording_id=stream.recording_id or await self._recording_of(stream),
                )
            )
            if document["end_reason"] == "client":
                socket.close(CLOSE_NORMAL, "the session ended")
            else:
                socket.close(CLOSE_ENDED, f"the session was ended ({document['end_reason']})")
        stream.socket = stream.protocol = None
        self.forget(stream, "the session has ended")

    async def _recording_of(self, stream: Stream) -> str | None:
        """From the store, when this replica did not see the recording start."""
        if not stream.record:
            return None
        found = await self._store.find(RECORDINGS.name, {"session_id": stream.session_id}, limit=1)
        return str(found[0]["_id"]) if found else None

    async def stop(self) -> None:
        """Take no more frames, acknowledge what is under way, close the sockets. The sessions go on."""
        self.stopping = True
        for stream in self:
            if stream.socket is not None:
                stream.ending = True
        try:
            async with asyncio.timeout(DRAIN_LIMIT_S):
                await asyncio.gather(*(stream.publisher.drain() for stream in self))
                await asyncio.gather(*self.endings.tasks, return_exceptions=True)
        except TimeoutError:
            logger.warning("the log did not take every frame in time; clients send them again")
        sockets = [stream.socket for stream in self if stream.socket is not None]
        for socket in sockets:
            socket.close(CLOSE_GOING_AWAY, "the server stops; come back")
        try:
            async with asyncio.timeout(DRAIN_LIMIT_S):
                await asyncio.gather(*(socket.closed() for socket in sockets))
        except TimeoutError:
            logger.warning("some sockets did not close in time")
        unfinished = [*self._farewells, *self.endings.tasks]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        for stream in self:
            self.forget(stream, "the server stops")
