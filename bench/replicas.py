"""Two analyzer replicas beside one, on Kafka: each on a core of its own, the same backlog of frames."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.feed import Feed, Results
from bench.frames import drawn_frames
from bench.result import Claim
from schemas.topics import FRAMES, METRICS
from services.runtime.log.connection import Connection
from services.runtime.log.kafka import KafkaLog
from services.runtime.log.partitions import partition_of
from services.runtime.log.topics import ensure_topics
from tests.support.kafka import kafka_node
from tests.support.processes import RaptProcess

SESSIONS = FRAMES.partitions  # one on each, so that every replica gets the same share
WARM_UP = 10
FRAMES_EACH = 200


def run() -> list[Claim]:
    if len(os.sched_getaffinity(0)) < 2:
        raise RuntimeError("two cores are needed")
    one, two = (_rate(replicas) for replicas in (1, 2))
    return [
        Claim(
            "two analyzer replicas ÷ one, a core each, on Kafka",
            two / one,
            "×",
            "at least",
            1.8,
            f"{two:.0f} frames/s",
            f"{one:.0f} frames/s",
        )
    ]


def _rate(count: int) -> float:
    with tempfile.TemporaryDirectory() as folder, kafka_node() as kafka:
        asyncio.run(ensure_topics(Connection(kafka.bootstrap)))
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
            "LOG_LEVEL": "warning",
            "STALE_AFTER_MS": "3600000",  # all is analyzed
        }
        replicas = [RaptProcess("analyzer", Path(folder) / f"data-{core}", environment) for core in range(count)]
        try:
            for core, replica in zip(sorted(os.sched_getaffinity(0)), replicas, strict=False):
                with _on_core(core):
                    replica.start()
            return asyncio.run(_measure(kafka.bootstrap))
        finally:
            for replica in replicas:
                replica.terminate()


async def _measure(bootstrap_servers: str) -> float:
    """Frames a second in the middle of a backlog, by the log's own clock: nothing that feeds or reads takes time from
    the replicas meanwhile."""
    log = KafkaLog(bootstrap_servers)
    await log.start()
    results = Results(log, [METRICS])
    await results.start()
    feed = Feed(log, one_session_per_partition(), lambda session: drawn_frames(seed=session % 4 + 1))
    await feed.start()
    await feed.frames(WARM_UP)
    await results.reached(SESSIONS * WARM_UP)
    await results.stop()
    await feed.frames(FRAMES_EACH)
    await log.close()
    times_ms = sorted(await _times_ms(bootstrap_servers, SESSIONS * (WARM_UP + FRAMES_EACH)))[SESSIONS * WARM_UP :]
    begin, end = len(times_ms) // 4, len(times_ms) * 9 // 10
    return 1000 * (end - begin) / (times_ms[end] - times_ms[begin])


async def _times_ms(bootstrap_servers: str, wanted: int) -> list[int]:
    """When the log took each of so many metrics; reads them once all are there."""
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest")
    await reader.start()
    try:
        partitions = [TopicPartition(METRICS.name, number) for number in range(METRICS.partitions)]
        while sum((await reader.end_offsets(partitions)).values()) < wanted:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.5)
        reader.assign(partitions)
        times_ms: list[int] = []
        while len(times_ms) < wanted:
            read = await reader.getmany(timeout_ms=1000)
            times_ms += [record.timestamp for records in read.values() for record in records]
        return times_ms
    finally:
        await reader.stop()


def one_session_per_partition() -> list[str]:
    """Ids of sessions, one on each partition of the frames."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < SESSIONS:
        session_id = f"bench-{number}"
        found.setdefault(partition_of(session_id, FRAMES.partitions), session_id)
        number += 1
    return list(found.values())


@contextmanager
def _on_core(core: int) -> Iterator[None]:
    """What is started meanwhile runs on this core alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
