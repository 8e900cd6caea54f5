"""The one writer of the local log: a thread that puts all that waits into one transaction (group commit).

It alone writes to the file, so nothing waits for a lock. What is done is told to the event loop in one call per
transaction. Checkpoints (they wait for the disk) run in a thread beside it.
"""

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue

import structlog

from services.runtime.clock import now_ms
from services.runtime.log.local_file import Head, LogFile, Row, row_id, row_size_bytes, unavailable
from services.runtime.log.local_upkeep import Compaction, Partition, slices
from services.runtime.log.port import LogUnavailable, Position

logger = structlog.get_logger(__name__)

MAX_TRANSACTION_ITEMS = 1024
CHECKPOINT_EVERY_BYTES = 4 << 20
CHECKPOINT_AT_ONCE_BYTES = 128 << 20
UPKEEP_EVERY_TRANSACTIONS = 64  # a slice of upkeep even when the writer is never idle


@dataclass(slots=True)
class Append:
    """A record to write. `size_bytes` is what it counts for in budgets."""

    partition: Partition
    key: str
    value: bytes
    headers: Mapping[str, str]
    size_bytes: int
    failures_heard: int  # how many failed transactions the sender knew of; see `LocalWriter._write`
    done: asyncio.Future[Position]


@dataclass(slots=True)
class CommitOffsets:
    group: str
    offsets: Mapping[int, int]  # partition id → offset
    done: asyncio.Future[None]


@dataclass(slots=True)
class Check:
    """Write something, to see whether it works."""

    done: asyncio.Future[None]


@dataclass(slots=True)
class Upkeep:
    """Run retention and compaction. `protected`: lowest offset, per partition id, that a live group still needs."""

    protected: Mapping[int, int]


class Stop:
    pass


Item = Append | CommitOffsets | Check | Upkeep | Stop


@dataclass(slots=True)
class Written:
    """What one transaction did. With an error, nothing of it is in the file."""

    appended: Sequence[tuple[Append, int]]
    others: Sequence[CommitOffsets | Check]
    timestamp_ms: int
    error: LogUnavailable | None = None
    failures: int = 0  # failed transactions so far


@dataclass(slots=True)
class Kept:
    """A round of upkeep is over: the bytes that each topic has now."""

    topic_bytes: Mapping[str, int] = field(default_factory=dict)


