"""The Kafka log when its broker is killed, stays away and comes back; and how topics are made and checked."""

import asyncio
import io
import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import OutOfOrderSequenceNumber
from rich.console import Console

from schemas.topics import ANALYZER_STATE, FRAMES, Topic
from services.runtime.log import EventLog, LogStartFailed, LogUnavailable, Position
from services.runtime.log.connection import Connection
from services.runtime.log.kafka import KafkaLog
from services.runtime.log.partitions import partition_of
from services.runtime.log.topics import ensure_topics
from services.runtime.log.topics_command import run_topics
from services.runtime.log.topics_keys import misplaced
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
    connection = Connection(node.bootstrap)
    wanted = [replace(topic, name=f"{topic.name}-{suffix}") for topic in (FRAMES, ANALYZER_STATE)]
    assert [report.state for report in await ensure_topics(connection, wanted)] == ["created", "created"]
    again = await ensure_topics(connection, wanted)
    assert [report.state for report in again] == ["as wanted", "as wanted"]
    assert [report.partitions for report in again] == [FRAMES.partitions, FRAMES.partitions]
    drifted = replace(wanted[0], partitions=13, retention_ms=60_000)
    (report,) = await ensure_topics(connection, [drifted])
    assert report.state == "differs"
    told = [str(each) for each in report.differences]
    assert "partitions: 12, wanted 13" in told
    assert "retention.ms: 3600000, wanted 60000" in told


async def test_settings_are_mended_and_partitions_are_not(node: KafkaNode, topic: Topic) -> None:
    connection = Connection(node.bootstrap)
    admin = AIOKafkaAdminClient(bootstrap_servers=node.bootstrap)
    await admin.start()
    theirs = {"retention.ms": "60000", "max.compaction.lag.ms": "1234567"}
    await admin.create_topics([NewTopic(topic.name, topic.partitions, 1, topic_configs=theirs)])
    compacted = replace(topic, compacted=True, retention_ms=None)
    (mended,) = await ensure_topics(connection, [compacted], mend=True)
    assert mended.state == "mended"
    assert "cleanup.policy: delete, wanted compact" in [str(each) for each in mended.differences]
    (again,) = await ensure_topics(connection, [compacted], mend=True)
    assert (again.state, again.differences) == ("as wanted", ())
    (described,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name)])
    settings = {name: value for name, value, *_ in described.resources[0][4]}
    assert settings["max.compaction.lag.ms"] == "1234567", "what somebody else set on the topic stays"
    (refused,) = await ensure_topics(connection, [replace(compacted, partitions=4)], mend=True)
    assert (refused.state, refused.partitions) == ("differs", 3)
    assert [str(each) for each in refused.differences] == ["partitions: 3, wanted 4"]
    await admin.close()


async def test_a_record_on_the_partition_of_another_key_is_told(node: KafkaNode, topic: Topic) -> None:
    connection, other = Connection(node.bootstrap), replace(topic, name=f"{topic.name}-other")
    counts = {report.name: report.partitions for report in await ensure_topics(connection, [topic, other])}
    log = KafkaLog(node.bootstrap, [topic, other])
    await log.start()
    for number in range(10):
        await (await log.send(topic, f"key-{number}", b""))
        await (await log.send(other, f"key-{number}", b""))
    assert await misplaced(connection, counts) == {}
    home = partition_of("key", 3)
    await misplace(node, topic)
    async with AIOKafkaProducer(bootstrap_servers=node.bootstrap) as stranger:
        await stranger.send_and_wait(other.name, b"", None, 0)
    found = {name: difference.found for name, difference in (await misplaced(connection, counts)).items()}
    assert found == {
        topic.name: f"a record of a key of partition {home} on partition {(home + 1) % 3}",
        other.name: "a record without a key on partition 0",
    }
    await log.close()


async def test_the_command_says_what_differs_and_what_to_do(node: KafkaNode, topic: Topic) -> None:
    async def run(wanted: Topic, *, mend: bool = False, as_json: bool = True) -> tuple[int, str]:
        out = Console(width=400, file=io.StringIO())
        code = await run_topics(Connection(node.bootstrap), mend=mend, out=out, as_json=as_json, topics=[wanted])
        assert isinstance(out.file, io.StringIO)
        return code, out.file.getvalue()

    def found(told: str) -> dict[str, Any]:
        (one,) = json.loads(told)["topics"]
        return dict(one)

    code, told = await run(topic)
    assert (code, found(told)["state"]) == (0, "created")
    drifted = replace(topic, retention_ms=60_000)
    code, told = await run(drifted)
    assert (code, found(told)["state"]) == (1, "differs")
    assert {
        "setting": "retention.ms",
        "found": str(topic.retention_ms),
        "wanted": "60000",
        "what_to_do": "rapt topics --apply",
    } in found(told)["differences"]
    code, told = await run(drifted, mend=True)
    assert (code, found(told)["state"]) == (0, "mended")
    code, told = await run(drifted)
    assert (code, found(told)["state"], found(told)["differences"]) == (0, "as wanted", [])
    code, told = await run(replace(drifted, partitions=4), mend=True, as_json=False)
    assert code == 1
    assert "partitions: 3, wanted 4" in told
    assert "keys would go to other partitions" in told
    await misplace(node, topic)
    code, told = await run(drifted, mend=True)
    assert (code, found(told)["state"]) == (1, "differs")
    assert "murmur2" in found(told)["differences"][0]["what_to_do"]


async def misplace(node: KafkaNode, topic: Topic) -> None:
    async with AIOKafkaProducer(bootstrap_servers=node.bootstrap) as stranger:
        await stranger.send_and_wait(topic.name, b"", b"key", (partition_of("key", topic.partitions) + 1) % 3)


async def test_state_that_cannot_be_found_beside_its_frames_stops_the_start(node: KafkaNode, topic: Topic) -> None:
    beside = replace(topic, name=f"{topic.name}-state", partitions=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("services.runtime.log.topics.SIDE_BY_SIDE", ((beside.name, topic.name),))
        with pytest.raises(LogStartFailed, match=f"{beside.name} has 2 partitions and {topic.name} has 3"):
            await KafkaLog(node.bootstrap, [topic, beside]).start()


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
