"""Frames a second of the analyzer beside a bare decode + face-mesh loop: same frames, same threads, same process.

The analyzer reads from a log, keeps four sessions in order, computes every metric and publishes it. The bare loop
decodes and runs the mesh, and does nothing with what it finds.
"""

import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from mediapipe.python.solutions.face_mesh import FaceMesh

from bench.feed import FOUR_SESSIONS, Feed, Results
from bench.frames import drawn_frames
from bench.result import Claim
from schemas.topics import METRICS
from services.analyzer.app import build_app
from services.runtime.log.local import LocalLog
from services.runtime.metrics import Metrics
from services.runtime.settings import load_settings

SESSIONS = len(FOUR_SESSIONS)
WARM_UP = 20
FRAMES_EACH = 400
ROUNDS = 3


def run() -> list[Claim]:
    pairs = [(asyncio.run(_analyzer()), _bare()) for _ in range(ROUNDS)]
    rapt, bare = sorted(pairs, key=lambda pair: pair[0] / pair[1])[ROUNDS // 2]
    return [
        Claim(
            "analyzer frames/s ÷ bare decode + face mesh",
            rapt / bare,
            "×",
            "at least",
            0.95,
            f"{rapt:.0f} frames/s",
            f"{bare:.0f} frames/s",
        )
    ]


def _bare() -> float:
    """Frames a second of one loop per core, each with its own sessions' trackers."""
    threads = os.cpu_count() or 1
    shares = [range(SESSIONS)[number::threads] for number in range(threads)]
    warm = threading.Barrier(threads + 1)

    def loop(sessions: Sequence[int]) -> None:
        frames = {session: drawn_frames(seed=session + 1) for session in sessions}
        meshes = {session: FaceMesh(max_num_faces=1, refine_landmarks=True) for session in sessions}
        for number in range(WARM_UP + FRAMES_EACH):
            if number == WARM_UP:
                warm.wait()
            for session in sessions:
                jpeg = frames[session][number % len(frames[session])]
                image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
                meshes[session].process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))

    workers = [threading.Thread(target=loop, args=(share,)) for share in shares]
    for worker in workers:
        worker.start()
    warm.wait()
    began = time.perf_counter()
    for worker in workers:
        worker.join()
    return SESSIONS * FRAMES_EACH / (time.perf_counter() - began)


async def _analyzer() -> float:
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(rapt_data=Path(folder), stale_after_ms=3_600_000, pose_hz=0)
        log = LocalLog(Path(folder) / "log.sqlite")
        await log.start()
        analyzer = build_app(settings, log, Metrics())
        await analyzer.start()
        results = Results(log, [METRICS])
        await results.start()

        feed = Feed(log, FOUR_SESSIONS, lambda session: drawn_frames(seed=session + 1))
        await feed.start()
        await feed.frames(WARM_UP)
        await results.reached(SESSIONS * WARM_UP)
        began = time.perf_counter()
        await feed.frames(FRAMES_EACH)
        await results.reached(SESSIONS * (WARM_UP + FRAMES_EACH))
        seconds = time.perf_counter() - began

        await results.stop()
        await analyzer.stop()
        await log.close()
        return SESSIONS * FRAMES_EACH / seconds
