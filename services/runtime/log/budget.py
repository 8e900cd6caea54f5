"""Room for records under way, in records and bytes. When it is used up, whoever wants more waits, first come first
served."""

import asyncio
import contextlib
from collections import deque


class Budget:
    """Takes and gives back room. One record that is larger than all the room goes alone.

    Those who wait hold one record each; how many they are is for the callers to bound (ingest: its clients' credit)."""

    def __init__(self, *, max_records: int, max_bytes: int) -> None:
        self._max_records = max_records
        self._max_bytes = max_bytes
        self.records = 0
        self.bytes = 0
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()

    def _fits(self, size_bytes: int) -> bool:
        return self.records < self._max_records and (self.bytes + size_bytes <= self._max_bytes or self.bytes == 0)

    def take(self, size_bytes: int, records: int = 1) -> None:
        """Take room whether or not it is there (for what is in the log already)."""
        self.records += records
        self.bytes += size_bytes

    async def acquire(self, size_bytes: int) -> None:
        """Wait until there is room for one record, and take it."""
        if not self._waiting and self._fits(size_bytes):
            self.take(size_bytes)
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((granted, size_bytes))
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.release(size_bytes)
            else:
                with contextlib.suppress(ValueError):  # it may have been passed over already
                    self._waiting.remove((granted, size_bytes))
                self._grant()
            raise

    def release(self, size_bytes: int, records: int = 1) -> None:
        """Give room back; those who wait get it in their order."""
        self.records -= records
        self.bytes -= size_bytes
        self._grant()

    def _grant(self) -> None:
        while self._waiting and self._fits(self._waiting[0][1]):
            granted, size_bytes = self._waiting.popleft()
            if not granted.done():  # done: cancelled, and about to say so
                self.take(size_bytes)
                granted.set_result(None)
