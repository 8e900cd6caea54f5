"""A student's client: logs in, begins a session, streams frames, comes back after a lost connection.

`Window` decides which frames are under way; here are the socket, the clock and the waiting.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from schemas import wire
from schemas.rest import SessionCreated
from services.client.api import Api, is_loopback
from services.client.errors import ClientError, FrameTooLarge, StreamRefused, Unreachable, closed_for_good
from services.client.options import StreamOptions
from services.client.tally import Tally
from services.client.window import Window
from services.runtime.backoff import backoff_s
from services.runtime.clock import now_ms

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 1.0
PING_S = 5.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 3.0  # before it comes back
MAX_MESSAGE_BYTES = 4 << 20
MAX_AWAITED = 4096  # frames whose time of capture is remembered until their metrics come
# A server that refuses before the upgrade.
_HANDSHAKE = {401: wire.CLOSE_TOKEN, 403: wire.CLOSE_OTHERS_SESSION, 404: wire.CLOSE_UNKNOWN_SESSION}
_MESSAGE: TypeAdapter[wire.ServerMessage] = TypeAdapter(wire.ServerMessage)


class _ComeBack(Exception):
    """The server cannot start the stream now."""


class StudentClient:
    """One session's stream. `async with` begins it; `stop` ends it; leaving without `stop` leaves the session open.

    A camera calls `offer` (skips what is too much), a file calls `send` (waits). Both raise `ClientError` once the
    stream is lost for good. `tally` and `window` say how it goes.
    """

    def __init__(
        self,
        url: str,
        username: str,
        password: str,
        lecture_code: str,
        options: StreamOptions | None = None,
        on_message: Callable[[wire.ServerMessage], None] | None = None,
    ) -> None:
        self.api = Api(url)
        self.tally = Tally()
        self.window = Window()
        self.session_id = ""
        self.student_id = ""
        self.options = options or StreamOptions()
        self._username = username
        self._password = password
        self._lecture_code = lecture_code
        self._on_message = on_message
        self._stream_url = ""
        self._captured_s: dict[int, float] = {}  # of frames whose metrics may still come, by the monotonic clock
        self._to_send = asyncio.Event()  # for the sender
        self._progress = asyncio.Event()  # for whoever waits in `_until`
        self._live = False  # the server takes frames
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._socket: ClientConnection | None = None

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Log in, begin a session, and wait until the server takes frames. Raises `Refused`, `Unreachable`."""
        self.student_id = (await self.api.login(self._username, self._password)).user_id
        created = await self._session()
        self.session_id = created.session_id
        base = self.api.url.replace("http", "ws", 1)
        self._stream_url = f"{base}{created.stream_url}?token={quote(created.stream_token)}"
        self._task = asyncio.create_task(self._run(), name=f"stream {self.session_id}")
        self._task.add_done_callback(lambda _: self._progress.set())
        await self._until(lambda: self._live)

    def offer(self, jpeg: bytes, captured_at_ms: int | None = None) -> int | None:
        """Take a camera's frame; None when it was skipped because `credit` frames are under way."""
        self._check(jpeg)
        if not self.window.room:
            self.tally.skipped += 1
            return None
        return self._take(jpeg, captured_at_ms)

    async def send(self, jpeg: bytes, captured_at_ms: int | None = None) -> int:
        """Take a frame as soon as there is room for it."""
        self._check(jpeg)
        await self._until(lambda: self.window.room)
        return self._take(jpeg, captured_at_ms)

    async def drained(self) -> None:
        """Wait until every frame taken so far is acknowledged."""
        await self._until(lambda: self.window.pending == 0)

    async def stop(self, timeout_s: float = 30.0) -> wire.ProcessingEndedAck | None:
        """Send what is left, end the session, wait for its summary; None when it ended without one arriving.

        Raises `Unreachable` after `timeout_s`.
        """
        self._stopping = True
        self._to_send.set()
        if self._task is not None:
            try:
                async with asyncio.timeout(timeout_s):
                    await asyncio.shield(self._task)
            except TimeoutError:
                raise Unreachable(f"the server did not sum up the session within {timeout_s:g} s") from None
        return self.tally.ended

    async def close(self) -> None:
        """Let go of the connection."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, ClientError):
                await self._task
        await self.api.close()

    async def drop_connection(self) -> None:
        """Cut the connection as a bad network would; the client comes back by itself."""
        if self._socket is not None:
            self._socket.transport.abort()

    def _check(self, jpeg: bytes) -> None:
        self._raise_if_over()
        limit = self.window.max_frame_bytes
        if limit is not None and len(jpeg) > limit:
            raise FrameTooLarge(f"a frame has {len(jpeg)} bytes; the server takes at most {limit}")

    def _raise_if_over(self) -> None:
        if self._task is not None and self._task.done():
            self._task.result()
            raise ClientError("the session has ended")

    async def _session(self) -> SessionCreated:
        options = self.options
        if options.session_id is not None:
            self._lecture_code = (await self.api.session(options.session_id)).lecture_code
            return await self.api.stream_token(options.session_id)
        return await self.api.create_session(
            self._lecture_code, session_name=options.session_name, record=options.record, consent=options.consent
        )

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._raise_if_over()
            self._progress.clear()
            await self._progress.wait()

    def _take(self, jpeg: bytes, captured_at_ms: int | None) -> int:
        seq = self.window.take(jpeg, now_ms() if captured_at_ms is None else captured_at_ms)
        self._captured_s[seq] = time.monotonic()
        if len(self._captured_s) > MAX_AWAITED:
            del self._captured_s[next(iter(self._captured_s))]
        self._to_send.set()
        return seq

    async def _run(self) -> None:
        """Connect, stream, come back, until the session has ended."""
        lost_at_s, attempt = time.monotonic(), 0
        while True:
            self._live = False
            try:
                async with connect(
                    self._stream_url,
                    compression=None,  # JPEG does not shrink
                    proxy=None if is_loopback(self.api.url) else True,
                    open_timeout=OPEN_TIMEOUT_S,
                    close_timeout=CLOSE_TIMEOUT_S,
                    ping_interval=PING_S,
                    ping_timeout=3 * PING_S,
                    max_size=MAX_MESSAGE_BYTES,
                    max_queue=256,
                ) as socket:
                    self._socket = socket
                    await self._converse(socket)
            except ConnectionClosed as closed:
                code, reason = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")
            except InvalidStatus as refused:
                code, reason = _HANDSHAKE.get(refused.response.status_code, 1006), ""
            except (OSError, TimeoutError, WebSocketException, _ComeBack):
                code, reason = 1006, ""
            if self.tally.ended is not None or (self._stopping and code == wire.CLOSE_ENDED):
                return
            if (error := closed_for_good(code, reason)) is not None:
                raise error
            if self._live:
                lost_at_s, attempt = time.monotonic(), 0
            self.window.lost()
            if time.monotonic() - lost_at_s > self.options.reconnect_for_s:
                raise Unreachable(f"lost the connection to {self.api.url} and could not get it back")
            wait_s = backoff_s(attempt, random.random(), first_s=FIRST_WAIT_S, longest_s=LONGEST_WAIT_S)  # noqa: S311
            await asyncio.sleep(wait_s)
            attempt += 1

    async def _converse(self, socket: ClientConnection) -> None:
        """One connection; ends with `ConnectionClosed`."""
        await socket.send(self._start_message())
        sender: asyncio.Task[None] | None = None
        try:
            while True:
                # Once it is live the library's pings find a dead connection; before and after, this does.
                limit_s = OPEN_TIMEOUT_S if sender is None else CLOSE_TIMEOUT_S if self.tally.ended else None
                async with asyncio.timeout(limit_s):
                    message = await socket.recv()
                if isinstance(message, bytes):
                    self.tally.landmarks_received += 1
                    continue
                self._hear(message)
                if self._live and sender is None:
                    sender = asyncio.create_task(self._send_all(socket), name=f"sender {self.session_id}")
        finally:
            if sender is not None:
                sender.cancel()
                await asyncio.wait((sender,))

    async def _send_all(self, socket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):  # the reader sees it too
            while True:
                self._to_send.clear()
                while (frame := self.window.next_to_send()) is not None:
                    await socket.send(frame.encode())
                if self._stopping:
                    await socket.send(wire.StopVideoSession().encode(), text=True)
                    return
                await self._to_send.wait()

    def _start_message(self) -> str:
        width, height = self.options.size
        message = wire.StartVideoSession(
            student_id=self.student_id,
            lecture_code=self._lecture_code,
            frame_width=width,
            frame_height=height,
            fps=self.options.fps,
            record=self.options.record,
            landmarks=self.options.landmarks,
            consent=self.options.consent,
        )
        return message.encode().decode()

    def _hear(self, text: str) -> None:
        try:
            message = _MESSAGE.validate_json(text, strict=False, extra="ignore")
        except ValidationError:
            self.tally.error_counts["unread_message"] += 1  # of a newer server
            return
        match message:
            case wire.Ack():
                for seq in self.window.acknowledge(message.seq, message.credit):
                    self.tally.acknowledged(seq, _since_ms(self._captured_s.get(seq)))
            case wire.MetricsMessage():
                self.tally.measured(message.data, _since_ms(self._captured_s.pop(message.data.seq, None)))
            case wire.ProcessingStartedAck():
                self.window.started(message)
                self.tally.connections += 1
                self._live = True
            case wire.StatusMessage(data=status) if status.totals is not None:
                self.tally.totals = status.totals
            case wire.ProcessingError():
                self.tally.failed(message)
                if not self._live and message.code == "unavailable":
                    raise _ComeBack
                if not self._live:
                    raise StreamRefused(f"the server does not start the stream: {message.error}")
            case wire.ProcessingEndedAck():
                self.tally.ended = message
            case _:
                pass
        self._progress.set()
        if self._on_message is not None:
            self._on_message(message)


def _since_ms(captured_s: float | None) -> float | None:
    return None if captured_s is None else (time.monotonic() - captured_s) * 1000
