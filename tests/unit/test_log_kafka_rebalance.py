"""What a Kafka consumer does with batches that cross a rebalance: nothing twice without need, nothing passed over."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any, cast

import pytest
from aiokafka import ConsumerRecord
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.protocol.metadata import MetadataResponse_v1
from aiokafka.structs import OffsetAndMetadata
from faststream.kafka import KafkaBroker

from schemas.topics import FRAMES
from services.runtime.log.kafka_consumer import KafkaConsumer, _assignor
from services.runtime.log.kafka_group import GENERATION_BITS, Note, next_note
from services.runtime.log.port import Record, TopicPartition

PARTITION = KafkaPartition("frames", 0)


class FakeClient:
    """aiokafka's consumer and its coordinator, as far as they are asked here."""

    def __init__(self) -> None:
        self.positions: dict[KafkaPartition, int] = {}
        self.commits: dict[KafkaPartition, OffsetAndMetadata] = {}
        self.may_tell = asyncio.Event()
        self.generation = 1
        self.heartbeats = 0
        self.known: set[int] | None = {0}
        self._coordinator = self

    def subscription(self) -> set[str]:
        return {"frames"}

    def partitions_for_topic(self, _: str) -> set[int] | None:
        return self.known

    async def position(self, partition: KafkaPartition) -> int:
        return self.positions[partition]

    async def fetch_committed_offsets(
        self, partitions: Collection[KafkaPartition]
    ) -> dict[KafkaPartition, OffsetAndMetadata]:
        await self.may_tell.wait()
        return {each: self.commits[each] for each in partitions if each in self.commits}

    async def commit(self, offsets: dict[KafkaPartition, tuple[int, str]]) -> None:
        self.commits |= {each: OffsetAndMetadata(*offset) for each, offset in offsets.items()}

    async def _do_heartbeat(self) -> bool:
        self.heartbeats += 1
        return self.generation >= 0


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
        self.epochs: list[int] = []

    async def assigned(self, partitions: frozenset[TopicPartition], epoch: int) -> None:
        self.epochs.append(epoch)

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


async def test_what_was_read_before_a_rebalance_and_finished_by_another_owner_is_dropped() -> None:
    broker, handler = FakeBroker(), Collects()
    broker.consumer.may_tell.set()
    consumer = member(broker, handler)
    await consumer.on_partitions_assigned({PARTITION})
    await consumer._take(batch(broker.consumer, 0))
    stale = batch(broker.consumer, 1, 2)
    await consumer.on_partitions_revoked({PARTITION})
    broker.consumer.commits[PARTITION] = OffsetAndMetadata(4, "0/2")
    broker.consumer.positions[PARTITION], broker.consumer.generation = 4, 3
    await consumer.on_partitions_assigned({PARTITION})
    await consumer._take(stale)
    assert handler.offsets == [0]
    await consumer._take(batch(broker.consumer, 4))
    assert handler.offsets == [0, 4]


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


async def told(consumer: KafkaConsumer) -> None:
    """Wait until the handler knows of an assignment."""
    assert consumer._assigning is not None
    await consumer._assigning


async def test_who_slept_hands_nothing_out_before_the_broker_says_that_it_is_a_member_still() -> None:
    broker, handler = FakeBroker(), Collects()
    client = broker.consumer
    client.may_tell.set()
    consumer = member(broker, handler)
    await consumer.on_partitions_assigned({PARTITION})
    await consumer._take(batch(client, 0))
    assert client.heartbeats == 0, "who is awake need not ask"
    consumer._membership._awake_s = -1e9
    await consumer._take(batch(client, 1))
    assert (client.heartbeats, handler.offsets) == (1, [0, 1])
    consumer._membership._awake_s = -1e9
    client.generation = -1  # what aiokafka makes of a heartbeat's answer "unknown member"
    taking = asyncio.create_task(consumer._take(batch(client, 2)))
    while consumer._settled.is_set():
        await asyncio.sleep(0)
    assert handler.offsets == [0, 1]
    await consumer.on_partitions_revoked({PARTITION})
    client.generation, client.positions[PARTITION] = 3, 1
    await consumer.on_partitions_assigned({PARTITION})
    await taking
    assert handler.offsets == [0, 1], "what it had read before is read again"
    assert handler.epochs == [1, 3]
    assert consumer._assignor.generation == 3, "its claims are as new as its assignment"


async def test_who_was_put_out_commits_nothing() -> None:
    broker, handler = FakeBroker(), Collects()
    broker.consumer.may_tell.set()
    consumer = member(broker, handler)
    await consumer.on_partitions_assigned({PARTITION})
    await consumer._take(batch(broker.consumer, 0))
    consumer.finish(Record("frames", 0, 0, "key", b"value", {}, 0))
    broker.consumer.generation = -1
    await consumer.on_partitions_revoked({PARTITION})
    assert broker.consumer.commits[PARTITION].offset == 0


async def test_the_epoch_rises_also_where_a_restart_is_no_rebalance() -> None:
    epochs: list[int] = []
    client = FakeClient()
    client.may_tell.set()
    for _ in range(3):  # three processes after each other, of one static member
        broker, handler = FakeBroker(), Collects()
        broker.consumer = client
        consumer = member(broker, handler)
        await consumer.on_partitions_assigned({PARTITION})
        await told(consumer)
        epochs += handler.epochs
    assert epochs == [1, 1 << GENERATION_BITS | 1, 2 << GENERATION_BITS | 1]


