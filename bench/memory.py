"""Memory of sessions: what 10 more take in `rapt up`, recording included; and 50 on one analyzer as time goes by."""

import asyncio
import statistics
import tempfile
from pathlib import Path

import psutil

from bench.frames import FPS, drawn_frames
from bench.result import Claim
from services.client.load import load
from tests.support.processes import PASSWORD, Embedded

FEW, MANY = 2, 12
SECONDS = 12.0
CROWD = 50
CROWD_FPS = 3.0  # so that two cores keep up
CROWD_SECONDS = 40.0


def run() -> list[Claim]:
    few, many = (max(_resident_mb(sessions, FPS, SECONDS, record=True)) for sessions in (FEW, MANY))
    crowd = _resident_mb(CROWD, CROWD_FPS, CROWD_SECONDS, record=False)
    quarter = len(crowd) // 4
    early, late = statistics.mean(crowd[quarter : 2 * quarter]), statistics.mean(crowd[-quarter:])
    return [
        Claim(
            "memory per added session",
            (many - few) / (MANY - FEW),
            "MB",
            "at most",
            35,
            f"{few:.0f} MB with {FEW} sessions, {many:.0f} MB with {MANY}",
        ),
        Claim(
            f"memory of {CROWD} sessions, last quarter of {CROWD_SECONDS:g} s ÷ second",
            late / early,
            "×",
            "at most",
            1.1,
            f"{late / CROWD:.1f} MB a session",
            f"{early / CROWD:.1f} MB a session",
        ),
    ]


def _resident_mb(sessions: int, fps: float, seconds: float, *, record: bool) -> list[float]:
    """The resident set of a fresh `rapt up`, in MB, five times a second while so many sessions stream."""
    with tempfile.TemporaryDirectory() as folder:
        rapt = Embedded(Path(folder) / "data", {"LOG_LEVEL": "warning"})
        rapt.start()
        try:
            return asyncio.run(_watch(rapt, sessions, fps, seconds, record=record))
        finally:
            rapt.stop()


async def _watch(rapt: Embedded, sessions: int, fps: float, seconds: float, *, record: bool) -> list[float]:
    process = psutil.Process(rapt.processes["up"].pid)
    live = asyncio.Event()
    streaming = asyncio.create_task(
        load(
            rapt.url,
            username="student",
            password=PASSWORD,
            lecture_code="DEMO",
            sessions=sessions,
            fps=fps,
            seconds=seconds,
            frames=drawn_frames(),
            record=record,
            live=live,
        )
    )
    await live.wait()
    resident_mb = []
    while not streaming.done():
        resident_mb.append(process.memory_info().rss / 1e6)
        await asyncio.sleep(0.2)
    await streaming
    return resident_mb
