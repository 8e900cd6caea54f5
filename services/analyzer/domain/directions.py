"""Where the head and the eyes point: labels, and the person's own middle of gaze.

Gaze is that of the eyes in the head: a head that turns while the eyes stay on the screen moves them the other way. Both
numbers are in halves of the eye's width that the iris moves sideways, 0.011 for each degree that the eye turns.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from schemas.events import Gaze, HeadPose
from services.analyzer.domain.geometry import Geometry, Lids
from services.analyzer.domain.head import Angles

# Head: degrees off the camera's axis from which a label applies.
_TURNED_DEG = 20.0
_NODDED_DEG = 15.0
_TILTED_DEG = 20.0

# Upwards and downwards, three measures tell what one alone does not: the irises over the nose's bridge, within the eye,
# and the upper lids, which follow the eyes. Weights as of a least squares fit to 1,200 pictures of ten rendered people,
# scaled to what an iris moves sideways.
_PER_IRIS_RISE, _PER_IRIS_V, _PER_LID = 3.4, 0.6, 1.8
# A blink, a squint or a laugh lowers the upper lid too, but raises the lower one with it by at least 1/2.5 of that.
_LOWER_LID_COUNTS = 2.5
_LID_LIMIT = 0.1

# Where a label begins, and stays once it holds. Eyes turned by 15° read 0.13 and more sideways, 0.09 to 0.2 up or down;
# a head turned by 15° with the eyes ahead, up to 0.09.
_ASIDE = 0.11
_ASIDE_PER_DEG = 0.001  # of the head's yaw
_LIFTED = 0.09
_WIDE_OPEN, _NARROW = 0.32, 0.75  # of narrow eyes irises and lids move less
_IRISES_LIFTED = 0.025  # of them, without the lids: droopy lids alone are no glance down
_STAYS = 0.8
_SURER = 1.25  # sideways is measured better

_DEG_PER_IRIS_H = 100.0
_IRIS_H_DOUBT = 0.1  # how far a turned head alone moves the measure
_MEASURABLE_YAW_DEG = 30.0
_MEASURABLE_PITCH_DEG = 25.0

# Irises of people who look ahead are up to 0.06 aside of these and up to 0.13 above or below; lids rest a little lower.
_AHEAD_H, _AHEAD_V, _AHEAD_LID = 0.0, -0.01, -0.02
_LIMIT_H, _LIMIT_V = 0.08, 0.18
_FRONTAL_YAW_DEG = 15.0
_FRONTAL_PITCH_DEG = 20.0
# The middle follows like a median of all that was seen so far, by no more than a step for each e-fold of time: found in
# the first two seconds, it yields by a third of a glance down from the third to the fourth, and comes back after it.
_KNOWN_MS, _MOST_MS = 300.0, 120_000.0
_LEARNING_MS = 2000.0
_STEP_LEARNING, _STEP = 0.10, 0.04
_NEAR = 0.04  # so near it follows like a mean


@dataclass(frozen=True, slots=True)
class GazeCentre:
    """Where this person's irises and lids rest when looking ahead, and the label that holds."""

    h: float = _AHEAD_H
    v: float = _AHEAD_V
    lid: float = _AHEAD_LID
    learned_ms: float = 0.0
    label: Gaze | None = None


class Looking(NamedTuple):
    """Where the eyes point, relative to the person's own middle: to image right, up."""

    h: float
    v: float
    label: Gaze


def head_label(angles: Angles) -> HeadPose:
    """The direction that stands out most, in units of its own threshold."""
    yaw_deg, pitch_deg, roll_deg = angles
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


def look(centre: GazeCentre, seen: Geometry, open_lids: Lids | None, dt_ms: float) -> tuple[GazeCentre, Looking | None]:
    """One frame, `dt_ms` after the last one; None where the irises do not tell.

    `open_lids` are the person's own when the eyes are open; None while they are not.
    """
    lids = seen.lids
    turned = abs(seen.yaw_deg) > _MEASURABLE_YAW_DEG or abs(seen.pitch_deg) > _MEASURABLE_PITCH_DEG
    if lids is None or open_lids is None or turned:
        return replace(centre, label=None), None
    irises = _PER_IRIS_RISE * seen.iris_rise + _PER_IRIS_V * seen.iris_v
    lid = _lid(lids, open_lids)
    if abs(seen.yaw_deg) <= _FRONTAL_YAW_DEG and abs(seen.pitch_deg) <= _FRONTAL_PITCH_DEG:
        centre = _learn(centre, seen.iris_h, irises, lid, dt_ms)
    h, lifted = seen.iris_h - centre.h, irises - centre.v
    v = lifted + lid - centre.lid
    upright = _LIFTED * max(_NARROW, min(1.0, open_lids.opening / _WIDE_OPEN))
    looking = Looking(h, v, _label(h, v, lifted, seen.yaw_deg, upright, centre.label))
    return replace(centre, label=looking.label), looking


def _lid(lids: Lids, open_lids: Lids) -> float:
    """By how much the upper lids are higher than when open, less what moves both lids."""
    higher = lids.upper - open_lids.upper
    if higher < 0:
        higher = min(0.0, higher + _LOWER_LID_COUNTS * max(0.0, open_lids.lower - lids.lower))
    return max(-_LID_LIMIT, min(_LID_LIMIT, _PER_LID * higher))


def _label(h: float, v: float, irises: float, yaw_deg: float, upright_v: float, held: Gaze | None) -> Gaze:
    aside = abs(h) / (_ASIDE + _ASIDE_PER_DEG * abs(yaw_deg))
    lifted = abs(v) / upright_v if irises * v > 0 and abs(irises) >= _IRISES_LIFTED else 0.0
    sideways: Gaze = "right" if h > 0 else "left"
    upright: Gaze = "up" if v > 0 else "down"
    aside /= _STAYS if held == sideways else 1.0
    lifted /= _STAYS if held == upright else 1.0
    if max(aside, lifted) < 1:
        return "center"
    return upright if lifted > _SURER * aside else sideways


def _learn(centre: GazeCentre, h: float, v: float, lid: float, dt_ms: float) -> GazeCentre:
    learned_ms = min(_MOST_MS, centre.learned_ms + dt_ms)
    share = min(1.0, dt_ms / (_KNOWN_MS + learned_ms))
    step = share * (_STEP if centre.learned_ms >= _LEARNING_MS else _STEP_LEARNING)
    return GazeCentre(
        _limited(_towards(centre.h, h, step), _AHEAD_H, _LIMIT_H),
        _limited(_towards(centre.v, v, step), _AHEAD_V, _LIMIT_V),
        _towards(centre.lid, lid, step),
        learned_ms,
        centre.label,
    )


def _towards(middle: float, value: float, step: float) -> float:
    return middle + step * max(-1.0, min(1.0, (value - middle) / max(_NEAR, step)))


def _limited(value: float, middle: float, by: float) -> float:
    return max(middle - by, min(middle + by, value))
