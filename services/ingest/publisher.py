"""One session's records on their way into the log, in order; says up to where the log has them.

A frame that the log refuses is kept and sent again, and everything after it waits, until the log takes it. That may be
long: the client's credit bounds what waits here. Nothing is handed to the log while a frame before it is not: the log
refuses what follows a failure (`log/port.py`), and here nothing is sent that would overtake.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import takewhile

import structlog

from schemas.topics import FRAMES
from services.ingest.backlog import Backlog
from services.runtime.backoff import FIRST_S, until_taken, waits_s
from services.runtime.log import EventLog, LogUnavailable, Position

logger = structlog.get_logger(__name__)


class Taken(Exception):
    """Somebody else streams or ends this session by now: nothing more of it may be sent from here."""


class _Frame:
    """A frame under way. `sent`: the log has been asked; `done`: it said yes."""

    __slots__ = ("done", "headers", "jpeg", "sent", "seq")

    def __init__(self, seq: int, jpeg: bytes, headers: Mapping[str, str]) -> None:
        self.seq = seq
        self.jpeg = jpeg
        self.headers = headers
        self.sent = self.done = False


class Publisher:
    """`on_acked(seq, frames)`: the log has `seq` and all before it, `frames` more than last time. `on_trouble(text)`:
    the log takes nothing at the moment. `reserve(seq)` reserves numbers in the store and returns up to where; it is
    asked before a number above `reserved` is used."""

    def __init__(
        self,
        log: EventLog,
        session_id: str,
        backlog: Backlog,
        *,
        reserved: int,
        reserve: Callable[[int], Awaitable[int]],
        on_acked: Callable[[int, int], None],
        on_trouble: Callable[[str], None],
        retry_s: float = FIRST_S,
    ) -> None:
        self._log = log
        self._session_id = session_id
        self._backlog = backlog
        self.reserved = reserved
        self._reserve = reserve
        self._on_acked = on_acked
        self._on_trouble = on_trouble
        self._retry_s = retry_s
        self._pending: deque[_Frame] = deque()
        self._flying = 0
        self._landed = asyncio.Event()
        self._recovery: asyncio.Task[None] | None = None
        self._drained: asyncio.Event | None = None
        self._closed = False
        self.acked_seq = -1

    @property
    def outstanding(self) -> int:
        """Frames that the log does not have yet."""
        return len(self._pending)

    @property
    def troubled(self) -> bool:
        """The log does not take this session's frames at the moment."""
        return self._recovery is not None

    async def publish(self, seq: int, jpeg: bytes, headers: Mapping[str, str]) -> None:
        """Hand a frame over; waits while the log, or the backlog, has no room. Its number is above all before.

        From here on the frame is this publisher's: a caller that is cancelled while it waits need not send it again."""
        frame = _Frame(seq, jpeg, headers)
        self._pending.append(frame)
        self._backlog.add(len(jpeg))
        if self._recovery is None:
            await self._send(frame)
        await self._backlog.room()

    async def record(self, headers: Mapping[str, str], value: bytes) -> None:
        """Publish a start or an end and wait until the log has it, behind all frames before it.

        Raises `Taken` when the session went to somebody else meanwhile."""
        await self.drain()

        async def send() -> None:
            if self._closed:
                raise Taken(self._session_id)
            await (await self._log.send(FRAMES, self._session_id, value, headers))

        await until_taken(send, LogUnavailable, self._refused, first_s=self._retry_s)

    async def drain(self) -> None:
        """Wait until the log has every frame."""
        while self._pending:
            self._drained = self._drained or asyncio.Event()
            await self._drained.wait()

    def close(self) -> None:
        """Give up what the log does not have; it was never acknowledged."""
        self._closed = True
        if self._recovery is not None:
            self._recovery.cancel()
        while self._pending:
            self._backlog.remove(len(self._pending.popleft().jpeg))
        self._check_drained()

    def _refused(self, error: Exception, number: int) -> None:
        if number == 1:
            self._on_trouble(f"the event log takes nothing at the moment ({error}); waiting for it")

    async def _send(self, frame: _Frame) -> None:
        frame.sent = True
        self._flying += 1
        try:
            if frame.seq > self.reserved:
                self.reserved = await self._reserve(frame.seq)
                if self._would_overtake(frame):
                    raise LogUnavailable("a frame before this one failed while its number was reserved")
            future = await self._log.send(FRAMES, self._session_id, frame.jpeg, frame.headers)
        except BaseException as error:
            # Whatever the reason, the frame stays and is tried again.
            self._failed(frame, error)
            if not isinstance(error, Exception):
                raise
        else:
            future.add_done_callback(partial(self._answered, frame))

    def _answered(self, frame: _Frame, future: "asyncio.Future[Position]") -> None:
        error: BaseException | None = asyncio.CancelledError() if future.cancelled() else future.exception()
        if error is not None:
            self._failed(frame, error)
            return
        self._flying -= 1
        frame.done = True
        pending, count = self._pending, 0
        while pending and pending[0].done:
            landed = pending.popleft()
            self._backlog.remove(len(landed.jpeg))
            self.acked_seq = landed.seq
            count += 1
        if count:
            self._on_acked(self.acked_seq, count)
        self._check_drained()
        if not self._flying:
            self._landed.set()

    def _failed(self, frame: _Frame, error: BaseException) -> None:
        self._flying -= 1
        frame.sent = False
        if not self._flying:
            self._landed.set()
        if self._closed or self._recovery is not None:
            return
        if not isinstance(error, asyncio.CancelledError):
            logger.warning("the log refused a frame", session_id=self._session_id, seq=frame.seq, error=str(error))
            self._on_trouble(f"frames cannot be stored at the moment ({error}); they wait")
        self._recovery = asyncio.create_task(self._recover(), name=f"recover {self._session_id}")

    async def _recover(self) -> None:
        """Send again, in order, what the log refused, until it has everything."""
        waits = waits_s(self._retry_s)
        try:
            await self._all_landed()
            while self._pending:
                first = self._pending[0]
                await asyncio.sleep(next(waits))
                await self._send(first)  # alone, so that nothing overtakes it
                await self._all_landed()
                if not first.done:
                    continue
                waits = waits_s(self._retry_s)
                newest = first.seq
                while (frame := next((each for each in self._pending if not each.sent), None)) is not None:
                    if frame.seq <= newest:
                        break  # refused again meanwhile: nothing more may overtake it
                    newest = frame.seq
                    await self._send(frame)
                await self._all_landed()
        finally:
            self._recovery = None

    def _would_overtake(self, frame: _Frame) -> bool:
        return not all(each.sent for each in takewhile(lambda each: each is not frame, self._pending))

    async def _all_landed(self) -> None:
        while self._flying:
            self._landed.clear()
            await self._landed.wait()

    def _check_drained(self) -> None:
        if self._drained is not None and not self._pending:
            self._drained.set()
            self._drained = None
