"""A consumer of Kafka: FastStream's batch subscriber, with the offsets and the rebalances in our hands.

Nothing is committed automatically. At a rebalance aiokafka takes every partition away and gives most of them back;
`revoked` drains before that, and what was read before it and not delivered yet is told from what was read after it by
the consumer's position, and dropped: it comes again.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka import Topic as FastStreamTopic

from schemas.topics import Topic
from services.runtime.log.commits import Commits
from services.runtime.log.delivery import Delivery, pause_s
from services.runtime.log.kafka_group import Membership
from services.runtime.log.port import Handler, LogStartFailed, LogUnavailable, Record, TopicPartition
from services.runtime.log.topics import describe, unreachable

logger = structlog.get_logger(__name__)

SESSION_TIMEOUT_MS = 6_000  # the least that brokers take by default
# A member hears of a rebalance with its next heartbeat, and all wait for the last to hear.
HEARTBEAT_MS = 300
# An empty fetch occupies the connection so long; the first one after a rebalance waits behind it.
FETCH_WAIT_MS = 200
REBALANCE_TIMEOUT_MS = 30_000
START_WITHIN_S = 45.0  # joining waits for members that give away slowly, up to the rebalance timeout
# What is read ahead: so much of each partition; the rest waits at the broker until the handler took that.
MAX_PARTITION_FETCH_BYTES = 256 << 10
# A handler that waits is back-pressure and no reason to lose the partitions: heartbeats say that the member lives.
MAX_POLL_INTERVAL_MS = 3_600_000
# FastStream sleeps as long again after an empty read; so no read is empty: each waits until there is something.
READ_TIMEOUT_MS = 10**12
STOP_WITHIN_S = 5.0
ASLEEP_S = SESSION_TIMEOUT_MS / 2000  # whoever was silent for longer asks whether it is a member still


class KafkaConsumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """One member of a group, or a group-less reader of everything new (`group` None)."""

    def __init__(
        self,
        broker: KafkaBroker,
        bootstrap: str,
        topics: Sequence[Topic],
        handler: Handler,
        *,
        group: str | None,
        instance_id: str | None,
        max_records: int,
    ) -> None:
        self._bootstrap = bootstrap
        self._group = group
        self._who = {"group": group, "instance_id": instance_id}
        self._membership = Membership(lambda: self._consumer, ASLEEP_S)
        self._delivery = Delivery(handler, group=group, still_member=self._still_member if group else None)
        self._commits = Commits(self._delivery, self._membership.commit, group) if group else None
        self._settled = asyncio.Event()  # the assignment is known and the handler knows it
        self._delivered_epoch = 0
        self._assigning: asyncio.Task[None] | None = None
        self._assignor = _assignor()
        self._subscriber = broker.subscriber(
            *(FastStreamTopic(topic.name, declare=False) for topic in topics),
            batch=True,
            batch_timeout_ms=READ_TIMEOUT_MS,
            max_records=max_records,
            group_id=group,
            group_instance_id=instance_id if group else None,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest" if group else "latest",
            partition_assignment_strategy=(self._assignor,),
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            rebalance_timeout_ms=REBALANCE_TIMEOUT_MS,
            max_poll_interval_ms=MAX_POLL_INTERVAL_MS,
            max_partition_fetch_bytes=MAX_PARTITION_FETCH_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            listener=self if group else None,
            parser=_parse,
            decoder=_decode,
            no_reply=True,
            persistent=False,
        )
        self._subscriber(self._take)

    # -- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        try:
            async with asyncio.timeout(START_WITHIN_S):
                await self._subscriber.start()
                if self._group is None:
                    await self._consumer.seek_to_end()
                    self._settled.set()
        except (KafkaError, TimeoutError) as error:
            with contextlib.suppress(KafkaError):
                await self._subscriber.stop()
            raise LogStartFailed(f"{unreachable(self._bootstrap)} ({describe(error)})") from error

    async def stop(self) -> None:
        if self._subscriber.consumer is None:
            return
        self._delivery.halt()
        self._settled.set()
        try:
            if self._commits is not None:
                await self._delivery.revoke(None, self._commits.last)
            await self._delivery.idle()
        finally:
            if self._commits is not None:
                await self._commits.close()
            if self._assigning is not None:
                self._assigning.cancel()
            try:
                async with asyncio.timeout(STOP_WITHIN_S):
                    await self._subscriber.stop()
            except TimeoutError:
                logger.warning("Kafka did not answer the consumer's farewell", group=self._group)
            self._subscriber.consumer = None

    def finish(self, record: Record) -> None:
        if self._delivery.finish(record) and self._commits is not None:
            self._commits.soon()

    async def lag(self) -> Mapping[TopicPartition, int]:
        consumer = self._consumer
        try:
            if self._group is None:
                done = {partition: await consumer.position(partition) for partition in consumer.assignment()}
            else:
                owned = {source: self._delivery.committed(source) for source in self._delivery.owned}
                done = {KafkaPartition(*source): offset or 0 for source, offset in owned.items()}
            ends = await consumer.end_offsets(list(done)) if done else {}
        except KafkaError as error:
            raise LogUnavailable(describe(error)) from error
        return {TopicPartition(*source): max(0, ends[source] - offset) for source, offset in done.items()}

    def oldest_ms(self) -> int | None:
        return self._delivery.oldest_ms

    # -- reading ------------------------------------------------------------------------------------------------

    @property
    def _consumer(self) -> AIOKafkaConsumer:
        consumer = self._subscriber.consumer
        if consumer is None:
            raise LogUnavailable("the consumer is not started")
        return consumer

    async def _take(self, message: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        """Called by FastStream with each batch; reads on when this returns.

        An exception would be logged and the batch be passed over, so none leaves.
        """
        records = [record_of(each) for each in message]
        while records and not self._delivery.halted:
            self._delivery.await_turn(records)
            try:
                await self._settled.wait()
                epoch = self._delivery.epoch
                if self._group is not None and epoch != self._delivered_epoch:
                    records = await self._fresh(records)
                    if epoch != self._delivery.epoch:
                        continue
                if await self._delivery.deliver(records, epoch):
                    break
                if self._settled.is_set() and epoch == self._delivery.epoch:
                    await asyncio.sleep(pause_s(0))  # the broker did not say whether this is a member still
            except (KafkaError, LogUnavailable) as error:
                logger.warning("a batch cannot be delivered yet", group=self._group, error=describe(error))
                await asyncio.sleep(pause_s(0))
        self._delivery.await_turn(())
        self._delivered_epoch = self._delivery.epoch
        if self._delivery.halted:
            await asyncio.sleep(0.05)  # until the subscriber is stopped, what it still reads is left unread

    async def _fresh(self, records: Sequence[Record]) -> list[Record]:
        """Those that were read under the present assignment: its position has gone past them."""
        newest: dict[TopicPartition, int] = defaultdict(int)
        for record in records:
            newest[record.source] = record.offset
        fresh = set()
        for source, offset in newest.items():
            with contextlib.suppress(IllegalStateError):
                if source in self._delivery.owned and await self._consumer.position(KafkaPartition(*source)) > offset:
                    fresh.add(source)
        return [record for record in records if record.source in fresh]

    # -- membership (called by aiokafka) ------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: Collection[KafkaPartition]) -> None:
        self._settled.clear()
        if revoked and self._membership.generation < 0:
            logger.warning(
                "put out of the group: too long silent, or another process has this INSTANCE_ID", **self._who
            )
        if self._commits is not None:
            await self._delivery.revoke(None, self._commits.last)

    async def on_partitions_assigned(self, assigned: Collection[KafkaPartition]) -> None:
        generation = self._membership.generation
        self._assignor.on_generation_assignment(generation)
        # In a task of its own: no heartbeats are sent while aiokafka waits for this, and state may take long to load.
        self._assigning = asyncio.create_task(
            self._assign(assigned, self._delivery.epoch, generation), name=f"assigned in {self._group}"
        )

    async def _assign(self, assigned: Collection[KafkaPartition], epoch: int, generation: int) -> None:
        attempt = 0
        while assigned and epoch == self._delivery.epoch:  # else taken away again meanwhile
            try:
                group_epoch, committed = await self._membership.take_over(assigned, generation)
            except (KafkaError, LogUnavailable) as error:
                logger.warning("an assignment waits", group=self._group, error=describe(error))
                await asyncio.sleep(pause_s(attempt))
                attempt += 1
                continue
            if epoch == self._delivery.epoch:
                await self._delivery.assign(committed, group_epoch, self._settled.set)
            return
        if epoch == self._delivery.epoch:
            self._settled.set()

    async def _still_member(self) -> bool:
        if await self._membership.stands():
            return True
        if self._membership.generation < 0:
            self._settled.clear()  # aiokafka is about to take the partitions away, and to join again
        return False


def _assignor() -> type[StickyPartitionAssignor]:
    """A sticky assignor of its own for each consumer: it keeps what its member owned in the class, where all consumers
    of a process would claim each other's partitions.

    aiokafka does not tell it the generation, without which a member that slept claims as good a right as its heirs."""
    return type("StickyPartitionAssignor", (StickyPartitionAssignor,), {})


async def _parse(message: tuple[ConsumerRecord[bytes, bytes], ...]) -> KafkaMessage:
    """The batch as it is: FastStream's own parser would decode every header and body."""
    return KafkaMessage(body=message, raw_message=message, consumer=None)  # type: ignore[arg-type]


async def _decode(message: KafkaMessage) -> Any:
    return message.raw_message


def record_of(raw: ConsumerRecord[bytes, bytes]) -> Record:
    return Record(
        raw.topic,
        raw.partition,
        raw.offset,
        (raw.key or b"").decode(errors="replace"),
        raw.value or b"",
        {name: (value or b"").decode(errors="replace") for name, value in raw.headers},
        raw.timestamp,
    )
