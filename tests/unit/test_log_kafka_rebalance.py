"""What a Kafka consumer does with batches that cross a rebalance: nothing twice without need, nothing passed over."""

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

from aiokafka import ConsumerRecord
from aiokafka import TopicPartition as KafkaPartition
from faststream.kafka import KafkaBroker

from schemas.topics import FRAMES
from services.runtime.log.kafka_consumer import KafkaConsumer
from services.runtime.log.port import Record, TopicPartition

PARTITION = KafkaPartition("frames", 0)


class FakeClient:
    """aiokafka's consumer, as far as it is asked here."""

    def __init__(self) -> None:
        self.positions: dict[KafkaPartition, int] = {}
        self.commits: dict[KafkaPartition, int] = {}
        self.may_tell = asyncio.Event()
        self._coordinator = SimpleNamespace(generation=1)

    async def position(self, partition: KafkaPartition) -> int:
        return self.positions[partition]

    async def committed(self, partition: KafkaPartition) -> int | None:
        await self.may_tell.wait()
        return self.commits.get(partition)

    async def commit(self, offsets: dict[KafkaPartition, int]) -> None:
        self.commits |= offsets


class FakeBroker:
    """FastStream's broker: hands out a subscriber and keeps what it was asked for."""

    def __init__(self) -> None:
        self.consumer = FakeClient()
        self.options: dict[str, Any] = {}

    def subscriber(self, *_: object, **options: Any) -> "FakeBroker":
        self.options = options
        return self

    def __call__(self, _: Callable[..., object]) -> None: ...


class Collects:
    def __init__(self) -> None:
        self.offsets: list[int] = []

    async def assigned(self, partitions: frozenset[TopicPartition], epoch: int) -> None: ...

    async def handle(self, records: Sequence[Record]) -> None:
        self.offsets += [record.offset for record in records]

    async def revoked(self, partitions: frozenset[TopicPartition]) -> None: ...


def member(broker: FakeBroker, handler: Collects) -> KafkaConsumer:
    return KafkaConsumer(
        cast(KafkaBroker, broker), "", [FRAMES], handler, group="group", instance_id=None, max_records=10
    )


def batch(client: FakeClient, *offsets: int) -> list[ConsumerRecord[bytes, bytes]]:
    """Read these: the position goes past them."""
    client.positions[PARTITION] = offsets[-1] + 1
    return [ConsumerRecord("frames", 0, offset, 0, 0, b"key", b"value", None, 3, 5, ()) for offset in offsets]


async def test_what_is_read_before_the_handler_knows_its_partitions_waits_for_that() -> None:
    broker, handler = FakeBroker(), Collects()
    consumer = member(broker, handler)
    await consumer.on_partitions_revoked(set())
    await consumer.on_partitions_assigned({PARTITION})
    taking = asyncio.create_task(consumer._take(batch(broker.consumer, 0, 1)))
    await asyncio.sleep(0)
    assert handler.offsets == []
    broker.consumer.may_tell.set()
    await taking
    assert handler.offsets == [0, 1]


async def test_what_was_read_before_a_rebalance_and_comes_again_is_dropped() -> None:
    broker, handler = FakeBroker(), Collects()
    broker.consumer.may_tell.set()
    consumer = member(broker, handler)
    await consumer.on_partitions_assigned({PARTITION})
    await consumer._take(batch(broker.consumer, 0, 1))
    stale = batch(broker.consumer, 2, 3)
    await consumer.on_partitions_revoked({PARTITION})
    taking = asyncio.create_task(consumer._take(stale))
    broker.consumer.positions[PARTITION] = 0  # nothing was finished: it reads from the start again
    await consumer.on_partitions_assigned({PARTITION})
    await taking
    assert handler.offsets == [0, 1]
    await consumer._take(batch(broker.consumer, 0, 1, 2, 3))
    assert handler.offsets == [0, 1, 0, 1, 2, 3]


async def test_an_assignment_taken_away_before_it_was_told_is_forgotten() -> None:
    broker, handler = FakeBroker(), Collects()
    consumer = member(broker, handler)
    await consumer.on_partitions_assigned({PARTITION})
    await consumer.on_partitions_revoked({PARTITION})
    broker.consumer.may_tell.set()
    assert consumer._assigning is not None
    await consumer._assigning
    assert await consumer._delivery.deliver([], 0) is False
    assert consumer._delivery.owned == frozenset()


def test_each_member_has_a_sticky_assignor_of_its_own() -> None:
    brokers = FakeBroker(), FakeBroker()
    for broker in brokers:
        member(broker, Collects())
    one, other = (broker.options["partition_assignment_strategy"][0] for broker in brokers)
    one.on_generation_assignment(5)
    assert other.generation != 5
