"""kill -9 in the middle of a stream, embedded and on Kafka: nothing acknowledged is lost, nothing is there twice."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from schemas.rest import Recording
from services.client.drawn import draw_jpeg
from services.client.stream import StudentClient
from services.client.timetable import Timetable
from services.recorder.verify import recorded_seqs, times_in_file
from services.runtime.clock import now_ms
from tests.support.kafka import kafka_node
from tests.support.processes import PASSWORD, Cluster, Deployment, Embedded

Found = TypeVar("Found")

FPS = 10
SECONDS = 30
KILLS_AT_S = (6, 12, 18, 24)


@pytest.mark.timeout(180)
async def test_embedded_goes_on_after_a_kill(tmp_path: Path) -> None:
    rapt = Embedded(tmp_path / "data")
    rapt.start()
    try:
        await _stream_through_kills(rapt, ["up"])
    finally:
        rapt.stop()


@pytest.mark.timeout(240)
async def test_every_service_goes_on_after_a_kill_on_kafka(tmp_path: Path) -> None:
    with kafka_node() as kafka:
        rapt = Cluster(tmp_path / "data", kafka.bootstrap)
        rapt.start()
        try:
            await _stream_through_kills(rapt, ["analyzer", "recorder", "ingest", "sink"])
        finally:
            rapt.stop()


async def _stream_through_kills(rapt: Deployment, victims: list[str]) -> None:
    """Stream one drawn student at its own pace, kill each victim in turn and start it again, and compare at the end."""
    timetable = Timetable(7, SECONDS)
    client = StudentClient(rapt.url, "student", PASSWORD, "DEMO")
    kills = dict(zip(KILLS_AT_S, victims, strict=False))
    restarts: list[asyncio.Task[None]] = []
    async with client:
        origin_ms, begun_s = now_ms(), asyncio.get_running_loop().time()
        for number in range(SECONDS * FPS):
            await asyncio.sleep(max(0.0, begun_s + number / FPS - asyncio.get_running_loop().time()))
            if number % FPS == 0 and (victim := kills.get(number // FPS)) is not None:
                rapt.processes[victim].kill()
                restarts.append(asyncio.create_task(asyncio.to_thread(rapt.processes[victim].start)))
            jpeg = await asyncio.to_thread(draw_jpeg, timetable.pose_at(number / FPS), grain=number)
            await client.send(jpeg, captured_at_ms=origin_ms + number * 1000 // FPS)
        await asyncio.gather(*restarts)
        await client.drained()
        await client.stop()
        totals = client.tally.totals
        recording = await _completed(client)
        acknowledged = list(client.tally.acked)

        summary = await _until(
            lambda: client.api.summary(client.session_id), lambda found: found.frames_analyzed == SECONDS * FPS
        )

    assert client.window.sent == len(acknowledged) == SECONDS * FPS
    recordings = rapt.data / "recordings"
    assert recorded_seqs(recordings, recording.recording_id) == acknowledged
    assert recording.filename is not None
    assert len(times_in_file(recordings / recording.filename)) == len(acknowledged)
    truth = timetable.truth(SECONDS)
    assert totals is not None
    assert (totals.blink_count, totals.yawn_count) == (truth.blinks, truth.yawns)
    assert totals.skipped == 0
    assert (summary.blink_count, summary.yawn_count) == (truth.blinks, truth.yawns)


async def _completed(client: StudentClient) -> Recording:
    recordings = await _until(
        lambda: client.api.recordings(client.session_id), lambda found: [r.status for r in found] == ["completed"]
    )
    return recordings[0]


async def _until(ask: Callable[[], Awaitable[Found]], enough: Callable[[Found], bool]) -> Found:
    """Ask until the answer is enough; the test's own time limit ends it."""
    while not enough(found := await ask()):
        await asyncio.sleep(0.1)
    return found
