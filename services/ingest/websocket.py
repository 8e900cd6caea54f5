"""`WS /sessions/{session_id}/stream`: reads messages, asks the protocol what they mean, does it."""

import asyncio
from collections.abc import Callable

from starlette.websockets import WebSocket

from schemas.sessions import SessionStart
from schemas.wire import (
    CLOSE_ENDED,
    CLOSE_GOING_AWAY,
    CLOSE_OTHERS_SESSION,
    CLOSE_POLICY,
    CLOSE_TOKEN,
    CLOSE_UNKNOWN_SESSION,
    EngagementStatusUpdate,
    ProcessingStartedAck,
    StartVideoSession,
    StopVideoSession,
)
from services.ingest.outbox import Outbox
from services.ingest.protocol import Accepted, Duplicate, Limits, Protocol, Refused
from services.ingest.publisher import Taken
from services.ingest.sessions import Mismatch
from services.ingest.socket import CLOSE_TRY_AGAIN_LATER, Socket
from services.ingest.stream import Stream
from services.ingest.streams import Streams
from services.runtime.auth import Auth, BadToken
from services.runtime.backoff import until_taken
from services.runtime.metrics import Metrics
from services.runtime.store import Document, Store, StoreUnavailable
from services.runtime.store.collections import LECTURES

# How long a client that starts is kept waiting for the store and the log.
START_LIMIT_S = 30.0


class StreamEndpoint:
    """The student's socket. Called once per connection."""

    def __init__(
        self,
        streams: Streams,
        store: Store,
        auth: Auth,
        metrics: Metrics,
        limits: Limits,
        now_ms: Callable[[], int],
    ) -> None:
        self._streams = streams
        self._store = store
        self._auth = auth
        self._sockets = metrics.sockets.labels("stream")
        self._refused = metrics.frames_refused
        self._limits = limits
        self._now_ms = now_ms

    async def __call__(self, websocket: WebSocket, session_id: str) -> None:
        # Accepted first: a browser cannot read why a socket was refused, but it can read a close code.
        await websocket.accept()
        admitted = await self._admit(session_id, websocket.query_params.get("token", ""))
        if isinstance(admitted, tuple):
            await websocket.close(*admitted)
            return
        socket = Socket(websocket, Outbox(lambda: self._streams.backlog.credit))
        stream, protocol = self._streams.attach(admitted, socket)
        conversation = _Conversation(self, websocket, socket, stream, protocol)
        self._sockets.inc()
        try:
            await socket.run(conversation.read)
        finally:
            self._sockets.dec()
            self._streams.detach(stream, socket)

    async def _admit(self, session_id: str, token: str) -> Document | tuple[int, str]:
        """The session's document, or the code and reason to close with."""
        try:
            principal = self._auth.verify(token, "stream")
        except BadToken as error:
            return CLOSE_TOKEN, str(error)
        if principal.session_id != session_id:
            return CLOSE_OTHERS_SESSION, "the token is for another session"
        if self._streams.stopping:
            return CLOSE_GOING_AWAY, "the server stops; come back"
        try:
            document = await self._streams.sessions.get(session_id)
        except StoreUnavailable:
            return CLOSE_TRY_AGAIN_LATER, "the store is not available; come back"
        if document is None:
            return CLOSE_UNKNOWN_SESSION, f"there is no session {session_id}"
        if document["state"] == "ended":
            return CLOSE_ENDED, "the session has ended"
        return document

    async def lecture_enabled(self, lecture_code: str) -> bool:
        lecture = await self._store.get(LECTURES.name, lecture_code)
        return bool(lecture and lecture["engagement_enabled"])

    @property
    def streams(self) -> Streams:
        return self._streams

    @property
    def limits(self) -> Limits:
        return self._limits

    def now_ms(self) -> int:
        return self._now_ms()

    def count_refused(self, code: str) -> None:
        self._refused.labels(code).inc()


