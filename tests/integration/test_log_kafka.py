"""The Kafka log when its broker is killed, stays away and comes back; and how topics are made and checked."""

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import OutOfOrderSequenceNumber

from schemas.topics import ANALYZER_STATE, FRAMES, Topic
from services.runtime.log import EventLog, LogStartFailed, LogUnavailable, Position
from services.runtime.log.connection import Connection
from services.runtime.log.kafka import KafkaLog
from services.runtime.log.topics import ensure_topics
from tests.support.kafka import KafkaNode
from tests.support.log_reader import WITHIN_S, Reader, until
from tests.support.processes import free_port


@pytest.fixture
def node(kafka: KafkaNode) -> Iterator[KafkaNode]:
    """The session's node; running again afterwards whatever the test did to it."""
    yield kafka
    kafka.start()


@pytest.fixture
def topic() -> Topic:
    return Topic(f"frames-{uuid.uuid4().hex[:8]}", "key", "runtime", None, b"", partitions=3)


async def send_all(log: EventLog, topic: Topic, numbers: range) -> list[asyncio.Future[Position]]:
    return [await log.send(topic, f"key-{number % 5}", b"%d" % number) for number in numbers]


async def test_a_killed_broker_loses_nothing_acknowledged(node: KafkaNode, topic: Topic) -> None:
    log = KafkaLog(node.bootstrap, [topic], delivery_timeout_s=WITHIN_S)
    await log.start()
    reader = Reader(log, [topic], group=topic.name)
    await reader.consumer.start()
    acknowledged = await send_all(log, topic, range(500))
    node.kill()
    assert not all(future.done() for future in acknowledged), "some were under way"
    acknowledged += await send_all(log, topic, range(500, 600))
    await asyncio.to_thread(node.start)
    await asyncio.gather(*acknowledged)
    await until(lambda: len(set(reader.values())) == 600, "the consumer came back and read all")
    again = Reader(log, [topic], group=f"{topic.name}-again")
    await again.consumer.start()
    await until(lambda: len(again.records) >= 600, "all are in the log")
    for key in range(5):
        assert again.values(f"key-{key}") == [b"%d" % number for number in range(key, 600, 5)], "in order, none twice"
    for each in (reader, again):
        await each.consumer.stop()
    await log.close()


async def test_a_broker_that_stays_away_is_told_and_its_return_noticed(node: KafkaNode, topic: Topic) -> None:
    log = KafkaLog(node.bootstrap, [topic], delivery_timeout_s=1.0)
    await log.start()
    reader = Reader(log, [topic], group=topic.name)
    await reader.consumer.start()
    await (await log.send(topic, "key", b"before"))
    await log.check()
    node.kill()
    lost = await log.send(topic, "key", b"lost or not")
    with pytest.raises(LogUnavailable, match="acknowledge"):
        await lost
    with pytest.raises(LogUnavailable, match="cannot be reached"):
        await (await log.send(topic, "key", b"no producer at all"))
    with pytest.raises(LogUnavailable, match="cannot be reached"):
        await log.check()
    await asyncio.to_thread(node.start)

    async def until_sent() -> None:
        while True:
            try:
                await (await log.send(topic, "key", b"after"))
                return
            except LogUnavailable:
                await asyncio.sleep(0.05)

    await asyncio.wait_for(until_sent(), WITHIN_S)
    await log.check()
    await until(lambda: b"after" in reader.values(), "the consumer came back by itself")
    await reader.consumer.stop()
    await log.close()


async def test_a_stuck_producer_is_replaced(node: KafkaNode, topic: Topic) -> None:
    log = KafkaLog(node.bootstrap, [topic])
    await log.start()
    assert log._producer is not None
    first = log._producer._producer
    assert first is not None
    under_way = await send_all(log, topic, range(5))
    first._message_accumulator.fail_all(OutOfOrderSequenceNumber())
    assert any(
        isinstance(result, LogUnavailable) for result in await asyncio.gather(*under_way, return_exceptions=True)
    )
    await asyncio.gather(*await send_all(log, topic, range(5, 10)))
    assert log._producer._producer is not first
    await log.close()


