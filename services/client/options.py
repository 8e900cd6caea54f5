"""How a student's client streams, and how long it waits before it comes back. Pure."""

from dataclasses import dataclass

from schemas.sessions import Consent

BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 3.0
_CONSENT = Consent(recording=True, live_view=True)


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """`size` is (width, height) in pixels. `session_id`: go on with this session instead of a new one.
    `reconnect_for_s`: how long a lost connection is tried again."""

    size: tuple[int, int] = (320, 240)
    fps: float = 10.0
    record: bool = True
    consent: Consent = _CONSENT
    landmarks: bool = False
    session_name: str | None = None
    session_id: str | None = None
    reconnect_for_s: float = 60.0


def backoff_s(attempt: int, chance: float) -> float:
    """Seconds to wait before trying again; `attempt` counts from 0, `chance` is in 0..1."""
    return min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(attempt, 10)) * (0.5 + 0.5 * chance)
