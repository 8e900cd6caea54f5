"""The event log's pure parts: partitioner, shares of a group, budget, tail cache, retention."""

import asyncio

import pytest
from aiokafka.partitioner import murmur2 as reference_murmur2
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import ANALYZER_STATE, FRAMES, TOPICS
from services.runtime.log.budget import Budget
from services.runtime.log.local_groups import spread
from services.runtime.log.local_upkeep import Compaction, removable
from services.runtime.log.partitions import murmur2, partition_of
from services.runtime.log.port import Record, TopicPartition
from services.runtime.log.tail import TailCache
from services.runtime.log.topics import topic_settings

DAY_MS = 86_400_000


@given(st.binary(max_size=64))
def test_murmur2_is_kafkas(data: bytes) -> None:
    assert murmur2(data) == reference_murmur2(data)


@given(st.text(max_size=20), st.integers(1, 50))
def test_a_key_belongs_to_one_partition(key: str, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) < partitions


# -- groups -----------------------------------------------------------------------------------------------------------


@given(
    st.integers(1, 30),
    st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1),
    st.dictionaries(st.integers(0, 29), st.sampled_from("abcdefghxyz")),
)
def test_shares_are_even_and_as_little_as_possible_moves(count: int, members: list[str], owned: dict[int, str]) -> None:
    partitions = [TopicPartition("t", number) for number in range(count)]
    owner = {TopicPartition("t", number): member for number, member in owned.items() if number < count}
    target = spread(partitions, members, owner)
    assert set(target) == set(partitions)
    shares = [sum(member == each for member in target.values()) for each in members]
    assert sum(shares) == count
    assert max(shares) - min(shares) <= 1
    # Nobody who stays below the even share loses anything.
    for member in members:
        held = {partition for partition, each in owner.items() if each == member}
        kept = {partition for partition in held if target[partition] == member}
        assert len(kept) >= min(len(held), count // len(members))


def test_an_even_share_stays_as_it_is() -> None:
    partitions = [TopicPartition("t", number) for number in range(5)]
    owner = dict(zip(partitions, "ababa", strict=True))
    assert spread(partitions, ["b", "a"], owner) == owner


# -- budget -----------------------------------------------------------------------------------------------------------


async def test_room_is_given_first_come_first_served() -> None:
    budget = Budget(max_records=10, max_bytes=100)
    await budget.acquire(90)
    got: list[str] = []

    async def want(name: str, size_bytes: int) -> None:
        await budget.acquire(size_bytes)
        got.append(name)

    waiting = [asyncio.create_task(want("large", 80)), asyncio.create_task(want("small", 5))]
    await asyncio.sleep(0)
    assert got == []  # the small one would fit, but the large one came first
    budget.release(90)
    await asyncio.gather(*waiting)
    assert got == ["large", "small"]
    assert (budget.records, budget.bytes) == (2, 85)


async def test_a_record_larger_than_all_room_goes_alone() -> None:
    budget = Budget(max_records=10, max_bytes=100)
    await budget.acquire(500)
    later = asyncio.create_task(budget.acquire(1))
    await asyncio.sleep(0)
    assert not later.done()
    budget.release(500)
    await later


@pytest.mark.parametrize("granted", [False, True])
async def test_who_stops_waiting_takes_no_room(granted: bool) -> None:
    budget = Budget(max_records=1, max_bytes=100)
    await budget.acquire(1)
    gives_up = asyncio.create_task(budget.acquire(1))
    next_one = asyncio.create_task(budget.acquire(1))
    await asyncio.sleep(0)
    if granted:
        budget.release(1)
    gives_up.cancel()
    await asyncio.gather(gives_up, return_exceptions=True)
    if not granted:
        budget.release(1)
    await next_one
    assert (budget.records, budget.bytes) == (1, 1)


async def test_room_that_comes_free_passes_over_who_is_leaving() -> None:
    budget = Budget(max_records=1, max_bytes=100)
    await budget.acquire(1)
    gives_up = asyncio.create_task(budget.acquire(1))
    next_one = asyncio.create_task(budget.acquire(1))
    await asyncio.sleep(0)
    gives_up.cancel()
    budget.release(1)  # before the cancelled one has run
    await next_one
    assert gives_up.cancelled()
    assert (budget.records, budget.bytes) == (1, 1)


# -- tail cache -------------------------------------------------------------------------------------------------------


def record(partition: int, offset: int, size_bytes: int = 1) -> Record:
    return Record("t", partition, offset, "key", bytes(size_bytes), {}, 0)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=60), st.integers(0, 3), st.integers(0, 60))
