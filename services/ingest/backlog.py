"""Frames of all sessions of this replica that the log does not have yet: bounded in bytes, whatever the clients do.

Overflow has two steps. The fuller it is, the less credit goes out with the acknowledgements, so that clients skip
captures; once it is full, *wait*: sockets are not read until the log took something, and TCP holds the clients.
"""

import asyncio
import math

MIN_CREDIT = 4


class Backlog:
    """`full_credit` is what a client may have unacknowledged while nothing waits."""

    __slots__ = ("_full_credit", "_max_bytes", "_room", "bytes")

    def __init__(self, max_bytes: int, full_credit: int) -> None:
        self._max_bytes = max_bytes
        self._full_credit = full_credit
        self._room = asyncio.Event()
        self._room.set()
        self.bytes = 0

    @property
    def credit(self) -> int:
        """Frames that a client may have unacknowledged now: in proportion to the room, some even without any."""
        free = 1.0 - self.bytes / self._max_bytes
        return max(min(MIN_CREDIT, self._full_credit), math.ceil(self._full_credit * free))

    def add(self, size_bytes: int) -> None:
        self.bytes += size_bytes
        if self.bytes >= self._max_bytes:
            self._room.clear()

    def remove(self, size_bytes: int) -> None:
        self.bytes -= size_bytes
        if self.bytes < self._max_bytes:
            self._room.set()

    async def room(self) -> None:
        """Wait until it is not full."""
        await self._room.wait()
