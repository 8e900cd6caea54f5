"""Recorders that oversleep, come, go and die on a real Kafka while sessions stream: every acknowledged frame is in its
file, once and in order, and each recording completes once."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.recorder.verify import decoded_frames
from services.runtime.log.kafka import KafkaLog
from tests.support.kafka import KafkaNode, kafka_node
from tests.support.recorder_replicas import Crowd, Replica, until

SESSIONS = 16


@pytest.fixture(scope="module")
def node() -> Iterator[KafkaNode]:
    with kafka_node() as node:
        yield node


@pytest.fixture
async def crowd(node: KafkaNode, request: pytest.FixtureRequest) -> AsyncIterator[Crowd]:
    log = KafkaLog(node.bootstrap)
    await log.start()
    crowd = Crowd(log, [f"{request.node.name[5:20].strip('_')}-{number}" for number in range(SESSIONS)])
    yield crowd
    await crowd.close()
    await log.close()


@pytest.fixture
def replicas(node: KafkaNode, tmp_path: Path) -> Iterator[tuple[Replica, Replica]]:
    first, second = (Replica(name, tmp_path / "data", node.bootstrap) for name in ("first", "second"))
    yield first, second
    for each in (first, second):
        each.kill()


async def start(*replicas: Replica) -> None:
    await asyncio.gather(*(asyncio.to_thread(each.start) for each in replicas))


async def oversleep(sleeper: Replica, other: Replica) -> None:
    """Stop one process until the other has all the sessions, then let it go on until it has some again."""
    sleeper.send(signal.SIGSTOP)
    try:
        await until(lambda: other.sessions() == SESSIONS, "the other recorder has every session")
    finally:
        sleeper.send(signal.SIGCONT)
    await until(lambda: other.sessions() < SESSIONS and sleeper.sessions() > 0, "the woken recorder has sessions again")


@pytest.mark.timeout(300)
async def test_a_recorder_oversleeps_beginnings_middles_and_ends(
    replicas: tuple[Replica, Replica], crowd: Crowd, tmp_path: Path
) -> None:
    recordings = tmp_path / "data" / "recordings"
    first, second = replicas
    await start(first, second)
    await crowd.start()
    await until(lambda: len(list(recordings.glob("open/*/manifest*"))) >= SESSIONS // 3, "some recordings have begun")
    await oversleep(first, second)
    await crowd.more(10)
    await oversleep(second, first)
    await crowd.more(10)
    await crowd.end()
    await until(lambda: any((recordings / "metadata").iterdir()), "one recording is finished")
    first.send(signal.SIGSTOP)
    try:
        await until(crowd.over, "the other recorder ends every recording")
    finally:
        first.send(signal.SIGCONT)
    await until(lambda: not any((recordings / "open").iterdir()), "nothing is left under way")
    assert [await asyncio.to_thread(each.terminate) for each in replicas] == [0, 0]
    crowd.assert_nothing_lost_nothing_twice(recordings)


@pytest.mark.timeout(300)
async def test_recorders_join_leave_and_die_under_load(
    replicas: tuple[Replica, Replica], crowd: Crowd, tmp_path: Path
) -> None:
    recordings = tmp_path / "data" / "recordings"
    first, second = replicas
    await start(first)
    await crowd.start()
    await until(lambda: first.sessions() == SESSIONS, "the only recorder has every session")
    await start(second)
    await until(lambda: second.sessions() > 0, "the second recorder has sessions")
    await crowd.more(10)
    await asyncio.to_thread(first.kill)
    await until(lambda: second.sessions() == SESSIONS, "the survivor has every session")
    await start(first)
    await until(lambda: first.sessions() > 0, "the restarted recorder has sessions")
    await crowd.more(10)
    held = second.sessions()
    assert await asyncio.to_thread(second.terminate) == 0
    playable = list(recordings.glob("*.mp4"))
    assert len(playable) >= held
    assert all(decoded_frames(file) > 0 for file in playable)
    await until(lambda: first.sessions() == SESSIONS, "the one that stays has every session")
    first.send(signal.SIGTERM)
    await until(lambda: "stopping" in first.log(), "the shutdown has begun")
    await asyncio.to_thread(first.kill)
    await start(first)
    await crowd.more(5)
    await crowd.end()
    await until(crowd.over, "every recording ends")
    await until(lambda: not any((recordings / "open").iterdir()), "nothing is left under way")
    assert await asyncio.to_thread(first.terminate) == 0
    crowd.assert_nothing_lost_nothing_twice(recordings)
