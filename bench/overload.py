"""More work than the cores can do: who is analyzed how often, how old what is shown is, and how long acks take.

`rapt up` takes about twice the frames that two cores can analyze. The same clients, sessions and frames without consent
to analysis say first what an acknowledgement takes where nothing competes with it.
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

SESSIONS = 40
FPS = 15.0
SECONDS = 20.0
WARM_UP_S = 8.0
STALE_AFTER_MS = Settings.model_fields["stale_after_ms"].default


def run() -> list[Claim]:
    received, analyzed = (_stream(analysis=analysis) for analysis in (False, True))
    calm_ms, busy_ms = (percentile(report.ack_latencies_ms, 0.99) for report in (received, analyzed))
    if calm_ms is None or busy_ms is None or analyzed.p99_ms is None:
        raise RuntimeError("no acknowledgement or no metrics came back")
    share = analyzed.measured / analyzed.sent
    what = f"{SESSIONS} sessions × {FPS:g} fps, {share:.0%} of {analyzed.sent} frames analyzed"
    return [
        Claim("fairness under overload (Jain's index)", jain(analyzed.measured_each), "", "at least", 0.95, what),
        Claim("capture → shown under overload, p99", analyzed.p99_ms, "ms", "at most", STALE_AFTER_MS, what),
        Claim(
            "capture → acknowledged under overload, p99",
            busy_ms,
            "ms",
            "at most",
            1000 / FPS,  # a client that gets its acknowledgements within a frame's time never waits for them
            f"{analyzed.skipped_captures} of {analyzed.sent} captures held back",
            f"{calm_ms:.0f} ms without analysis",
        ),
    ]


def jain(shares: list[int]) -> float:
    """Jain's fairness index (Jain, Chiu & Hawe 1984): 1 when all have the same, 1/n when one has all."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 0.0


def _stream(*, analysis: bool) -> LoadReport:
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
                    sessions=SESSIONS,
                    fps=FPS,
                    seconds=WARM_UP_S + SECONDS,
                    warm_up_s=WARM_UP_S,
                    frames=drawn_frames(),
                    analysis=analysis,
                )
            )
        finally:
            rapt.stop()
