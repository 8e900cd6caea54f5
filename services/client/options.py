"""How a student's client streams. Pure."""

from dataclasses import dataclass

from schemas.sessions import Consent

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
