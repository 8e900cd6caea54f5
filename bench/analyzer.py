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

from bench.frames import FPS, drawn_frames
from bench.result import Claim
from schemas.frames import FrameHeaders
from schemas.sessions import SessionStart
from schemas.topics import FRAMES, METRICS
from services.analyzer.app import build_app
from services.runtime.clock import now_ms
from services.runtime.log import Record
from services.runtime.log.local import LocalLog
from services.runtime.metrics import Metrics
from services.runtime.settings import load_settings

SESSIONS = 4
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
            0.9,
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


class _Counter:
    """A reader that knows when so many results are there."""

    def __init__(self) -> None:
        self.count = 0
        self.moved = asyncio.Condition()

    async def assigned(self, partitions: object) -> None: ...

    async def revoked(self, partitions: object) -> None: ...

    async def handle(self, records: Sequence[Record]) -> None:
        async with self.moved:
            self.count += len(records)
            self.moved.notify_all()

    async def reached(self, count: int) -> None:
        async with self.moved:
            await self.moved.wait_for(lambda: self.count >= count)


async def _analyzer() -> float:
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(rapt_data=Path(folder), stale_after_ms=3_600_000)
        log = LocalLog(Path(folder) / "log.sqlite")
        await log.start()
        analyzer = build_app(settings, log, Metrics())
        await analyzer.start()
        results = _Counter()
        reader = log.consumer([METRICS], results, group=None)
        await reader.start()

        await _send(log, range(WARM_UP), start=True)
        await results.reached(SESSIONS * WARM_UP)
        began = time.perf_counter()
        await _send(log, range(WARM_UP, WARM_UP + FRAMES_EACH))
        await results.reached(SESSIONS * (WARM_UP + FRAMES_EACH))
        seconds = time.perf_counter() - began

        await reader.stop()
        await analyzer.stop()
        await log.close()
        return SESSIONS * FRAMES_EACH / seconds


async def _send(log: LocalLog, numbers: range, *, start: bool = False) -> None:
    for session in range(SESSIONS):
        if start:
            meta = SessionStart(
                session_id=f"bench-{session}",
                student_id="bench",
                lecture_code="BENCH",
                started_at_ms=now_ms(),
                frame_width=320,
                frame_height=240,
            )
            headers = FrameHeaders(meta.session_id, "start", 0, meta.started_at_ms, meta.started_at_ms)
            await log.send(FRAMES, meta.session_id, meta.encode(), headers.encode())
    origin_ms = now_ms()
    for number in numbers:
        for session in range(SESSIONS):
            frames = drawn_frames(seed=session + 1)
            captured_ms = origin_ms + round(number * 1000 / FPS)
            headers = FrameHeaders(f"bench-{session}", "frame", number, captured_ms, now_ms())
            await log.send(FRAMES, f"bench-{session}", frames[number % len(frames)], headers.encode())
