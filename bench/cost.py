"""Processor time per frame: all metrics and the recording beside the obvious loop; and large frames beside small.

Rapt's figure holds everything: reading and writing the log, decoding twice (analyzer and recorder), models, JSON,
H.264, the finished file; and the sending of the frames, which is ingest's.
"""

import asyncio
import tempfile
import time
from pathlib import Path

from bench import obvious
from bench.feed import FOUR_SESSIONS, Feed, Results
from bench.frames import drawn_frames
from bench.result import Claim
from schemas.events import RecordingEvent
from schemas.topics import METRICS, RECORDINGS
from services.analyzer.app import build_app as build_analyzer
from services.recorder.app import build_app as build_recorder
from services.runtime.lifecycle import Part
from services.runtime.log import Record
from services.runtime.log.local import LocalLog
from services.runtime.metrics import Metrics
from services.runtime.settings import load_settings

SESSIONS = len(FOUR_SESSIONS)
WARM_UP = 20
FRAMES_EACH = 200
ROUNDS = 3
LARGE = (1280, 720)


def run() -> list[Claim]:
    pairs = [(_obvious(), asyncio.run(_rapt((320, 240), record=True))) for _ in range(ROUNDS)]
    loop_ms, rapt_ms = sorted(pairs, key=lambda pair: pair[0] / pair[1])[ROUNDS // 2]
    sizes = [(asyncio.run(_rapt((320, 240))), asyncio.run(_rapt(LARGE))) for _ in range(ROUNDS)]
    small_ms, large_ms = sorted(sizes, key=lambda pair: pair[1] / pair[0])[ROUNDS // 2]
    return [
        Claim(
            "CPU per frame: FaceMesh + Pose + mp4v on every frame ÷ analyzer + recorder",
            loop_ms / rapt_ms,
            "×",
            "at least",
            4.0,
            f"{rapt_ms:.2f} ms",
            f"{loop_ms:.2f} ms",
        ),
        Claim(
            "CPU per frame in the analyzer: 1280×720 ÷ 320×240",
            large_ms / small_ms,
            "×",
            "at most",
            1.5,
            f"{large_ms:.2f} ms",
            f"{small_ms:.2f} ms",
        ),
    ]


def _obvious() -> float:
    with tempfile.TemporaryDirectory() as folder:
        return obvious.cpu_ms_per_frame(drawn_frames(seed=1), FRAMES_EACH, Path(folder))


async def _rapt(size: tuple[int, int], *, record: bool = False) -> float:
    """Milliseconds of this whole process per frame."""
    for number in range(SESSIONS):
        drawn_frames(seed=number + 1, size=size)  # so that drawing them is not measured
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(rapt_data=Path(folder), stale_after_ms=3_600_000)
        log, metrics = LocalLog(Path(folder) / "log.sqlite"), Metrics()
        await log.start()
        services: list[Part] = [build_analyzer(settings, log, metrics)]
        if record:
            services.append(build_recorder(settings, log, metrics))
        for service in services:
            await service.start()
        analyzed, recorded = Results(log, [METRICS]), Results(log, [RECORDINGS], _completed)
        await analyzed.start()
        await recorded.start()

        feed = Feed(log, FOUR_SESSIONS, lambda session: drawn_frames(seed=session + 1, size=size), size)
        await feed.start(record=record)
        await feed.frames(WARM_UP)
        await analyzed.reached(SESSIONS * WARM_UP)
        began_s = time.process_time()
        await feed.frames(FRAMES_EACH)
        await feed.end()
        await analyzed.reached(SESSIONS * (WARM_UP + FRAMES_EACH))
        if record:
            await recorded.reached(SESSIONS)
        cpu_s = time.process_time() - began_s

        for reader in (analyzed, recorded):
            await reader.stop()
        for service in reversed(services):
            await service.stop()
        await log.close()
        return cpu_s * 1000 / (SESSIONS * FRAMES_EACH)


def _completed(record: Record) -> bool:
    return RecordingEvent.decode(record.value).kind == "completed"