def test_the_tail_holds_an_unbroken_run(sent: list[tuple[int, int]], partition: int, offset: int) -> None:
    tail = TailCache(max_records=10, max_bytes=200)
    following = [0, 0, 0, 0]
    for each, size_bytes in sent:
        tail.append(each, record(each, following[each], size_bytes))
        following[each] += 1
    found = tail.read(partition, offset, 100, 1000)
    if found is not None:
        assert [each.offset for each in found] == list(range(offset, following[partition]))
        assert sum(len(each.value) for each in found) <= 200
        assert len(found) <= 10


def test_a_read_from_the_tail_is_bounded() -> None:
    tail = TailCache()
    for offset in range(10):
        tail.append(0, record(0, offset, 100))
    assert [each.offset for each in tail.read(0, 2, 3, 10_000) or []] == [2, 3, 4]
    assert [each.offset for each in tail.read(0, 2, 9, 250) or []] == [2, 3]
    assert [each.offset for each in tail.read(0, 2, 9, 50) or []] == [2]  # never nothing
    assert tail.read(0, 10, 9, 50) is None


# -- retention --------------------------------------------------------------------------------------------------------

ROWS = [(offset, 1000 + offset, (offset + 1) * 10) for offset in range(10)]  # offset, timestamp_ms, end_bytes


@pytest.mark.parametrize(
    ("before_ms", "excess_bytes", "below", "removed"),
    [
        (None, 0, 10, 0),
        (1003, 0, 10, 3),
        (None, 1, 10, 1),
        (None, 35, 10, 4),
        (1002, 50, 10, 5),
        (5000, 0, 4, 4),
        (5000, 1000, 0, 0),
        (5000, 1000, 10, 10),
    ],
)
def test_retention_removes_what_is_too_old_or_too_much_and_read(
    before_ms: int | None, excess_bytes: int, below: int, removed: int
) -> None:
    assert removable(ROWS, 0, before_ms=before_ms, excess_bytes=excess_bytes, below=below) == removed


def test_compaction_removes_what_is_superseded_and_read_and_old_tombstones() -> None:
    compaction = Compaction()
    for offset, (key, size_bytes) in enumerate([("a", 5), ("b", 5), ("a", 5), ("b", 0), ("c", 5)]):
        compaction.note(offset, 1000, key, size_bytes)
    assert compaction.removable(0, 1000) == []
    assert compaction.removable(1, 1000) == [0]
    assert compaction.removable(5, 1000) == [1]
    assert compaction.removable(5, 1000) == []
    assert compaction.removable(5, 1001 + DAY_MS) == [3]
    assert compaction.newest == {"a": 2, "c": 4}


# -- Kafka's settings -------------------------------------------------------------------------------------------------


def test_kafka_is_told_the_topics_retention() -> None:
    frames = topic_settings(FRAMES)
    assert frames["retention.ms"] == "3600000"
    assert int(frames["retention.bytes"]) * FRAMES.partitions <= (FRAMES.retention_bytes or 0)
    assert topic_settings(ANALYZER_STATE)["cleanup.policy"] == "compact"
    assert topic_settings(ANALYZER_STATE)["min.compaction.lag.ms"] == "300000"
    assert all(topic_settings(topic)["message.timestamp.type"] == "LogAppendTime" for topic in TOPICS)


def test_a_sessions_state_is_on_the_partition_of_its_frames() -> None:
    assert ANALYZER_STATE.partitions == FRAMES.partitions
