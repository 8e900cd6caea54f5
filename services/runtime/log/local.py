"""`LocalLog`: the event log in one SQLite file, for all services in one process.

An acknowledgement means committed to the file: the process may be killed at any time and nothing acknowledged is lost.
(A power cut may cost what the operating system had not yet put on the disk, a few seconds at most; the file stays
sound.) Writing, reading and upkeep each have their thread; this class lives in the event loop.
"""

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from sqlite3 import Error as SqliteError
from typing import Any, TypeVar

import structlog

from schemas.topics import TOPICS, Topic
from services.runtime.log.budget import Budget
from services.runtime.log.local_consumer import LocalConsumer
from services.runtime.log.local_file import LogFile, unavailable
from services.runtime.log.local_groups import Group
from services.runtime.log.local_lock import DataLock
from services.runtime.log.local_upkeep import Partition
from services.runtime.log.local_writer import Append, Check, CommitOffsets, Kept, LocalWriter, Upkeep, Written
from services.runtime.log.partitions import partition_of
from services.runtime.log.port import (
    MAX_VALUE_BYTES,
    Consumer,
    Handler,
    LogUnavailable,
    Position,
    Record,
    TopicPartition,
)
from services.runtime.log.tail import TailCache

logger = structlog.get_logger(__name__)
T = TypeVar("T")

MAX_RECORDS_UNDER_WAY = 4096
MAX_BYTES_UNDER_WAY = 32 << 20
UPKEEP_EVERY_S = 2.0
FIRST_UPKEEP_AFTER = 15  # so many times as long: until then the groups are there, whose unread records are kept
UNLIMITED = 1 << 62
LEAST_FREE_BYTES = 32 << 20
MOST_EPOCHS_OF_A_PROCESS = 1 << 20  # those of the next process are greater


