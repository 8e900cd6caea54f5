"""Which offset may be committed: the lowest that is not finished, per partition. The one owner of this rule."""


class OffsetTracker:
    """Finished offsets of one partition. Offsets are added in rising order and finished in any order.

    Pure: no clock, no I/O. Gaps between added offsets (compaction, transactions) are fine. What is handed out and not
    committed is kept here; `delivery.py` bounds how much that is.
    """

    def __init__(self, committed: int) -> None:
        self._pending: dict[int, int | None] = {}  # insertion order is offset order; time in the log, None = finished
        self._next = committed  # one past the newest added
        self.committed = committed

    def add(self, offset: int, timestamp_ms: int = 0) -> None:
        """Note that a record was handed out, which the log took then. An offset at or below one already added is
        ignored (read again)."""
        if offset >= self._next:
            self._pending[offset] = timestamp_ms
            self._next = offset + 1

    def finish(self, offset: int) -> None:
        """Note that a record is done; unknown offsets (given away meanwhile) are ignored."""
        if offset in self._pending:
            self._pending[offset] = None

    @property
    def committable(self) -> int:
        """The offset to commit: everything below it is finished."""
        done = []
        for offset, timestamp_ms in self._pending.items():
            if timestamp_ms is not None:
                break
            done.append(offset)
        for offset in done:
            del self._pending[offset]
        return next(iter(self._pending), self._next)

    @property
    def oldest_ms(self) -> int | None:
        """When the log took the first record that is not finished."""
        return next((timestamp_ms for timestamp_ms in self._pending.values() if timestamp_ms is not None), None)

    @property
    def pending(self) -> int:
        """Records handed out and not finished."""
        return sum(timestamp_ms is not None for timestamp_ms in self._pending.values())

    @property
    def held(self) -> int:
        """Records handed out and not finished, or finished behind one that is not."""
        return len(self._pending)