async def test_no_record_overtakes_one_that_failed_before_it(node: KafkaNode, topic: Topic) -> None:
    log = KafkaLog(node.bootstrap, [topic])
    await log.start()
    assert log._producer is not None
    first = log._producer._producer
    assert first is not None
    under_way = [await log.send(topic, "key", b"1"), await log.send(topic, "other", b"one")]
    heard = asyncio.Event()  # callbacks of futures that failed have run two rounds of the loop later
    async with log._turns[topic.name]:
        waiting = asyncio.create_task(log.send(topic, "key", b"2"))
        await asyncio.sleep(0)
        log._producer._give_up(first, OutOfOrderSequenceNumber())
        waiting_since_then = asyncio.create_task(log.send(topic, "other", b"two"))
        asyncio.get_running_loop().call_soon(asyncio.get_running_loop().call_soon, heard.set)
        await heard.wait()
    not_heard_yet = [await waiting, await waiting_since_then, await log.send(topic, "key", b"3")]
    for future in (*under_way, *not_heard_yet):
        with pytest.raises(LogUnavailable):
            await future
    heard.clear()
    asyncio.get_running_loop().call_soon(asyncio.get_running_loop().call_soon, heard.set)
    await heard.wait()
    for value in (b"1", b"2", b"3"):
        await (await log.send(topic, "key", value))
    reader = Reader(log, [topic], group=topic.name)
    await reader.consumer.start()
    await until(lambda: len(reader.values("key")) >= 3, "all are in the log")
    assert reader.values("key")[-3:] == [b"1", b"2", b"3"]
    await reader.consumer.stop()
    await log.close()


async def test_no_broker_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.runtime.log.topics.READY_WITHIN_S", 0.5)
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(LogStartFailed, match=rf"^Kafka at {address} cannot be reached; is it running"):
        await KafkaLog(address).start()


async def test_topics_are_made_once_and_drift_is_told(node: KafkaNode) -> None:
    suffix = uuid.uuid4().hex[:8]
    wanted = [replace(topic, name=f"{topic.name}-{suffix}") for topic in (FRAMES, ANALYZER_STATE)]
    assert [report.state for report in await ensure_topics(Connection(node.bootstrap), wanted)] == [
        "created",
        "created",
    ]
    again = await ensure_topics(Connection(node.bootstrap), wanted)
    assert [report.state for report in again] == ["as wanted", "as wanted"]
    assert [report.partitions for report in again] == [FRAMES.partitions, FRAMES.partitions]
    drifted = replace(wanted[0], partitions=3, retention_ms=60_000)
    (report,) = await ensure_topics(Connection(node.bootstrap), [drifted])
    assert report.state == "differs"
    assert "partitions: 12, wanted 3" in report.differences
    assert "retention.ms: 3600000, wanted 60000" in report.differences


async def test_an_empty_value_is_a_tombstone_where_a_topic_is_compacted(node: KafkaNode, topic: Topic) -> None:
    compacted = replace(topic, name=f"{topic.name}-state", compacted=True)
    log = KafkaLog(node.bootstrap, [topic, compacted])
    await log.start()
    for each in (topic, compacted):
        await (await log.send(each, "key", b""))
    async with AIOKafkaConsumer(
        topic.name, compacted.name, bootstrap_servers=node.bootstrap, auto_offset_reset="earliest"
    ) as raw:
        found = {record.topic: record.value for record in [await raw.getone(), await raw.getone()]}
    assert found == {topic.name: b"", compacted.name: None}
    await log.close()


async def test_two_services_may_make_the_topics_at_once(node: KafkaNode, topic: Topic) -> None:
    reports = await asyncio.gather(*(ensure_topics(Connection(node.bootstrap), [topic]) for _ in range(3)))
    assert {report.name for each in reports for report in each} == {topic.name}
    assert all(report.partitions == 3 for each in reports for report in each)