class LocalLog:
    """The log in the file at `path`; a folder that is not there is made."""

    name = "log"

    def __init__(
        self,
        path: Path,
        topics: Sequence[Topic] = TOPICS,
        *,
        max_records: int = MAX_RECORDS_UNDER_WAY,
        max_bytes: int = MAX_BYTES_UNDER_WAY,
        upkeep_every_s: float = UPKEEP_EVERY_S,
    ) -> None:
        self.tail = TailCache()
        self._path = path
        self._topics = {topic.name: topic for topic in topics}
        self._lock = DataLock(path)
        self._under_way = Budget(max_records=max_records, max_bytes=max_bytes)
        # A topic with a size limit has room for a tenth more. A group that lags keeps its records from being removed,
        # so when that is used up the publisher waits: the log never drops what a live group has not read.
        self._room = {
            topic.name: Budget(max_records=UNLIMITED, max_bytes=topic.retention_bytes * 11 // 10)
            for topic in topics
            if topic.retention_bytes is not None
        }
        self._turns = {topic.name: asyncio.Lock() for topic in topics}  # sends of one topic keep their order
        self._upkeep_every_s = upkeep_every_s
        self._upkeep_running = False
        self._partitions: dict[TopicPartition, Partition] = {}
        self._next: dict[int, int] = {}
        self._watchers: dict[int, list[LocalConsumer]] = {}
        self._groups: dict[str, Group] = {}
        self._first_epoch = 0
        self._upkeep_timer: asyncio.TimerHandle | None = None
        self._failure: LogUnavailable | None = None
        self._failures_heard = 0
        self._file: LogFile | None = None
        self._reader: LogFile | None = None
        self._writer: LocalWriter | None = None
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="log-reader")

    # -- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Raises `LogStartFailed` when the file is in use, cannot be written, or is none of ours."""
        loop = asyncio.get_running_loop()
        self._lock.take()
        try:
            self._file = file = LogFile(self._path, writable=True)
            self._reader = LogFile(self._path, writable=False)
            ids = file.declare(list(self._topics.values()))
            self._first_epoch = file.count_opening() * MOST_EPOCHS_OF_A_PROCESS
        except BaseException:
            self._release()
            raise
        self._partitions = {
            source: Partition(ids[source], source, topic)
            for topic in self._topics.values()
            for source in (TopicPartition(topic.name, number) for number in range(topic.partitions))
        }
        self._writer = LocalWriter(self._path, file, list(self._partitions.values()), loop, self._hear)
        self._next = {partition_id: head.next for partition_id, head in self._writer.heads.items()}
        by_id = {partition.id: partition.source for partition in self._partitions.values()}
        for group, partition_id, offset in file.offsets():
            if partition_id in by_id:
                self._group(group).committed[by_id[partition_id]] = offset
        for topic, size_bytes in self._writer.topic_bytes().items():
            if topic in self._room:
                self._room[topic].take(size_bytes)
        self._writer.start()
        self._upkeep_timer = loop.call_later(FIRST_UPKEEP_AFTER * self._upkeep_every_s, self._upkeep)

    async def close(self) -> None:
        if self._writer is None:
            return
        if self._upkeep_timer is not None:
            self._upkeep_timer.cancel()
        await asyncio.to_thread(self._writer.stop)
        await asyncio.sleep(0)  # what the writer told last has been heard
        self._writer = None
        self._reading.shutdown()
        self._release()

    stop = close

    def _release(self) -> None:
        for file in (self._reader, self._file):
            if file is not None:
                file.close()
        self._lock.release()

    async def check(self) -> None:
        free_bytes = shutil.disk_usage(self._path.parent).free
        if free_bytes < LEAST_FREE_BYTES:
            raise LogUnavailable(
                f"only {free_bytes >> 20} MiB are left on the disk that holds {self._path}; free some space there"
            )
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running().put(Check(done))
        await done

    # -- sending ------------------------------------------------------------------------------------------------

    async def send(
        self, topic: Topic, key: str, value: bytes, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[Position]:
        if len(value) > MAX_VALUE_BYTES:
            raise ValueError(f"a record of {topic.name} has {len(value)} bytes; at most {MAX_VALUE_BYTES} are taken")
        done: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        if self._writer is None:
            fail(done, LogUnavailable("the log is not open"))
            return done
        partition = self.partition(TopicPartition(topic.name, partition_of(key, topic.partitions)))
        headers = {"schema": topic.schema, "session_id": key, **(headers or {})}
        size_bytes = len(value) + 512
        room = self._room.get(topic.name)
        async with self._turns[topic.name]:
            if room is not None:
                await room.acquire(size_bytes)
            await self._under_way.acquire(size_bytes)
            self._running().put(Append(partition, key, value, headers, size_bytes, self._failures_heard, done))
        return done

    def _hear(self, news: Written | Kept) -> None:
        """Called in the loop after each transaction."""
        if isinstance(news, Kept):
            self._upkeep_running = False
            for topic, size_bytes in news.topic_bytes.items():
                if (room := self._room.get(topic)) is not None:
                    room.release(room.bytes - size_bytes, 0)
            return
        self._failure = news.error
        self._failures_heard = news.failures
        for append, offset in news.appended:
            self._under_way.release(append.size_bytes)
            if news.error is None:
                self._publish(append, offset, news.timestamp_ms)
            else:
                if (room := self._room.get(append.partition.topic.name)) is not None:
                    room.release(append.size_bytes)
                fail(append.done, news.error)
        for item in news.others:
            if news.error is not None:
                fail(item.done, news.error)
            elif not item.done.done():
                item.done.set_result(None)

    def _publish(self, append: Append, offset: int, timestamp_ms: int) -> None:
        partition = append.partition
        record = Record(*partition.source, offset, append.key, append.value, append.headers, timestamp_ms)
        self.tail.append(partition.id, record)
        self._next[partition.id] = offset + 1
        for watcher in self._watchers.get(partition.id, ()):
            watcher.notify(partition.id)
        if not append.done.done():
            append.done.set_result(Position(partition.source.partition, offset))

    def _upkeep(self) -> None:
        """Ask the writer for a round of retention and compaction; nothing that a live group still needs goes."""
        self._upkeep_timer = asyncio.get_running_loop().call_later(self._upkeep_every_s, self._upkeep)
        if self._upkeep_running or self._writer is None:
            return
        self._upkeep_running = True
        protected: dict[int, int] = {}
        for group in self._groups.values():
            topics = group.topics()
            for source, partition in self._partitions.items():
                if source.topic in topics:
                    needed = group.committed.get(source, 0)
                    protected[partition.id] = min(needed, protected.get(partition.id, needed))
        self._writer.put(Upkeep(protected))

    # -- consuming ----------------------------------------------------------------------------------------------

    def consumer(
        self, topics: Sequence[Topic], handler: Handler, *, group: str | None, max_records: int = 256
    ) -> Consumer:
        return LocalConsumer(self, topics, handler, self._group(group) if group else None, max_records)

    async def snapshot(self, topic: Topic, *partitions: int) -> Mapping[str, Record]:
        known = [self.partition(TopicPartition(topic.name, number)) for number in partitions]
        found: dict[str, Record] = {}
        for each in known:
            found |= await self._in_reader(partial(LogFile.newest_by_key, source=each.source, partition_id=each.id))
        return found

    def _group(self, name: str) -> Group:
        if name not in self._groups:
            by_topic = {
                topic.name: [TopicPartition(topic.name, number) for number in range(topic.partitions)]
                for topic in self._topics.values()
            }
            self._groups[name] = Group(name, by_topic, self._first_epoch)
        return self._groups[name]

    # -- what consumers ask -------------------------------------------------------------------------------------

    def partition(self, source: TopicPartition) -> Partition:
        try:
            return self._partitions[source]
        except KeyError:
            if self._writer is None:
                raise LogUnavailable("the log is not open") from None
            raise ValueError(f"the log has no partition {source.partition} of a topic {source.topic!r}") from None

    def next_offset(self, partition_id: int) -> int:
        return self._next[partition_id]

    def watch(self, partition_id: int, reader: LocalConsumer) -> None:
        self._watchers.setdefault(partition_id, []).append(reader)

    def unwatch(self, partition_id: int, reader: LocalConsumer) -> None:
        watchers = self._watchers.get(partition_id, [])
        if reader in watchers:
            watchers.remove(reader)

    async def read(
        self, wanted: Sequence[tuple[Partition, int]], max_records: int, max_bytes: int
    ) -> list[tuple[list[Record], int]]:
        ends = [self._next[partition.id] for partition, _ in wanted]
        return await self._in_reader(
            lambda file: [
                file.read(partition.source, partition.id, offset, upto, max_records, max_bytes)
                for (partition, offset), upto in zip(wanted, ends, strict=True)
            ]
        )

    async def commit(self, group: Group, offsets: Mapping[TopicPartition, int]) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        by_id = {self.partition(source).id: offset for source, offset in offsets.items()}
        self._running().put(CommitOffsets(group.name, by_id, done))
        await done
        for source, offset in offsets.items():
            group.committed[source] = max(offset, group.committed.get(source, 0))

    # -- helpers ------------------------------------------------------------------------------------------------

    def _running(self) -> LocalWriter:
        if self._writer is None:
            raise LogUnavailable("the log is not open")
        return self._writer

    async def _in_reader(self, job: Callable[[LogFile], T]) -> T:
        reader = self._reader
        if self._writer is None or reader is None:
            raise LogUnavailable("the log is not open")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reading, job, reader)
        except SqliteError as error:
            raise unavailable(error, self._path) from error


def fail(done: "asyncio.Future[Any]", error: LogUnavailable) -> None:
    if not done.done():
        done.set_exception(error)