class LocalWriter:
    """Owns the writing connection and the heads of the partitions. `tell` is called in the event loop.

    The queue holds the records that the log's budget let through (who sends more waits there), and of each consumer
    one commit at a time."""

    def __init__(
        self,
        path: Path,
        file: LogFile,
        partitions: Sequence[Partition],
        loop: asyncio.AbstractEventLoop,
        tell: Callable[[Written | Kept], None],
    ) -> None:
        self._path = path
        self._file = file
        self._partitions = partitions
        self._loop = loop
        self._tell = tell
        self._queue: SimpleQueue[Item] = SimpleQueue()
        self.heads: dict[int, Head] = {each.id: file.head(each.id) for each in partitions}
        self._compactions = {each.id: self._compaction(each.id) for each in partitions if each.topic.compacted}
        self._failures = 0
        self._unsaved_bytes = 0  # written since the last checkpoint that got everything
        self._checkpoint_wanted = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._checkpointer = threading.Thread(target=self._checkpoints, name="log-checkpoint", daemon=True)

    def _compaction(self, partition_id: int) -> Compaction:
        compaction = Compaction()
        for offset, timestamp_ms, key, value_bytes in self._file.keys(partition_id):
            compaction.note(offset, timestamp_ms, key, value_bytes)
        return compaction

    def start(self) -> None:
        self._thread.start()
        self._checkpointer.start()

    def put(self, item: Item) -> None:
        """Hand something over; safe from any thread."""
        self._queue.put(item)

    def stop(self) -> None:
        """Write what waits, then end. Blocking."""
        self._queue.put(Stop())
        self._thread.join()
        self._stopping = True
        self._checkpoint_wanted.set()
        self._checkpointer.join()

    def topic_bytes(self) -> dict[str, int]:
        """What each topic holds."""
        sizes: dict[str, int] = {}
        for partition in self._partitions:
            name = partition.topic.name
            sizes[name] = sizes.get(name, 0) + self.heads[partition.id].size_bytes
        return sizes

    # -- the writer's thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        upkeep: Iterator[None] | None = None
        busy = 0
        while True:
            items = self._waiting(block=upkeep is None)
            for item in items:
                if isinstance(item, Upkeep) and upkeep is None:
                    upkeep = slices(
                        self._file, self._partitions, self.heads, self._compactions, item.protected, now_ms()
                    )
                    busy = 0
            if any(not isinstance(item, Upkeep | Stop) for item in items):
                self._write(items)
                busy += 1
            if any(isinstance(item, Stop) for item in items):
                return
            if upkeep is not None and (not items or busy >= UPKEEP_EVERY_TRANSACTIONS):
                upkeep = self._slice(upkeep)
                busy = 0

    def _waiting(self, *, block: bool) -> list[Item]:
        items: list[Item] = []
        try:
            if block:
                items.append(self._queue.get())
            while len(items) < MAX_TRANSACTION_ITEMS:
                items.append(self._queue.get_nowait())
        except Empty:
            pass
        return items

    def _write(self, items: Sequence[Item]) -> None:
        """One transaction. A record that was sent before its sender heard of a failure fails too: written, it would
        overtake the one that failed, and nobody could put that one in its place any more."""
        overtaking, rest = self._overtaking(items)
        if overtaking:
            error = LogUnavailable("a record before this one could not be written")
            self._report(Written([(item, 0) for item in overtaking], [], now_ms(), error, self._failures))
            items = rest
        written = Written([], [], now_ms(), failures=self._failures)
        try:
            self._transaction(items, written)
        except Exception as error:  # whatever it is, the futures must hear of it
            self._roll_back()
            self._failures += 1
            if not isinstance(error, sqlite3.Error):
                logger.exception("the log's writer failed")
            reason = unavailable(error, self._path) if isinstance(error, sqlite3.Error) else LogUnavailable(str(error))
            written = Written(
                [(item, 0) for item in items if isinstance(item, Append)],
                [item for item in items if isinstance(item, CommitOffsets | Check)],
                written.timestamp_ms,
                reason,
                self._failures,
            )
        self._report(written)
        self._ask_for_checkpoint()

    def _overtaking(self, items: Sequence[Item]) -> tuple[list[Append], list[Item]]:
        overtaking: list[Append] = []
        rest: list[Item] = []
        for item in items:
            if isinstance(item, Append) and item.failures_heard < self._failures:
                overtaking.append(item)
            else:
                rest.append(item)
        return overtaking, rest

    def _transaction(self, items: Sequence[Item], written: Written) -> None:
        appended: list[tuple[Append, int]] = []
        others: list[CommitOffsets | Check] = []
        rows: list[Row] = []
        ends: dict[int, tuple[int, int]] = {}  # partition id → next offset, end_bytes
        offsets: list[tuple[str, int, int]] = []
        for item in items:
            if isinstance(item, Append):
                partition_id = item.partition.id
                head = self.heads[partition_id]
                offset, end_bytes = ends.get(partition_id) or (head.next, head.end_bytes)
                headers = json.dumps(item.headers, ensure_ascii=False)
                end_bytes += row_size_bytes(item.key, headers, item.value)
                rows.append(
                    (row_id(partition_id, offset), written.timestamp_ms, end_bytes, item.key, headers, item.value)
                )
                ends[partition_id] = (offset + 1, end_bytes)
                appended.append((item, offset))
            elif isinstance(item, CommitOffsets):
                offsets += [(item.group, partition_id, offset) for partition_id, offset in item.offsets.items()]
                others.append(item)
            elif isinstance(item, Check):
                others.append(item)
        db = self._file.db
        db.execute("BEGIN IMMEDIATE")
        if rows:
            self._file.append(rows)
        if offsets:
            self._file.commit_offsets(offsets)
        if any(isinstance(item, Check) for item in others):
            self._file.note_check(written.timestamp_ms)
        db.execute("COMMIT")
        self._advance(appended, ends, written.timestamp_ms)
        written.appended, written.others = appended, others
        self._unsaved_bytes += sum(len(row[5]) for row in rows) + 4096 * (1 + len(ends))

    def _advance(
        self, appended: Sequence[tuple[Append, int]], ends: Mapping[int, tuple[int, int]], timestamp_ms: int
    ) -> None:
        for partition_id, (next_offset, end_bytes) in ends.items():
            head = self.heads[partition_id]
            if head.oldest_ms is None:
                head.oldest, head.oldest_ms, head.begin_bytes = head.next, timestamp_ms, head.end_bytes
            head.next, head.end_bytes = next_offset, end_bytes
        for item, offset in appended:
            if (compaction := self._compactions.get(item.partition.id)) is not None:
                compaction.note(offset, timestamp_ms, item.key, len(item.value))

    def _slice(self, upkeep: Iterator[None]) -> Iterator[None] | None:
        """Run one slice; None when that was the last."""
        try:
            next(upkeep)
        except StopIteration:
            self._report(Kept(self.topic_bytes()))
            return None
        except Exception as error:  # whatever it is, records must still be written
            self._roll_back()
            reason = unavailable(error, self._path) if isinstance(error, sqlite3.Error) else error
            logger.warning("upkeep of the log failed; tried again later", error=str(reason), exc_info=True)
            self._report(Kept(self.topic_bytes()))
            return None
        self._unsaved_bytes += 256 << 10
        self._ask_for_checkpoint()
        return upkeep

    def _roll_back(self) -> None:
        if self._file.db.in_transaction:
            try:
                self._file.db.execute("ROLLBACK")
            except sqlite3.Error:
                logger.exception("the log could not roll back")

    def _report(self, news: Written | Kept) -> None:
        try:
            self._loop.call_soon_threadsafe(self._tell, news)
        except RuntimeError:  # the loop is closed: nobody waits any more
            logger.warning("the log's event loop ended before the log was closed")

    # -- checkpoints: from the write-ahead file into the file proper --------------------------------------------

    def _ask_for_checkpoint(self) -> None:
        if self._unsaved_bytes > CHECKPOINT_AT_ONCE_BYTES:
            # The checkpointer never met the end of the write-ahead file, which grows: write nothing until it is saved.
            self._unsaved_bytes = 0
            try:
                self._file.db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
            except sqlite3.Error as error:
                logger.warning("checkpoint of the log failed", error=str(unavailable(error, self._path)))
        elif self._unsaved_bytes > CHECKPOINT_EVERY_BYTES:
            self._checkpoint_wanted.set()

    def _checkpoints(self) -> None:
        db = sqlite3.connect(self._path, isolation_level=None, timeout=1.0)
        try:
            while True:
                self._checkpoint_wanted.wait()
                if self._stopping:
                    return
                self._checkpoint_wanted.clear()
                try:
                    _, pages, saved = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                except sqlite3.Error as error:
                    logger.warning("checkpoint of the log failed", error=str(unavailable(error, self._path)))
                    continue
                if pages == saved:
                    self._unsaved_bytes = 0
        finally:
            db.close()
