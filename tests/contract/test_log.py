"""What every event log promises, held against each adapter: the local file, and a real Kafka."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from schemas.topics import Topic
from services.runtime.log import Consumer, EventLog, LogUnavailable, Record, TopicPartition
from services.runtime.log.kafka import KafkaLog
from services.runtime.log.local import LocalLog
from services.runtime.log.partitions import partition_of
from services.runtime.log.port import MAX_VALUE_BYTES
from tests.support.kafka import KafkaNode
from tests.support.log_reader import WITHIN_S, until

PARTITIONS = 4


class Place:
    """Where logs of one test live: opened, closed and opened again on the same data."""

    def __init__(self, folder: Path, bootstrap: str | None) -> None:
        self._folder = folder
        self._bootstrap = bootstrap
        self._suffix = uuid.uuid4().hex[:8]
        self._open: list[EventLog] = []
        self._consumers: list[Consumer] = []
        self.one = self._topic("one")
        self.two = self._topic("two")
        self.state = self._topic("state", compacted=True)

    def _topic(self, name: str, *, compacted: bool = False) -> Topic:
        return Topic(f"{name}-{self._suffix}", "key", "runtime", None, b"", partitions=PARTITIONS, compacted=compacted)

    async def open(self, max_records: int = 4096) -> EventLog:
        topics = [self.one, self.two, self.state]
        log: EventLog = (
            KafkaLog(self._bootstrap, topics, max_records=max_records)
            if self._bootstrap
            else LocalLog(self._folder / "log.sqlite", topics, max_records=max_records)
        )
        await log.start()
        self._open.append(log)
        return log

    async def close(self, log: EventLog) -> None:
        self._open.remove(log)
        await log.close()

    def group(self, name: str = "group") -> str:
        return f"{name}-{self._suffix}"

    async def member(
        self,
        log: EventLog,
        handler: "Listener",
        *,
        group: str | None,
        topics: Sequence[Topic] | None = None,
        max_records: int = 256,
    ) -> Consumer:
        """A consumer, started; it is stopped at the end of the test."""
        consumer = log.consumer(topics or [self.one], handler, group=group, max_records=max_records)
        handler.consumer = consumer
        self._consumers.append(consumer)
        await consumer.start()
        return consumer

    async def end(self) -> None:
        for consumer in self._consumers:
            await consumer.stop()
        for log in self._open:
            await log.close()
        self._consumers, self._open = [], []


class Listener:
    """A handler that notes everything, and that its calls never overlap. `done` finishes each record at once."""

    def __init__(self, *, done: bool = True) -> None:
        self.done = done
        self.records: list[Record] = []
        self.owned: set[TopicPartition] = set()
        self.assignments = 0
        self.epochs: dict[TopicPartition, int] = {}
        self.consumer: Consumer | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.inside = 0
        self.overlapped = False

    def values(self) -> list[bytes]:
        return [record.value for record in self.records]

    def finish(self, records: Sequence[Record]) -> None:
        assert self.consumer is not None
        for record in records:
            self.consumer.finish(record)

    async def _only_call(self) -> None:
        self.inside += 1
        self.overlapped |= self.inside > 1
        await asyncio.sleep(0)
        await self.gate.wait()
        self.inside -= 1

    async def assigned(self, partitions: frozenset[TopicPartition], epoch: int) -> None:
        await self._only_call()
        self.owned |= partitions
        self.assignments += 1
        self.epochs |= dict.fromkeys(partitions, epoch)

    async def handle(self, records: Sequence[Record]) -> None:
        await self._only_call()
        self.records += records
        if self.done:
            self.finish(records)

    async def revoked(self, partitions: frozenset[TopicPartition]) -> None:
        await self._only_call()
        self.owned -= partitions


@pytest.fixture(params=["local", "kafka"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    node: KafkaNode | None = request.getfixturevalue("kafka") if request.param == "kafka" else None
    place = Place(tmp_path, node.bootstrap if node else None)
    yield place
    await place.end()


async def fill(log: EventLog, topic: Topic, count: int, *, keys: int = 1, start: int = 0) -> list[tuple[str, bytes]]:
    """Send so many numbered records and wait for their acknowledgements."""
    sent = [(f"key-{number % keys}", b"%d" % number) for number in range(start, start + count)]
    acknowledged = [await log.send(topic, key, value) for key, value in sent]
    await asyncio.gather(*acknowledged)
    return sent


async def test_records_of_one_key_keep_their_order(place: Place) -> None:
    log, listener = await place.open(), Listener()
    await place.member(log, listener, group=place.group(), max_records=7)
    sent = await fill(log, place.one, 300, keys=9)
    await until(lambda: len(listener.records) >= 300, "all 300 arrived")
    for key in {key for key, _ in sent}:
        assert [record.value for record in listener.records if record.key == key] == [
            value for sent_key, value in sent if sent_key == key
        ]
    assert not listener.overlapped


async def test_a_position_says_where_the_record_is(place: Place) -> None:
    log, listener = await place.open(), Listener()
    positions = [await (await log.send(place.one, "some key", b"%d" % number)) for number in range(3)]
    await place.member(log, listener, group=place.group())
    await until(lambda: len(listener.records) == 3, "all arrived")
    assert positions == [(record.partition, record.offset) for record in listener.records]
    assert {position.partition for position in positions} == {partition_of("some key", PARTITIONS)}


async def test_headers_and_raw_bytes_are_intact(place: Place) -> None:
    log, listener = await place.open(), Listener()
    await place.member(log, listener, group=place.group())
    values = [bytes(range(256)) * 4096, b"", b'{"not": "parsed"}', b"\xff\xd8\x00"]
    for value in values:
        await (await log.send(place.one, "Schlüssel", value, {"seq": "17", "content-type": "image/jpeg", "ü": "é€"}))
    await until(lambda: len(listener.records) == len(values), "all arrived")
    assert listener.values() == values
    for record in listener.records:
        assert record.key == "Schlüssel"
        assert record.headers == {
            "schema": place.one.schema,
            "session_id": "Schlüssel",
            "seq": "17",
            "content-type": "image/jpeg",
            "ü": "é€",
        }
        assert abs(record.timestamp_ms - listener.records[0].timestamp_ms) < 60_000
        assert record.timestamp_ms > 1_700_000_000_000


async def test_the_callers_headers_win(place: Place) -> None:
    log, listener = await place.open(), Listener()
    await place.member(log, listener, group=place.group())
    await (await log.send(place.one, "key", b"", {"session_id": "another", "schema": "x.v2"}))
    await until(lambda: len(listener.records) == 1, "it arrived")
    assert listener.records[0].headers == {"session_id": "another", "schema": "x.v2"}


async def test_a_value_too_large_is_refused(place: Place) -> None:
    log = await place.open()
    with pytest.raises(ValueError, match=f"at most {MAX_VALUE_BYTES}"):
        await log.send(place.one, "key", bytes(MAX_VALUE_BYTES + 1))
    await (await log.send(place.one, "key", bytes(MAX_VALUE_BYTES)))


async def test_a_new_group_starts_at_the_oldest_record(place: Place) -> None:
    log, listener = await place.open(), Listener()
    await fill(log, place.one, 20, keys=5)
    await place.member(log, listener, group=place.group())
    await until(lambda: len(listener.records) == 20, "all arrived")


async def test_work_without_a_commit_is_delivered_again(place: Place) -> None:
    log, dies, takes_over = await place.open(), Listener(done=False), Listener()
    first = await place.member(log, dies, group=place.group())
    sent = await fill(log, place.one, 20, keys=3)
    await until(lambda: len(dies.records) == 20, "the first member worked")
    await first.stop()
    await place.member(log, takes_over, group=place.group())
    await until(lambda: len(takes_over.records) == 20, "all were delivered again")
    assert sorted(takes_over.values()) == sorted(value for _, value in sent)


async def test_the_commit_is_the_lowest_finished_offset_plus_one(place: Place) -> None:
    log, first, second = await place.open(), Listener(done=False), Listener()
    member = await place.member(log, first, group=place.group())
    await fill(log, place.one, 10)
    await until(lambda: len(first.records) == 10, "all arrived")
    first.finish([first.records[number] for number in (4, 0, 3, 1, 9)])
    await member.stop()
    await place.member(log, second, group=place.group())
    await until(lambda: len(second.records) >= 8, "the rest arrived")
    assert second.values() == [b"%d" % number for number in range(2, 10)]


async def test_finished_work_is_committed_before_the_member_stops(place: Place) -> None:
    log, listener = await place.open(), Listener()
    member = await place.member(log, listener, group=place.group())
    await fill(log, place.one, 30, keys=8)

    async def lag() -> int:
        return sum((await member.lag()).values())

    async with asyncio.timeout(WITHIN_S):
        while len(listener.records) < 30 or await lag() > 0:
            await asyncio.sleep(0.01)
    assert set(await member.lag()) == {TopicPartition(place.one.name, number) for number in range(PARTITIONS)}


async def test_lag_counts_what_is_not_committed(place: Place) -> None:
    log, listener = await place.open(), Listener(done=False)
    member = await place.member(log, listener, group=place.group())
    await fill(log, place.one, 12)
    await until(lambda: len(listener.records) == 12, "all arrived")
    source = TopicPartition(place.one.name, partition_of("key-0", PARTITIONS))
    assert (await member.lag())[source] == 12


async def test_the_oldest_that_is_not_finished_is_known_by_the_logs_time(place: Place) -> None:
    log, listener = await place.open(), Listener(done=False)
    member = await place.member(log, listener, group=place.group())
    assert member.oldest_ms() is None
    for number in range(3):
        await (await log.send(place.one, "key", b"%d" % number))
        await until(lambda want=number + 1: len(listener.records) == want, "it arrived")  # type: ignore[misc]
    taken_ms = [record.timestamp_ms for record in listener.records]
    assert member.oldest_ms() == taken_ms[0]
    listener.finish(listener.records[1:2])
    assert member.oldest_ms() == taken_ms[0], "finished behind one that is not"
    listener.finish(listener.records[:1])
    assert member.oldest_ms() == taken_ms[2]
    listener.finish(listener.records)
    assert member.oldest_ms() is None


async def test_a_record_that_waits_for_its_turn_counts_as_not_finished(place: Place) -> None:
    log, listener = await place.open(), Listener()
    member = await place.member(log, listener, group=place.group())
    await fill(log, place.one, 1)
    await until(lambda: len(listener.records) == 1 and member.oldest_ms() is None, "the first is finished")
    listener.gate.clear()
    await fill(log, place.one, 1)  # the handler holds this one
    await until(lambda: listener.inside == 1, "the handler was called")
    held_ms = member.oldest_ms()
    assert held_ms is not None
    listener.gate.set()
    await until(lambda: len(listener.records) == 2, "it was let go")
    assert held_ms == listener.records[1].timestamp_ms


async def test_what_revoked_finishes_is_committed(place: Place) -> None:
    class Drains(Listener):
        async def revoked(self, partitions: frozenset[TopicPartition]) -> None:
            await super().revoked(partitions)
            self.finish([record for record in self.records if record.source in partitions])

    log, drains, successor = await place.open(), Drains(done=False), Listener()
    member = await place.member(log, drains, group=place.group())
    await fill(log, place.one, 10, keys=4)
    await until(lambda: len(drains.records) == 10, "all arrived")
    await member.stop()
    assert not drains.owned
    await place.member(log, successor, group=place.group())
    await fill(log, place.one, 1, start=99)
    await until(lambda: bool(successor.records), "something arrived")
    assert successor.values() == [b"99"]


async def test_a_rebalance_loses_no_work(place: Place) -> None:
    log, first, second = await place.open(), Listener(), Listener()
    await place.member(log, first, group=place.group(), max_records=3)
    await until(lambda: len(first.owned) == PARTITIONS, "the first member owns all")
    acknowledged: list[asyncio.Future[object]] = []
    sent: list[bytes] = []

    async def stream() -> None:
        number = 0
        while not enough.is_set():
            sent.append(b"%d" % number)
            acknowledged.append(await log.send(place.one, f"key-{number % 16}", sent[-1]))  # type: ignore[arg-type]
            number += 1
            await asyncio.sleep(0.002)

    enough = asyncio.Event()
    streaming = asyncio.create_task(stream())
    await until(lambda: len(first.records) > 20, "the stream runs")
    member = await place.member(log, second, group=place.group(), max_records=3)
    await until(lambda: bool(first.owned) and bool(second.owned), "both own something")
    assert not first.owned & second.owned
    assert len(first.owned | second.owned) == PARTITIONS
    await until(lambda: len(second.records) > 20, "the second works")
    await member.stop()
    await until(lambda: len(first.owned) == PARTITIONS, "the first owns all again")
    enough.set()
    await streaming
    await asyncio.gather(*acknowledged)
    await until(lambda: set(first.values() + second.values()) == set(sent), "every record was worked on")
    assert not first.overlapped
    assert not second.overlapped


async def test_the_epoch_of_a_partition_rises_with_each_owner(place: Place) -> None:
    log, first, second, third = await place.open(), Listener(), Listener(), Listener()
    member = await place.member(log, first, group=place.group())
    await until(lambda: len(first.owned) == PARTITIONS, "the first member owns all")
    alone = dict(first.epochs)
    await place.member(log, second, group=place.group())
    await until(lambda: bool(second.owned), "the second owns something")
    assert all(second.epochs[source] > alone[source] for source in second.owned)
    await member.stop()
    await until(lambda: len(second.owned) == PARTITIONS, "the second owns all")
    latest = second.epochs
    assert all(latest[source] > alone[source] for source in latest)
    await place.end()
    log = await place.open()
    await place.member(log, third, group=place.group())
    await until(lambda: len(third.owned) == PARTITIONS, "the next process owns all")
    assert all(third.epochs[source] > latest[source] for source in latest)


async def test_a_slow_group_does_not_hold_others_up(place: Place) -> None:
    log, slow, fast = await place.open(), Listener(), Listener()
    await place.member(log, slow, group=place.group("slow"), max_records=1)
    await place.member(log, fast, group=place.group("fast"))
    await until(lambda: len(slow.owned) == PARTITIONS, "the slow one is there")
    slow.gate.clear()
    await fill(log, place.one, 200, keys=8)
    await until(lambda: len(fast.records) == 200, "the fast group has all")
    assert not slow.records
    slow.gate.set()
    await until(lambda: len(slow.records) == 200, "the slow group gets all")


async def test_waiting_in_handle_is_back_pressure(place: Place) -> None:
    log, listener = await place.open(), Listener()
    await fill(log, place.one, 50)
    listener.gate.clear()
    await place.member(log, listener, group=place.group(), max_records=10)
    await until(lambda: listener.inside == 1, "the handler was called")
    assert not listener.records
    listener.gate.set()
    await until(lambda: len(listener.records) == 50, "all arrived")
    assert not listener.overlapped


async def test_send_waits_when_too_much_is_under_way(place: Place) -> None:
    log = await place.open(max_records=5)
    under_way: list[asyncio.Future[object]] = []
    for number in range(60):
        under_way.append(await log.send(place.one, f"key-{number}", b"value"))  # type: ignore[arg-type]
        assert sum(not each.done() for each in under_way) <= 5
    await asyncio.gather(*under_way)


async def test_a_failing_handler_gets_the_same_batch_again(place: Place) -> None:
    class Fails(Listener):
        def __init__(self) -> None:
            super().__init__()
            self.batches: list[list[bytes]] = []

        async def handle(self, records: Sequence[Record]) -> None:
            self.batches.append([record.value for record in records])
            if len(self.batches) < 3:
                raise RuntimeError("cannot do that yet")
            await super().handle(records)

    log, fails = await place.open(), Fails()
    await fill(log, place.one, 5)
    await place.member(log, fails, group=place.group())
    await until(lambda: len(fails.records) == 5, "it went through in the end")
    assert fails.batches[0] == fails.batches[1] == fails.batches[2]


async def test_a_failing_assigned_is_called_again_before_anything_is_delivered(place: Place) -> None:
    class Fails(Listener):
        failures = 0

        async def assigned(self, partitions: frozenset[TopicPartition], epoch: int) -> None:
            if self.failures < 2:
                self.failures += 1
                raise RuntimeError("its state cannot be loaded yet")
            await super().assigned(partitions, epoch)

        async def handle(self, records: Sequence[Record]) -> None:
            assert self.owned
            await super().handle(records)

    log, fails = await place.open(), Fails()
    await fill(log, place.one, 5)
    await place.member(log, fails, group=place.group())
    await until(lambda: len(fails.records) == 5, "all arrived")
    assert fails.failures == 2


async def test_a_reopened_log_goes_on_from_the_committed_place(place: Place) -> None:
    log, before, after = await place.open(), Listener(done=False), Listener()
    member = await place.member(log, before, group=place.group())
    await fill(log, place.one, 10)
    await until(lambda: len(before.records) == 10, "all arrived")
    before.finish(before.records[:6])
    await member.stop()
    await place.close(log)
    log = await place.open()
    await fill(log, place.one, 2, start=10)
    await place.member(log, after, group=place.group())
    await until(lambda: len(after.records) >= 6, "the rest arrived")
    assert after.values() == [b"%d" % number for number in range(6, 12)]


async def test_a_snapshot_is_the_newest_of_each_key(place: Place) -> None:
    log = await place.open()
    keys = [f"s-{number}" for number in range(12)]
    for version in range(3):
        for key in keys:
            await (await log.send(place.state, key, f"{key} {version}".encode(), {"version": str(version)}))
    await (await log.send(place.state, "s-3", b""))
    found: dict[str, Record] = {}
    for number in range(PARTITIONS):
        snapshot = await log.snapshot(place.state, number)
        assert {partition_of(key, PARTITIONS) for key in snapshot} <= {number}
        found |= snapshot
    assert {key: record.value for key, record in found.items()} == {
        key: f"{key} 2".encode() for key in keys if key != "s-3"
    }
    assert await log.snapshot(place.state, *range(PARTITIONS)) == found
    assert await log.snapshot(place.state) == {}
    assert all(record.headers["version"] == "2" for record in found.values())


async def test_a_snapshot_passes_over_what_an_earlier_owner_wrote_late(place: Place) -> None:
    log = await place.open()
    writes = [("new", "7"), ("late", "6"), ("nameless", None), ("strange", "-8")]
    for value, epoch in writes:
        await (await log.send(place.state, "s", value.encode(), {"epoch": epoch} if epoch else None))
    await (await log.send(place.state, "s", b"", {"epoch": "6"}))
    partition = partition_of("s", PARTITIONS)
    assert [record.value for record in (await log.snapshot(place.state, partition)).values()] == [b"new"]
    await (await log.send(place.state, "s", b"newer", {"epoch": "7"}))
    assert [record.value for record in (await log.snapshot(place.state, partition)).values()] == [b"newer"]


async def test_a_reader_without_a_group_sees_what_is_new(place: Place) -> None:
    log, one, other = await place.open(), Listener(), Listener()
    await fill(log, place.one, 10, keys=5)
    for listener in (one, other):
        await place.member(log, listener, group=None)
    sent = await fill(log, place.one, 10, keys=5, start=10)
    for listener in (one, other):
        await until(lambda listener=listener: len(listener.records) == 10, "all new ones arrived")  # type: ignore[misc]
        assert sorted(listener.values()) == sorted(value for _, value in sent)
        assert listener.assignments == 0


async def test_one_consumer_reads_many_topics(place: Place) -> None:
    log, listener, reader = await place.open(), Listener(), Listener()
    topics = [place.one, place.two, place.state]
    await place.member(log, listener, group=place.group(), topics=topics)
    await place.member(log, reader, group=None, topics=topics)
    for topic in topics:
        await fill(log, topic, 10, keys=10)
    for each in (listener, reader):
        await until(lambda each=each: len(each.records) == 30, "all arrived")  # type: ignore[misc]
        assert {record.topic for record in each.records} == {topic.name for topic in topics}
    assert len(listener.owned) == 3 * PARTITIONS


async def test_an_unknown_topic_is_named(place: Place) -> None:
    log = await place.open()
    stranger = Topic("stranger", "key", "runtime", None, b"")
    with pytest.raises(ValueError, match="stranger"):
        await log.send(stranger, "key", b"")


async def test_a_closed_log_says_so(place: Place) -> None:
    log = await place.open()
    await log.check()
    await place.close(log)
    with pytest.raises(LogUnavailable, match="not open"):
        await log.check()
    refused = await log.send(place.one, "key", b"")
    with pytest.raises(LogUnavailable, match="not open"):
        await refused
