"""Drawn students stream into a real Rapt while something is done to it; at the end what was acknowledged is compared
with what the recordings and the store have."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from services.client.drawn import draw_jpeg
from services.client.options import StreamOptions
from services.client.stream import StudentClient
from services.client.timetable import Timetable
from services.recorder.verify import recorded_seqs, times_in_file
from services.runtime.clock import now_ms
from tests.support.processes import PASSWORD, Deployment

Found = TypeVar("Found")
Deed = tuple[float, Callable[[], object]]  # second of the stream, what is done then (in a thread)

FPS = 10


async def stream_through(rapt: Deployment, seconds: int, deeds: Sequence[Deed], *, students: int = 1) -> None:
    """Stream at 10 frames a second while the deeds are done in turn; assert that nothing acknowledged is missing,
    nothing is there twice, and the counts are as if nothing had happened."""
    begun_s = asyncio.get_running_loop().time()

    async def do_all() -> None:
        for at_s, deed in deeds:
            await _at(begun_s + at_s)
            await asyncio.to_thread(deed)

    async with asyncio.TaskGroup() as tasks:
        done = tasks.create_task(do_all())
        for seed in range(students):
            tasks.create_task(_student(rapt, Timetable(seed + 7, seconds), seconds, begun_s, done))


async def _student(
    rapt: Deployment, timetable: Timetable, seconds: int, begun_s: float, done: "asyncio.Task[None]"
) -> None:
    options = StreamOptions(reconnect_for_s=300.0)
    async with StudentClient(rapt.url, "student", PASSWORD, "DEMO", options) as client:
        origin_ms = now_ms()
        for number in range(seconds * FPS):
            await _at(begun_s + number / FPS)
            jpeg = await asyncio.to_thread(draw_jpeg, timetable.pose_at(number / FPS), grain=number)
            await client.send(jpeg, captured_at_ms=origin_ms + number * 1000 // FPS)
        await asyncio.shield(done)
        await client.drained()
        await client.stop()
        acknowledged = list(client.tally.acked)
        totals = client.tally.totals
        [recording] = await eventually(
            lambda: client.api.recordings(client.session_id), lambda found: [r.status for r in found] == ["completed"]
        )
        summary = await eventually(
            lambda: client.api.summary(client.session_id), lambda found: found.frames_analyzed == seconds * FPS
        )
    assert client.window.sent == len(acknowledged) == seconds * FPS
    recordings = rapt.data / "recordings"
    assert recorded_seqs(recordings, recording.recording_id) == acknowledged
    assert recording.filename is not None
    assert len(times_in_file(recordings / recording.filename)) == len(acknowledged)
    truth = timetable.truth(seconds)
    assert (summary.blink_count, summary.yawn_count) == (truth.blinks, truth.yawns)
    if totals is not None:  # the edge may have had none to tell in time
        assert (totals.blink_count, totals.yawn_count, totals.skipped) == (truth.blinks, truth.yawns, 0)


async def eventually(ask: Callable[[], Awaitable[Found]], enough: Callable[[Found], bool]) -> Found:
    """Ask until the answer is enough; the test's own time limit ends it."""
    while not enough(found := await ask()):
        await asyncio.sleep(0.1)
    return found


async def _at(time_s: float) -> None:
    await asyncio.sleep(max(0.0, time_s - asyncio.get_running_loop().time()))
