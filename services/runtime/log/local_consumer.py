"""A consumer of the local log: takes turns among its partitions, from memory at the tail, else from the file."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol

import structlog

from schemas.topics import Topic
from services.runtime.log.commits import Commits
from services.runtime.log.delivery import Delivery
from services.runtime.log.local_groups import Group
from services.runtime.log.local_upkeep import Partition
from services.runtime.log.port import Handler, LogUnavailable, Record, TopicPartition
from services.runtime.log.tail import TailCache

logger = structlog.get_logger(__name__)

MAX_BATCH_BYTES = 8 << 20


class Source(Protocol):
    """What a consumer needs of its log."""

    tail: TailCache

    def partition(self, source: TopicPartition) -> Partition: ...
    def next_offset(self, partition_id: int) -> int: ...
    def watch(self, partition_id: int, reader: "LocalConsumer") -> None: ...
    def unwatch(self, partition_id: int, reader: "LocalConsumer") -> None: ...
    async def read(
        self, wanted: Sequence[tuple[Partition, int]], max_records: int, max_bytes: int
    ) -> list[tuple[list[Record], int]]: ...
    async def commit(self, group: Group, offsets: Mapping[TopicPartition, int]) -> None: ...


class LocalConsumer:
    """One member of a group, or a group-less reader of everything new (`group` None).

    It holds one batch (`max_records`, `MAX_BATCH_BYTES`); the rest waits in the file until the handler took that."""

    def __init__(
        self, log: Source, topics: Sequence[Topic], handler: Handler, group: Group | None, max_records: int
    ) -> None:
        self._log = log
        self.topics = frozenset(topic.name for topic in topics)
        self._declared = topics
        self.group = group
        self._max_records = max_records
        self.delivery = Delivery(handler, group=group.name if group else None)
        self._commits = Commits(self.delivery, partial(log.commit, group), group.name) if group else None
        self._next: dict[int, int] = {}  # partition id → next offset to hand over
        self._partitions: dict[int, Partition] = {}
        self._ready: dict[int, None] = {}  # partitions with something to read; the first has waited longest
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"consumer {self.group.name if self.group else 'of all'}")
        if self.group is not None:
            self.group.join(self)
            return
        for topic in self._declared:
            for number in range(topic.partitions):
                partition = self._log.partition(TopicPartition(topic.name, number))
                self._follow(partition, self._log.next_offset(partition.id))

    async def stop(self) -> None:
        if self._task is None:
            return
        self.delivery.halt()
        try:
            if self.group is not None:
                await self.group.leave(self)
            await self.delivery.idle()
        finally:
            if self._commits is not None:
                await self._commits.close()
            task, self._task = self._task, None
            for partition_id in list(self._partitions):
                self._unfollow(partition_id)
            task.cancel()
            await asyncio.wait([task])

    def finish(self, record: Record) -> None:
        if self.delivery.finish(record) and self._commits is not None:
            self._commits.soon()

    async def lag(self) -> Mapping[TopicPartition, int]:
        lags = {}
        for partition_id, partition in self._partitions.items():
            committed = self.delivery.committed(partition.source)
            done = self._next[partition_id] if committed is None else committed
            lags[partition.source] = self._log.next_offset(partition_id) - done
        return lags

    def oldest_ms(self) -> int | None:
        return self.delivery.oldest_ms

    # -- membership ---------------------------------------------------------------------------------------------

    async def take_over(self, partitions: frozenset[TopicPartition], epoch: int) -> None:
        group = self.group
        assert group is not None  # noqa: S101 - only a group calls this
        committed = {source: group.committed.get(source, 0) for source in partitions}

        def follow() -> None:
            for source, offset in committed.items():
                self._follow(self._log.partition(source), offset)

        await self.delivery.assign(committed, epoch, follow)

    async def give_away(self, partitions: frozenset[TopicPartition]) -> None:
        for source in partitions:
            self._unfollow(self._log.partition(source).id)
        if self._commits is not None:
            await self.delivery.revoke(partitions, self._commits.last)

    def _follow(self, partition: Partition, offset: int) -> None:
        self._partitions[partition.id] = partition
        self._next[partition.id] = offset
        self._log.watch(partition.id, self)
        if offset < self._log.next_offset(partition.id):
            self.notify(partition.id)

    def _unfollow(self, partition_id: int) -> None:
        self._log.unwatch(partition_id, self)
        self._partitions.pop(partition_id, None)
        self._next.pop(partition_id, None)
        self._ready.pop(partition_id, None)

    # -- reading ------------------------------------------------------------------------------------------------

    def notify(self, partition_id: int) -> None:
        """There is something new on a partition."""
        self._ready[partition_id] = None
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._ready and not self.delivery.halted:
                try:
                    await self._turn()
                    await asyncio.sleep(0)  # a handler that never waits must not keep the loop to itself
                except LogUnavailable as error:
                    logger.warning("the log cannot be read; tried again", error=str(error))
                    await asyncio.sleep(1.0)

    async def _turn(self) -> None:
        """Read one batch, an equal part from each partition that has something, and deliver it."""
        epoch = self.delivery.epoch
        turn = list(self._ready)[: self._max_records]
        max_records = max(1, self._max_records // len(turn))
        max_bytes = MAX_BATCH_BYTES // len(turn)
        read: dict[int, tuple[list[Record], int]] = {}
        behind: list[tuple[Partition, int]] = []
        for partition_id in turn:
            position = self._next[partition_id]
            records = self._log.tail.read(partition_id, position, max_records, max_bytes)
            if records is None:
                behind.append((self._partitions[partition_id], position))
            else:
                read[partition_id] = (records, records[-1].offset + 1)
        if behind:
            found = await self._log.read(behind, max_records, max_bytes)
            read |= {partition.id: each for (partition, _), each in zip(behind, found, strict=True)}

        def taken() -> None:
            for partition_id, (records, position) in read.items():
                if partition_id in self._next:
                    self._advance(partition_id, records, position)

        batch = [record for records, _ in read.values() for record in records]
        if batch:
            await self.delivery.deliver(batch, epoch, taken)
        elif epoch == self.delivery.epoch:
            taken()

    def _advance(self, partition_id: int, records: Sequence[Record], position: int) -> None:
        before, partition = self._next[partition_id], self._partitions[partition_id]
        if before > 0 and not partition.topic.compacted and (not records or records[0].offset > before):
            missed = (records[0].offset if records else position) - before
            logger.warning(
                "records were removed by retention before they were read",
                group=self.group.name if self.group else None,
                topic=partition.source.topic,
                partition=partition.source.partition,
                records=missed,
            )
        self._next[partition_id] = position
        self._ready.pop(partition_id, None)
        if position < self._log.next_offset(partition_id):
            self._ready[partition_id] = None  # to the end of the line
