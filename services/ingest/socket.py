"""One accepted WebSocket: what is to be sent waits in its outbox, and one writer sends it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from starlette.websockets import WebSocket, WebSocketDisconnect

from schemas.wire import CLOSE_POLICY, ErrorCode, Message, ProcessingError
from services.ingest.outbox import Outbox

# A client that takes nothing for so long does not read; what it is owed is kept in the meantime.
BLOCKED_LIMIT_S = 10.0
CLOSE_LIMIT_S = 1.0
CLOSE_TRY_AGAIN_LATER = 1013  # RFC 6455's registry; what is needed here is away for now
MAX_REASON_BYTES = 120


class Socket:
    """Outgoing side of a WebSocket. Nothing here waits for the client but the writer."""

    def __init__(self, websocket: WebSocket, outbox: Outbox) -> None:
        self._websocket = websocket
        self._outbox = outbox
        self._wake = asyncio.Event()
        self._close: tuple[int, str] | None = None
        self._sending_since_s: float | None = None
        self._loop = asyncio.get_running_loop()
        self._done = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def closing(self) -> bool:
        return self._close is not None

    @property
    def dropped(self) -> int:
        """Results that this client was too slow for."""
        return self._outbox.dropped

    def control(self, message: Message) -> None:
        self.text(message.encode().decode())

    def text(self, message: str) -> None:
        """Send in order; never dropped."""
        self._outbox.control(message)
        self._wake.set()

    def error(self, code: ErrorCode, error: str, *, fatal: bool = False) -> None:
        self.control(ProcessingError(code=code, error=error, fatal=fatal))

    def ack(self, seq: int, *, again: bool = False) -> None:
        if again:
            self._outbox.repeat_ack()
        self._outbox.ack(seq)
        self._wake.set()

    def result(self, message: str | bytes) -> None:
        """Send when there is time; the oldest goes when the client is slow."""
        self._outbox.result(message)
        self._wake.set()

    def close(self, code: int, reason: str) -> None:
        """Send what is owed, then close. The first call counts."""
        if self._close is None:
            self._close = (code, reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore"))
            self._outbox.drop_results()
            self._wake.set()

    async def run(self, read: Callable[[], Awaitable[None]]) -> None:
        """Write, and `read` until the client goes or the socket is closed."""
        reader = asyncio.ensure_future(read())
        writer = asyncio.create_task(self._write())
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reader, writer):
                task.cancel()
            results = await asyncio.gather(reader, writer, return_exceptions=True)
            self._done.set()
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect):
                raise result

    async def closed(self) -> None:
        """Wait until the socket is gone."""
        await self._done.wait()

    def check_reading(self) -> bool:
        """False, and the end of the socket, when the client has not read for too long."""
        since = self._sending_since_s
        blocked = since is not None and self._loop.time() - since > BLOCKED_LIMIT_S
        if not (blocked or self._outbox.stuck):
            return True
        self.close(CLOSE_POLICY, "the client does not read")
        for task in self._tasks:
            task.cancel()
        return False

    async def _write(self) -> None:
        self._tasks.append(asyncio.current_task())  # type: ignore[arg-type]
        send, outbox, wake = self._websocket.send, self._outbox, self._wake
        try:
            while True:
                message = outbox.pop()
                if message is not None:
                    self._sending_since_s = self._loop.time()
                    kind = "text" if type(message) is str else "bytes"
                    try:
                        await send({"type": "websocket.send", kind: message})
                    except (RuntimeError, WebSocketDisconnect):
                        return  # the connection is gone; whoever reads hears of it too
                    self._sending_since_s = None
                elif self._close is not None:
                    return
                else:
                    wake.clear()
                    await wake.wait()
        finally:
            if self._close is not None:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(CLOSE_LIMIT_S):
                        await self._websocket.close(*self._close)
