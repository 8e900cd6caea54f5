"""Capture to shown: 10 sessions at 10 fps against `rapt up`, recorded, the clients in another process."""

import asyncio
import tempfile
from pathlib import Path

from bench.frames import FPS, drawn_frames
from bench.result import Claim
from services.client.load import LoadReport, load
from tests.support.processes import PASSWORD, Embedded

SESSIONS = 10
SECONDS = 20.0
WARM_UP_S = 5.0


def run() -> list[Claim]:
    with tempfile.TemporaryDirectory() as folder:
        rapt = Embedded(Path(folder) / "data", {"LOG_LEVEL": "warning"})
        rapt.start()
        try:
            report = asyncio.run(_load(rapt.url))
        finally:
            rapt.stop()
    if report.p50_ms is None or report.p99_ms is None:
        raise RuntimeError("no metrics came back")
    what = f"{SESSIONS} sessions × {FPS:g} fps, {report.measured} of {report.sent} frames shown"
    return [
        Claim("capture → shown, p50", report.p50_ms, "ms", "at most", 40, what),
        Claim("capture → shown, p99", report.p99_ms, "ms", "at most", 100, what),
    ]


async def _load(url: str) -> LoadReport:
    return await load(
        url,
        username="student",
        password=PASSWORD,
        lecture_code="DEMO",
        sessions=SESSIONS,
        fps=FPS,
        seconds=WARM_UP_S + SECONDS,
        warm_up_s=WARM_UP_S,
        frames=drawn_frames(),
        record=True,
    )