class _Conversation:
    """What one client says."""

    def __init__(
        self, endpoint: StreamEndpoint, websocket: WebSocket, socket: Socket, stream: Stream, protocol: Protocol
    ) -> None:
        self._endpoint = endpoint
        self._websocket = websocket
        self._socket = socket
        self._stream = stream
        self._protocol = protocol

    async def read(self) -> None:
        """Until the client goes."""
        receive, socket = self._websocket.receive, self._socket
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            if socket.closing:
                continue  # what still comes was not acknowledged, so the client has it
            data = message.get("bytes")
            if data is not None:
                await self._frame(data)
            else:
                await self._text(message["text"])

    async def _frame(self, data: bytes) -> None:
        stream = self._stream
        if stream.ending:
            if not self._endpoint.streams.stopping:
                self._socket.error("not_started", "the session has ended; the frame was not taken")
            return
        outcome = self._protocol.frame(bytes(data), self._endpoint.now_ms(), stream.publisher.outstanding)
        if type(outcome) is Accepted:
            if outcome.jumped_ms:
                self._tell_jump(outcome.jumped_ms)
            await stream.frame(outcome)
        elif type(outcome) is Duplicate:
            if outcome.seq <= stream.acked_seq:
                self._socket.ack(stream.acked_seq, again=True)
        elif type(outcome) is Refused:
            self._refuse(outcome)

    async def _text(self, text: str) -> None:
        outcome = self._protocol.text(text, self._endpoint.now_ms())
        if isinstance(outcome, Refused):
            self._refuse(outcome)
        elif isinstance(outcome, StopVideoSession):
            await self._stop()
        elif not self._stream.ending:
            await self._start(outcome)

    async def _start(self, message: StartVideoSession) -> None:
        endpoint, stream = self._endpoint, self._stream
        try:
            async with asyncio.timeout(START_LIMIT_S):
                enabled, start = await self._claim(message)
                if start is None:
                    self._socket.close(CLOSE_ENDED, "the session has ended")
                    return
                await stream.begin(start)
        except Mismatch as error:
            self._refuse(self._protocol.refuse("bad_message", str(error), endpoint.now_ms()))
            return
        except Taken:
            endpoint.streams.forget(stream, "a newer connection took this session")
            return
        except TimeoutError:
            self._socket.close(CLOSE_TRY_AGAIN_LATER, "the server cannot take frames now; come back")
            return
        self._protocol.started = True
        self._socket.control(
            ProcessingStartedAck(
                session_id=stream.session_id,
                credit=endpoint.streams.backlog.credit,
                max_frame_bytes=endpoint.limits.max_frame_bytes,
                target_fps=start.fps,
                resume_from_seq=stream.state.next_seq,
            )
        )
        if stream.acked_seq >= 0:
            self._socket.ack(stream.acked_seq)
        self._socket.control(EngagementStatusUpdate(lecture_code=stream.lecture_code, is_enabled=enabled))
        stream.show_recording()
        endpoint.streams.changed(stream.lecture_code)

    async def _claim(self, message: StartVideoSession) -> tuple[bool, SessionStart | None]:
        """Whether the lecture measures, and the start to tell the log (None: the session has ended)."""

        async def claim() -> tuple[bool, SessionStart | None]:
            enabled = await self._endpoint.lecture_enabled(self._stream.lecture_code)
            return enabled, await self._stream.claim(message)

        def refused(error: Exception, number: int) -> None:
            if number == 1:
                self._socket.error("unavailable", f"the store is not available ({error}); waiting for it")

        return await until_taken(claim, StoreUnavailable, refused)

    async def _stop(self) -> None:
        stream = self._stream
        if stream.connection is None or not self._protocol.started:
            self._refuse(
                self._protocol.refuse(
                    "not_started", "stop_video_session came before start_video_session", self._endpoint.now_ms()
                )
            )
            return
        stream.ending = True
        await self._endpoint.streams.end(stream.session_id, "client")

    def _refuse(self, refused: Refused) -> None:
        self._endpoint.count_refused(refused.code)
        self._socket.error(refused.code, refused.error)
        if refused.close:
            self._socket.error("too_many_errors", "too many mistakes; mend the client and come back", fatal=True)
            self._socket.close(CLOSE_POLICY, "too many mistakes")

    def _tell_jump(self, jumped_ms: int) -> None:
        direction = "ahead" if jumped_ms > 0 else "back"
        self._socket.error(
            "clock_jumped", f"captured_at_ms jumped {direction} by {abs(jumped_ms)} ms; times go on from the last frame"
        )
