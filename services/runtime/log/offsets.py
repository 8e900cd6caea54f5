"""Which offset may be committed: the lowest that is not finished, per partition. The one owner of this rule."""


class OffsetTracker:
    """Finished offsets of one partition. Offsets are added in rising order and finished in any order.

    Pure: no clock, no I/O. Gaps between added offsets (compaction, transactions) are fine.
    """

    def __init__(self, committed: int) -> None:
        self._pending: dict[int, bool] = {}  # insertion order is offset order; True = finished
        self._next = committed  # one past the newest added
        self.committed = committed

    def add(self, offset: int) -> None:
        """Note that a record was handed out. An offset at or below one already added is ignored (read again)."""
        if offset >= self._next:
            self._pending[offset] = False
            self._next = offset + 1

    def finish(self, offset: int) -> None:
        """Note that a record is done; unknown offsets (given away meanwhile) are ignored."""
        if offset in self._pending:
            self._pending[offset] = True

    @property
    def committable(self) -> int:
        """The offset to commit: everything below it is finished."""
        done = []
        for offset, finished in self._pending.items():
            if not finished:
                break
            done.append(offset)
        for offset in done:
            del self._pending[offset]
        return next(iter(self._pending), self._next)

    @property
    def pending(self) -> int:
        """Records handed out and not finished."""
        return sum(not finished for finished in self._pending.values())