async def test_an_assignment_that_was_overtaken_leaves_the_next_ones_commits_alone() -> None:
    broker, handler = FakeBroker(), Collects()
    client = broker.consumer
    consumer = member(broker, handler)
    await consumer.on_partitions_assigned({PARTITION})
    overtaken = consumer._assigning
    assert overtaken is not None
    await asyncio.sleep(0)  # it waits for what is committed
    answer, client.may_tell = client.may_tell, asyncio.Event()
    client.may_tell.set()
    await consumer.on_partitions_revoked({PARTITION})
    client.generation = 2
    await consumer.on_partitions_assigned({PARTITION})
    await told(consumer)
    answer.set()
    await overtaken
    await consumer._take(batch(client, 0))
    consumer.finish(Record("frames", 0, 0, "key", b"value", {}, 0))
    await consumer.on_partitions_revoked({PARTITION})
    assert (handler.epochs, client.commits[PARTITION]) == ([2], OffsetAndMetadata(1, "0/2"))


async def test_what_is_committed_stays_though_the_topics_are_not_known_yet() -> None:
    broker, handler = FakeBroker(), Collects()
    client = broker.consumer
    client.may_tell.set()
    client.known = None
    client.commits[PARTITION] = OffsetAndMetadata(7, "")
    consumer = member(broker, handler)
    await consumer.on_partitions_assigned({PARTITION})
    await told(consumer)
    assert client.commits[PARTITION] == OffsetAndMetadata(7, "0/1")


def test_a_note_is_greater_than_all_before_it() -> None:
    assert next_note(5, [], []) == Note(0, 5)
    assert next_note(6, [Note(0, 5)], [Note(0, 5), Note(0, 5)]) == Note(0, 6), "a rebalance: follows directly"
    assert next_note(5, [Note(0, 5)], [Note(0, 5)]) == Note(1, 5), "the same generation again"
    assert next_note(6, [Note(0, 5)], [Note(0, 5), Note(1, 5)]) == Note(1, 6), "what one raised counts for all"
    assert [Note.read(text) for text in ("3/7", "", "x", "-1/2", "1/", str(Note(2, 9)))] == [
        Note(3, 7),
        Note(0, 0),
        Note(0, 0),
        Note(0, 0),
        Note(0, 0),
        Note(2, 9),
    ]


def test_each_member_has_a_sticky_assignor_of_its_own() -> None:
    brokers = FakeBroker(), FakeBroker()
    for broker in brokers:
        member(broker, Collects())
    one, other = (broker.options["partition_assignment_strategy"][0] for broker in brokers)
    one.on_generation_assignment(5)
    assert other.generation != 5


class Rounds:
    """Rebalances of one group, as its leader computes them."""

    def __init__(self, topics: Sequence[str], partitions: int) -> None:
        self._topics = topics
        self._cluster = ClusterMetadata()
        described = [(0, topic, False, [(0, number, 0, [0], [0]) for number in range(partitions)]) for topic in topics]
        self._cluster.update_metadata(MetadataResponse_v1([(0, "host", 9092, None)], 0, described))
        self.members: dict[str, Any] = {}
        self._generation = 0

    def rebalance(self, names: set[str]) -> dict[str, set[tuple[str, int]]]:
        self.members = {name: self.members.get(name) or _assignor() for name in sorted(names)}
        self._generation += 1
        claims: dict[str, ConsumerProtocolMemberMetadata] = {
            name: assignor.metadata(self._topics) for name, assignor in self.members.items()
        }
        shares: dict[str, ConsumerProtocolMemberAssignment] = next(iter(self.members.values())).assign(
            self._cluster, claims
        )
        for name, assignor in self.members.items():
            assignor.on_assignment(shares[name])
            assignor.on_generation_assignment(self._generation)
        return {name: {tuple(each) for each in share.partitions()} for name, share in shares.items()}


@pytest.mark.parametrize("topics", [["frames"], ["metrics", "predictions", "status"]])
def test_a_rebalance_moves_only_what_it_must(topics: list[str]) -> None:
    group = Rounds(topics, 12)
    all_of_them = 12 * len(topics)
    one = group.rebalance({"a"})
    two = group.rebalance({"a", "b"})
    three = group.rebalance({"a", "b", "c"})
    back = group.rebalance({"a", "c"})
    assert {name: len(share) for name, share in two.items()} == {"a": all_of_them // 2, "b": all_of_them // 2}
    assert {len(share) for share in three.values()} == {all_of_them // 3}
    assert two["a"] < one["a"]
    assert three["a"] < two["a"]
    assert three["b"] < two["b"]
    assert three["a"] < back["a"]
    assert three["c"] < back["c"]


def test_who_slept_through_a_rebalance_has_no_claim_against_its_heir() -> None:
    group = Rounds(["frames"], 12)
    group.rebalance({"sleeper", "b", "c"})
    sleeper = group.members["sleeper"]
    heirs = group.rebalance({"b", "c"})
    group.members["sleeper"] = sleeper
    after = group.rebalance({"sleeper", "b", "c"})
    assert {len(share) for share in after.values()} == {4}
    assert after["b"] < heirs["b"]
    assert after["c"] < heirs["c"]
