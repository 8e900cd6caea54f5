"""One session's queue: its records are done in order, one batch at a time, and a segment never stays open for long."""

import asyncio
from collections import deque
from collections.abc import Callable

from services.recorder.session import Session
from services.runtime.log import Record, TopicPartition

SEGMENT_S = 2.0
GATHER_S = 0.25  # frames wait this long for company: one hop into a thread serves several
IDLE_S = 120.0
BATCH_RECORDS = 32


def weight_of(record: Record) -> int:
    """Bytes of memory that a record takes while it waits, one without a value too."""
    return len(record.value) + 1024


class Lane:
    """Feeds one session. `taken` is told the weight of each record that left the queue."""

    def __init__(self, session: Session, source: TopicPartition, taken: Callable[[int], None]) -> None:
        self.session = session
        self.source = source
        self.retired = False
        self._taken = taken
        self._queue: deque[Record] = deque()
        self._wake = asyncio.Event()
        self._urgent = False
        self._draining = False
        self._queued_at = self._unsafe_since = self._active_at = asyncio.get_running_loop().time()
        self._task = asyncio.create_task(self._run(), name=f"recorder-{session.session_id}")

    def put(self, record: Record) -> None:
        if not self._queue:
            self._queued_at = asyncio.get_running_loop().time()
            self._wake.set()
        self._queue.append(record)
        if record.headers.get("kind") != "frame" or len(self._queue) >= BATCH_RECORDS:
            self.hurry()

    def hurry(self) -> None:
        """Do not wait for company."""
        self._urgent = True
        self._wake.set()

    async def drain(self) -> None:
        """Do all that is queued, close the segment, end."""
        self._draining = True
        self.session.hurry()
        self._wake.set()
        await self._task

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        while not (self._draining and not self._queue and not self.session.oldest_unsafe):
            wait_s = self._due_at() - clock()
            if wait_s > 0:
                await self._sleep(wait_s)
            elif self._queue:
                await self._take()
            elif self.session.oldest_unsafe:
                await self.session.flush()
            elif self.session.taken_over:
                self._active_at = clock()  # a new session would go on behind the records that this one left
            else:
                break
            if self.session.oldest_unsafe and clock() - self._unsafe_since >= SEGMENT_S:
                await self.session.flush()
        self.retired = True

    def _due_at(self) -> float:
        """When there is something to do: records, a segment to close, or nothing for so long that the lane ends."""
        if self._draining or (self._urgent and self._queue):
            return 0.0
        due: list[float] = []
        if self._queue:
            due.append(self._queued_at + GATHER_S)
        if self.session.oldest_unsafe:
            due.append(self._unsafe_since + SEGMENT_S)
        return min(due, default=self._active_at + IDLE_S)

    async def _take(self) -> None:
        clock = asyncio.get_running_loop().time
        batch = [self._queue.popleft() for _ in range(min(BATCH_RECORDS, len(self._queue)))]
        oldest = self.session.oldest_unsafe
        try:
            await self.session.take(batch)
        finally:
            for record in batch:
                self._taken(weight_of(record))
        self._active_at = clock()
        self._urgent = self._urgent and bool(self._queue)
        if self.session.oldest_unsafe is not oldest:
            self._unsafe_since = self._active_at

    async def _sleep(self, wait_s: float) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        except TimeoutError:
            return
