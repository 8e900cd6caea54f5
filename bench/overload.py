"""More work than the cores can do: who is analyzed how often, how old what is shown is, and how long acks take.

`rapt up` takes twice the frames that it can analyze. The same clients at a light load first say what an ack takes.
"""

import asyncio
import tempfile
from pathlib import Path

from bench.frames import drawn_frames
from bench.result import Claim
from services.client.load import LoadReport, load
from services.client.tally import percentile
from services.runtime.settings import Settings
from tests.support.processes import PASSWORD, Embedded

LIGHT, HEAVY = 4, 60  # sessions
FPS = 15.0
SECONDS = 20.0
WARM_UP_S = 8.0
STALE_AFTER_MS = Settings.model_fields["stale_after_ms"].default


def run() -> list[Claim]:
    light, heavy = (_under(sessions) for sessions in (LIGHT, HEAVY))
    light_ack_ms, heavy_ack_ms = (percentile(report.ack_latencies_ms, 0.99) for report in (light, heavy))
    if light_ack_ms is None or heavy_ack_ms is None or heavy.p99_ms is None:
        raise RuntimeError("no acknowledgement or no metrics came back")
    share = heavy.measured / heavy.sent
    load_told = f"{HEAVY} sessions × {FPS:g} fps, {share:.0%} of {heavy.sent} frames analyzed"
    return [
        Claim("fairness under overload (Jain's index)", jain(heavy.measured_each), "", "at least", 0.95, load_told),
        Claim("capture → shown under overload, p99", heavy.p99_ms, "ms", "at most", STALE_AFTER_MS, load_told),
        Claim(
            "ack under overload, p99 ÷ under light load",
            heavy_ack_ms / light_ack_ms,
            "×",
            "at most",
            2.0,
            f"{heavy_ack_ms:.0f} ms",
            f"{light_ack_ms:.0f} ms with {LIGHT} sessions",
        ),
    ]


def jain(shares: list[int]) -> float:
    """Jain's fairness index (Jain, Chiu & Hawe 1984): 1 when all have the same, 1/n when one has all."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 0.0


def _under(sessions: int) -> LoadReport:
    with tempfile.TemporaryDirectory() as folder:
        rapt = Embedded(Path(folder) / "data", {"LOG_LEVEL": "warning"})
        rapt.start()
        try:
            return asyncio.run(
                load(
                    rapt.url,
                    username="student",
                    password=PASSWORD,
                    lecture_code="DEMO",
                    sessions=sessions,
                    fps=FPS,
                    seconds=WARM_UP_S + SECONDS,
                    warm_up_s=WARM_UP_S,
                    frames=drawn_frames(),
                )
            )
        finally:
            rapt.stop()
