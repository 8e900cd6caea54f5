"""The newest records in memory, so that consumers at the tail need no read from the file. Pure."""

from collections import deque
from itertools import islice

from services.runtime.log.port import Record


class TailCache:
    """The last records of all partitions, bounded over all of them; the oldest goes first.

    What one partition has here is always an unbroken run of its newest records.
    """

    def __init__(self, *, max_records: int = 4096, max_bytes: int = 16 << 20) -> None:
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._bytes = 0
        self._partitions: dict[int, deque[Record]] = {}
        self._age: deque[int] = deque()  # the partition of each record, oldest first

    def append(self, partition_id: int, record: Record) -> None:
        """Add a partition's next record."""
        run = self._partitions.get(partition_id)
        if run is None:
            run = self._partitions[partition_id] = deque()
        run.append(record)
        self._age.append(partition_id)
        self._bytes += len(record.value)
        while self._bytes > self._max_bytes or len(self._age) > self._max_records:
            self._bytes -= len(self._partitions[self._age.popleft()].popleft().value)

    def read(self, partition_id: int, offset: int, max_records: int, max_bytes: int) -> list[Record] | None:
        """Records from `offset` on, at least one; None when the first is no longer (or not yet) here."""
        run = self._partitions.get(partition_id)
        if not run or offset < run[0].offset or offset > run[-1].offset:
            return None
        skip = offset - run[0].offset
        taken: list[Record] = []
        size_bytes = 0
        for record in islice(run, skip, skip + max_records):
            size_bytes += len(record.value)
            if taken and size_bytes > max_bytes:
                break
            taken.append(record)
        return taken
