"""Replicas that come, go, sleep and wake on a real Kafka, and a broker that stays away: nothing lost, nothing twice."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from services.client.drawn import draw_jpeg
from services.client.stream import StudentClient
from services.client.timetable import Timetable
from services.recorder.verify import recorded_seqs, times_in_file
from services.runtime.clock import now_ms
from tests.support.kafka import KafkaNode, kafka_node
from tests.support.processes import PASSWORD, Cluster, RaptProcess

Found = TypeVar("Found")
Deed = Callable[[], object]

FPS = 10
STUDENTS = 3
# A busy machine is behind with everything: that is no reason to leave frames out, where all are counted.
PATIENT = {"STALE_AFTER_MS": "60000"}


class Replicas:
    """A cluster with a second analyzer and a second recorder, so that partitions can move."""

    def __init__(self, data: Path, kafka: KafkaNode) -> None:
        self.kafka = kafka
        environment = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, **PATIENT}
        self.cluster = Cluster(data, kafka.bootstrap, environment)
        self.seconds = {name: RaptProcess(name, data, environment) for name in ("analyzer", "recorder")}
        for name, process in self.seconds.items():
            process.output = data.parent / f"{name}-2.log"

    def both(self, deed: Callable[[RaptProcess], object]) -> None:
        for process in self.seconds.values():
            deed(process)

    def freeze_firsts(self, how: signal.Signals) -> None:
        for name in self.seconds:
            os.kill(self.cluster.processes[name].pid, how)

    def stop(self) -> None:
        self.both(RaptProcess.terminate)
        self.cluster.stop()


@pytest.fixture
async def rapt(tmp_path: Path) -> AsyncIterator[Replicas]:
    with kafka_node() as kafka:
        rapt = Replicas(tmp_path / "data", kafka)
        try:
            await asyncio.to_thread(rapt.cluster.start)
            yield rapt
        finally:
            rapt.stop()


@pytest.mark.timeout(240)
async def test_replicas_that_join_leave_and_oversleep(rapt: Replicas) -> None:
    """Second replicas join; the first ones are stopped until they lost their partitions, and wake up as strangers;
    then the second ones leave."""
    await _stream(
        rapt,
        20,
        [
            (2, lambda: rapt.both(RaptProcess.start)),
            (6, lambda: rapt.freeze_firsts(signal.SIGSTOP)),
            (14.5, lambda: rapt.freeze_firsts(signal.SIGCONT)),
            (17, lambda: rapt.both(RaptProcess.terminate)),
        ],
    )


@pytest.mark.timeout(240)
async def test_a_broker_that_stays_away_for_longer_than_a_request_may_take(rapt: Replicas) -> None:
    await _stream(rapt, 10, [(4, rapt.kafka.kill), (15, rapt.kafka.start)])


async def _stream(rapt: Replicas, seconds: int, deeds: Sequence[tuple[float, Deed]]) -> None:
    """Stream drawn students while the deeds are done, each at its second, and compare at the end."""
    begun_s = asyncio.get_running_loop().time()

    async def do_all() -> None:
        for at_s, deed in deeds:
            await asyncio.sleep(max(0.0, begun_s + at_s - asyncio.get_running_loop().time()))
            await asyncio.to_thread(deed)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(do_all())
        for seed in range(STUDENTS):
            tasks.create_task(_student(rapt.cluster, Timetable(seed, seconds), seconds, begun_s))


async def _student(cluster: Cluster, timetable: Timetable, seconds: int, begun_s: float) -> None:
    async with StudentClient(cluster.url, "student", PASSWORD, "DEMO") as client:
        origin_ms = now_ms()
        for number in range(seconds * FPS):
            await asyncio.sleep(max(0.0, begun_s + number / FPS - asyncio.get_running_loop().time()))
            jpeg = await asyncio.to_thread(draw_jpeg, timetable.pose_at(number / FPS), grain=number)
            await client.send(jpeg, captured_at_ms=origin_ms + number * 1000 // FPS)
        await client.drained()
        await client.stop()
        acknowledged = list(client.tally.acked)
        assert client.window.sent == len(acknowledged) == seconds * FPS
        [recording] = await _until(
            lambda: client.api.recordings(client.session_id),
            lambda found: [each.status for each in found] == ["completed"],
        )
        summary = await _until(
            lambda: client.api.summary(client.session_id), lambda found: found.frames_analyzed == seconds * FPS
        )
    recordings = cluster.data / "recordings"
    assert recorded_seqs(recordings, recording.recording_id) == acknowledged
    assert recording.filename is not None
    assert len(times_in_file(recordings / recording.filename)) == len(acknowledged)
    truth = timetable.truth(seconds)
    assert (summary.blink_count, summary.yawn_count) == (truth.blinks, truth.yawns)


async def _until(ask: Callable[[], Awaitable[Found]], enough: Callable[[Found], bool]) -> Found:
    """Ask until the answer is enough, for a minute."""
    async with asyncio.timeout(60):
        while not enough(found := await ask()):
            await asyncio.sleep(0.1)
    return found
