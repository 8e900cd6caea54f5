"""Where the head and the eyes point: labels, and the person's own middle of gaze."""

from dataclasses import dataclass
from math import exp

from schemas.events import Gaze, HeadPose

# Head: degrees off the camera's axis from which a label applies.
_TURNED_DEG = 20.0
_NODDED_DEG = 15.0
_TILTED_DEG = 20.0

# Eyes turned 20…28° sideways move the iris by 0.23…0.28 of half the eye's width, 15…20° up or down by 0.07…0.13.
_ASIDE = 0.15
_UP_DOWN = 0.06
_UP_DOWN_PER_DEG = 0.003  # the head's pitch leaks into the vertical measure
_DEG_PER_IRIS_H = 100.0
_IRIS_H_DOUBT = 0.1  # how far a turned head alone moves the measure
_MEASURABLE_YAW_DEG = 35.0
_MEASURABLE_PITCH_DEG = 30.0

_CENTRE_LIMIT = 0.12
_LEARNING_MS = 2000.0
_TAU_MS = 60_000.0


@dataclass(frozen=True, slots=True)
class GazeCentre:
    """Where this person's irises rest when looking ahead; learned in the first seconds, then slowly."""

    h: float = 0.0
    v: float = 0.0
    learned_ms: float = 0.0


def head_label(yaw_deg: float, pitch_deg: float, roll_deg: float) -> HeadPose:
    """The direction that stands out most, in units of its own threshold."""
    aside, nodded, tilted = abs(yaw_deg) / _TURNED_DEG, abs(pitch_deg) / _NODDED_DEG, abs(roll_deg) / _TILTED_DEG
    most = max(aside, nodded, tilted)
    if most < 1:
        return "forward"
    if most == aside:
        return "right" if yaw_deg > 0 else "left"
    if most == nodded:
        return "down" if pitch_deg > 0 else "up"
    return "tilted"


def eyes_deg(gaze_h: float) -> float:
    """By how much the eyes are turned for sure, in degrees to image right."""
    sure = max(0.0, abs(gaze_h) - _IRIS_H_DOUBT) * _DEG_PER_IRIS_H
    return sure if gaze_h > 0 else -sure


def gaze_measurable(yaw_deg: float, pitch_deg: float) -> bool:
    """Whether the head is turned little enough for the irises to tell anything."""
    return abs(yaw_deg) <= _MEASURABLE_YAW_DEG and abs(pitch_deg) <= _MEASURABLE_PITCH_DEG


def gaze_label(h: float, v: float, pitch_deg: float) -> Gaze:
    """`h`, `v` relative to the person's centre."""
    aside = abs(h) / _ASIDE
    lifted = abs(v) / (_UP_DOWN + _UP_DOWN_PER_DEG * abs(pitch_deg))
    if max(aside, lifted) < 1:
        return "center"
    if aside >= lifted:
        return "right" if h > 0 else "left"
    return "up" if v > 0 else "down"


def learn_centre(centre: GazeCentre, h: float, v: float, dt_ms: float) -> GazeCentre:
    """Take in a frontal sample: the mean of the first two seconds, then slowly and only from near the centre."""
    learned_ms = centre.learned_ms + dt_ms
    if centre.learned_ms < _LEARNING_MS:
        keep = centre.learned_ms / learned_ms if learned_ms else 0.0
    elif abs(h - centre.h) > _ASIDE / 2 or abs(v - centre.v) > _UP_DOWN:
        return centre
    else:
        keep = exp(-dt_ms / _TAU_MS)
    return GazeCentre(_limited(h + (centre.h - h) * keep), _limited(v + (centre.v - v) * keep), learned_ms)


def _limited(value: float) -> float:
    return max(-_CENTRE_LIMIT, min(_CENTRE_LIMIT, value))
