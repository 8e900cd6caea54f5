"""Memory per added session of `rapt up`, recording included: what 10 sessions more take, divided by 10."""

import asyncio
import tempfile
from pathlib import Path

import psutil

from bench.frames import FPS, drawn_frames
from bench.result import Claim
from services.client.load import load
from tests.support.processes import PASSWORD, Embedded

FEW, MANY = 2, 12
SECONDS = 12.0


def run() -> list[Claim]:
    few, many = (_resident_mb(sessions) for sessions in (FEW, MANY))
    per_session = (many - few) / (MANY - FEW)
    return [
        Claim(
            "memory per added session",
            per_session,
            "MB",
            "at most",
            40,
            f"{few:.0f} MB with {FEW} sessions, {many:.0f} MB with {MANY}",
        )
    ]


def _resident_mb(sessions: int) -> float:
    """The largest resident set of a fresh process while so many sessions stream, in MB."""
    with tempfile.TemporaryDirectory() as folder:
        rapt = Embedded(Path(folder) / "data", {"LOG_LEVEL": "warning"})
        rapt.start()
        try:
            return asyncio.run(_watch(rapt, sessions))
        finally:
            rapt.stop()


async def _watch(rapt: Embedded, sessions: int) -> float:
    process = psutil.Process(rapt.processes["up"].pid)
    streaming = asyncio.create_task(
        load(
            rapt.url,
            username="student",
            password=PASSWORD,
            lecture_code="DEMO",
            sessions=sessions,
            fps=FPS,
            seconds=SECONDS,
            frames=drawn_frames(),
            record=True,
        )
    )
    largest = 0
    while not streaming.done():
        largest = max(largest, process.memory_info().rss)
        await asyncio.sleep(0.2)
    await streaming
    return largest / 1e6
