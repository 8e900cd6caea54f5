"""Engagement as a weighted sum of observable parts, and the state with its hysteresis in time."""

from dataclasses import dataclass
from math import hypot

from schemas.events import State
from services.analyzer.domain.eyes import DROWSY_MS

# What each part gives at most. The page draws its bars by the same numbers.
WEIGHTS = {"presence": 0.30, "eyes": 0.25, "gaze": 0.20, "head": 0.25}
_HEAD_DEG = (15.0, 35.0)  # full share up to the first, none from the second on
_LOOK_DEG = (15.0, 35.0)
_EYES_FADE_YAW_DEG = (20.0, 35.0)
_EYES_FADE_PITCH_DEG = (20.0, 30.0)
_PERCLOS_NONE = 0.4
_DISTRACTED_BELOW = (0.70, 0.75)  # to become, to stay

# How long another state must hold before it is told. Drowsy has waited its second already; absent and unknown begin
# when a person has not been measured for 0.3 s.
_DWELL_MS: dict[State, float] = {
    "engaged": 1000.0,
    "distracted": 1500.0,
    "drowsy": 0.0,
    "absent": 700.0,
    "unknown": 700.0,
}


def engagement_parts(*, head_deg: float, look_deg: float, perclos: float | None, closed_ms: float) -> dict[str, float]:
    """Each part's contribution; their sum is the engagement, 0..1. None grows when its signal gets worse.

    presence: a measurable face. eyes: open, by PERCLOS (none at 0.4) and by the closure under way (falling from 0.5 s,
    none at 1 s). head: `head_deg` off the camera. gaze: the line of sight, head and eyes together, `look_deg` off it.
    """
    eyes = 1 - min(1.0, (perclos or 0.0) / _PERCLOS_NONE)
    eyes = min(eyes, _falling(closed_ms, DROWSY_MS / 2, DROWSY_MS))
    return {
        "presence": WEIGHTS["presence"],
        "eyes": WEIGHTS["eyes"] * eyes,
        "gaze": WEIGHTS["gaze"] * _falling(look_deg, *_LOOK_DEG),
        "head": WEIGHTS["head"] * _falling(head_deg, *_HEAD_DEG),
    }


def line_of_sight_deg(yaw_deg: float, pitch_deg: float, eyes_deg: float) -> float:
    """How far off the camera head and eyes point together; eyes that turn back make up for a turned head.

    `eyes_deg`: to image right, when last measured. It fades out where the head is turned so far that eyes cannot be
    measured: a measure that comes and goes must not make the engagement jump.
    """
    share = _falling(abs(yaw_deg), *_EYES_FADE_YAW_DEG) * _falling(abs(pitch_deg), *_EYES_FADE_PITCH_DEG)
    return hypot(yaw_deg + share * eyes_deg, pitch_deg)


@dataclass(frozen=True, slots=True)
class Attention:
    """The state told, and the one that is about to replace it."""

    state: State = "unknown"
    next: State = "unknown"
    since_ms: float = 0.0


def observed_state(engagement: float | None, *, face_present: bool, drowsy: bool, told: State) -> State:
    """What this moment alone would be."""
    if not face_present:
        return "absent"
    if engagement is None:
        return "unknown"
    if drowsy:
        return "drowsy"
    return "distracted" if engagement < _DISTRACTED_BELOW[told == "distracted"] else "engaged"


def settle(attention: Attention, observed: State, now_ms: float) -> Attention:
    """Change the state once another has been observed for its dwell time without a break."""
    since_ms = attention.since_ms if observed == attention.next else now_ms
    if observed == attention.state or now_ms - since_ms >= _DWELL_MS[observed]:
        return Attention(observed, observed, since_ms)
    return Attention(attention.state, observed, since_ms)


def interrupted(attention: Attention) -> Attention:
    """Time jumped: what was about to be told has not been going on."""
    return Attention(attention.state, attention.state)


def _falling(value: float, full: float, none: float) -> float:
    return max(0.0, min(1.0, (none - value) / (none - full)))
