"""Retention and compaction of the local log, in small slices that the writer runs when it has nothing else to do."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.topics import DAY_MS, Topic
from services.runtime.log.local_file import Head, LogFile
from services.runtime.log.port import TopicPartition

SLICE_RECORDS = 64
TOMBSTONE_LIFETIME_MS = DAY_MS  # as Kafka's delete.retention.ms: readers get that long to see it


@dataclass(frozen=True, slots=True)
class Partition:
    id: int
    source: TopicPartition
    topic: Topic


@dataclass(slots=True)
class Compaction:
    """What one compacted partition holds: the newest offset of each key, and what newer records made superfluous."""

    newest: dict[str, int] = field(default_factory=dict)
    superseded: deque[int] = field(default_factory=deque)
    tombstones: deque[tuple[int, int, str]] = field(default_factory=deque)  # timestamp_ms, offset, key

    def note(self, offset: int, timestamp_ms: int, key: str, value_bytes: int) -> None:
        if (before := self.newest.get(key)) is not None:
            self.superseded.append(before)
        self.newest[key] = offset
        if value_bytes == 0:
            self.tombstones.append((timestamp_ms, offset, key))

    def removable(self, below: int, now_ms: int) -> list[int]:
        """Up to one slice of offsets to delete, all below `below` (what no reader still needs)."""
        while self.tombstones and self.tombstones[0][0] < now_ms - TOMBSTONE_LIFETIME_MS:
            _, offset, key = self.tombstones.popleft()
            if self.newest.get(key) == offset:
                del self.newest[key]
                self.superseded.append(offset)
        taken: list[int] = []
        while self.superseded and len(taken) < SLICE_RECORDS and self.superseded[0] < below:
            taken.append(self.superseded.popleft())
        return taken


def removable(
    rows: Sequence[tuple[int, int, int]], begin_bytes: int, *, before_ms: int | None, excess_bytes: int, below: int
) -> int:
    """How many of a partition's first rows (offset, timestamp_ms, end_bytes) may go: too old, or in excess. Pure.

    With any excess at least one row goes, else small excesses would stay for ever and publishers wait for room.
    Nothing at or above `below` goes, however old: a group still has to read it.
    """
    count, removed_to = 0, begin_bytes
    for offset, timestamp_ms, end_bytes in rows:
        too_old = before_ms is not None and timestamp_ms < before_ms
        in_excess = removed_to < begin_bytes + excess_bytes
        if offset >= below or not (too_old or in_excess):
            break
        count, removed_to = count + 1, end_bytes
    return count


def slices(
    file: LogFile,
    partitions: Sequence[Partition],
    heads: Mapping[int, Head],
    compactions: Mapping[int, Compaction],
    protected: Mapping[int, int],
    now_ms: int,
) -> Iterator[None]:
    """Delete what retention and compaction allow; yields after each transaction and at the end of each partition.

    `protected`: per partition, the lowest offset that a live group has not committed.
    """
    for partition in partitions:
        head = heads[partition.id]
        below = protected.get(partition.id, head.next)
        if (compaction := compactions.get(partition.id)) is not None:
            while gone := compaction.removable(below, now_ms):
                with file.db:
                    file.db.execute("BEGIN IMMEDIATE")
                    file.delete_each(partition.id, gone, head.next)
                yield
            continue
        while _remove_slice(file, partition, partitions, heads, below, now_ms):
            yield
    while file.give_back_space():
        yield


def _remove_slice(
    file: LogFile,
    partition: Partition,
    partitions: Sequence[Partition],
    heads: Mapping[int, Head],
    below: int,
    now_ms: int,
) -> bool:
    """Delete up to one slice from the head of a partition; False when there is nothing (more) to delete."""
    head, topic = heads[partition.id], partition.topic
    before_ms = None if topic.retention_ms is None else now_ms - topic.retention_ms
    excess_bytes = _excess_bytes(topic, partition, partitions, heads)
    expired = before_ms is not None and head.oldest_ms is not None and head.oldest_ms < before_ms
    if not (expired or excess_bytes > 0) or head.oldest >= below:
        return False
    rows = file.oldest(partition.id, SLICE_RECORDS + 1)
    count = removable(
        rows[:SLICE_RECORDS], head.begin_bytes, before_ms=before_ms, excess_bytes=excess_bytes, below=below
    )
    if count == 0:
        if rows:
            head.oldest, head.oldest_ms = rows[0][0], rows[0][1]
        return False
    cut = rows[count - 1][0] + 1
    with file.db:
        file.db.execute("BEGIN IMMEDIATE")
        file.delete_below(partition.id, cut, head.next)
    head.begin_bytes = rows[count - 1][2]
    head.oldest, head.oldest_ms = (rows[count][0], rows[count][1]) if count < len(rows) else (head.next, None)
    return True


def _excess_bytes(
    topic: Topic, partition: Partition, partitions: Sequence[Partition], heads: Mapping[int, Head]
) -> int:
    """What this partition has to give up: its share, by size, of what the topic holds above its limit."""
    if topic.retention_bytes is None:
        return 0
    total_bytes = sum(heads[each.id].size_bytes for each in partitions if each.topic is topic)
    over_bytes = total_bytes - topic.retention_bytes
    return over_bytes * heads[partition.id].size_bytes // total_bytes if over_bytes > 0 else 0
