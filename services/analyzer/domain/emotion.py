"""An emotion's name for what a face does, relative to the same person's face at rest.

A few distances stand for action units of the Facial Action Coding System (AU; Ekman & Friesen 1978), and a few of
these for an emotion (EMFACS). They say what a face does, not what a person feels. Imported only where settings allow.
"""

from math import exp, hypot
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from schemas.events import Emotion
from services.analyzer.domain.expression import Expression, Measures, Scores
from services.analyzer.domain.geometry import Geometry, rotation

EMOTIONS: tuple[Emotion, ...] = get_args(Emotion)
Term = tuple[float, int, tuple[int, ...], tuple[int, ...]]

_OUTER_EYES = (33, 263)
_BROWS = (46, 53, 52, 65, 55, 70, 63, 105, 66, 107, 276, 283, 282, 295, 285, 300, 293, 334, 296, 336)
_UPPER_LIDS, _LOWER_LIDS = (158, 159, 160, 385, 386, 387), (144, 145, 153, 373, 374, 380)
_CORNERS, _INNER_CORNERS, _MIDDLE = (61, 291), (78, 308), (13, 14)
_UPPER_LIP, _LOWER_LIP = (13, 82, 312), (14, 87, 317)
_STILL = (6, 197, 117, 346)  # bridge of the nose and under the eyes: what moves least, whatever a face does
_FIXED = (33, 133, 362, 263)  # corners of the eyes: still from front to back
_X, _Y, _Z = range(3)

# How far the second landmarks lie from the first along an axis of the head, on average: factor, axis, first, second.
# In percent of the distance between the eyes' outer corners; x to image right, y down, z backwards.
_JAW: Term = (1.0, _Y, _UPPER_LIP, _LOWER_LIP)
_TERMS: dict[str, tuple[Term, ...]] = {
    "brows": ((1.0, _Y, _BROWS, _STILL),),  # height: AU 1 and 2 raise, AU 4 lowers
    "lids": ((1.0, _Y, _UPPER_LIDS, _LOWER_LIDS),),  # opening: AU 5 widens, AU 7 narrows
    "lift": ((1.0, _Y, _CORNERS, _STILL), (0.3, *_JAW[1:])),  # of the mouth's corners, less what the jaw takes down
    "curl": ((1.0, _Y, _INNER_CORNERS, _MIDDLE),),  # of the corners over the middle of the lips: AU 12, AU 15
    "width": ((1.0, _X, _CORNERS[:1], _CORNERS[1:]),),  # of the mouth: AU 12, AU 20
    "depth": ((1.0, _Z, _FIXED, _CORNERS),),  # a smile draws the corners backwards
    "jaw": (_JAW,),  # gap between the lips: AU 25 to 27
}
MEASURES = (*_TERMS, "yaw_deg", "pitch_deg")
# What a degree of pitch adds to each, since the mesh's depth is not exact: measured, as the weights are.
_PER_PITCH_DEG = (0.0, 0.0, 0.06, 0.07, -0.17, -0.05, 0.0)
_MOST = (8.0, 4.0, 14.0, 7.0, 20.0, 8.0, 15.0, 90.0, 90.0)  # what the strongest expressions show; more says no more

# Log odds against neutral: a constant, and what each percent off the face at rest adds. Multinomial regression over
# rendered heads whose muscles are known, reduced to the signs that EMFACS gives, rounded: docs/metrics.md.
_WEIGHTS: dict[Emotion, tuple[float, ...]] = {
    #         constant  brows  lids  lift  curl  width  depth  jaw
    "happy": (-6.8, 0.0, 0.0, 0.65, 0.55, 0.4, 0.9, 0.0),
    "sad": (-2.9, 0.0, 0.0, -0.8, -1.85, -0.2, -0.8, -0.12),
    "angry": (-2.8, -1.9, 0.0, 0.0, 0.0, 0.0, 0.0, -0.12),
    "surprised": (-4.0, 1.25, 2.2, 0.0, 0.0, 0.0, 0.0, 0.05),
}
_DOUBT_PER_DEG = 0.05  # for neutral: a head turned from where its rest was learned looks different by that alone
_KEPT_BY = 0.05  # a label stays until another scores more by so much

_YAW_DEG, _PITCH_DEG = 30.0, 25.0  # beyond, the mesh guesses the far side
_GAP_MS = 500.0
_SMOOTHING_MS = 200.0
_KNOWN_MS = 500.0  # of rest seen, from which on expressions are told
_REST_MS = 20_000.0  # rest is the mean over so much time near it
_NEAR = 0.6  # score of neutral
_FADING_MS = 120_000.0  # what stays for minutes is no expression

_SHUT, _SHUT_SHARE = 3.5, 0.65  # lids, of anyone and of this person; open ones have 6 to 13
# Nobody rests like this: the corners of the mouth up and back (rest: curl + depth −16…−10), or the lips apart (0…4).
_SMILING, _GAPING = -6.0, 8.0
_CLEARLY = 4.0
_USUAL_MS = 10_000.0  # unless it goes on


def _coordinates() -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The landmarks that matter, and the (measures, 3 · landmarks) weights of their coordinates."""
    named = [point for terms in _TERMS.values() for _, _, *both in terms for points in both for point in points]
    points = list(dict.fromkeys((*_OUTER_EYES, *named)))
    weights = np.zeros((len(_TERMS), len(points), 3), np.float32)
    for row, terms in enumerate(_TERMS.values()):
        for factor, axis, first, second in terms:
            for sign, side in ((-1, first), (1, second)):
                for point in side:
                    weights[row, points.index(point), axis] += sign * 100 * factor / len(side)
    return np.array(points), weights.reshape(len(_TERMS), -1)


_POINTS, _COORDINATES = _coordinates()


def measure(landmarks_px: NDArray[np.float32], geometry: Geometry) -> Measures:
    """`MEASURES` of (478, 3) landmarks, in the head's own frame."""
    head = landmarks_px[_POINTS] @ rotation(geometry.yaw_deg, geometry.pitch_deg, geometry.roll_deg)
    (x0, y0, z0), (x1, y1, z1) = head[:2].tolist()
    apart = hypot(x1 - x0, y1 - y0, z1 - z0) or 1.0
    lengths = (_COORDINATES @ head.ravel()).tolist()
    shape = (length / apart - k * geometry.pitch_deg for length, k in zip(lengths, _PER_PITCH_DEG, strict=True))
    return (*shape, geometry.yaw_deg, geometry.pitch_deg)


def see(
    face: Expression, landmarks_px: NDArray[np.float32], geometry: Geometry, now_ms: float
) -> tuple[Expression, Scores | None]:
    """A measurable frame. Its label is the expression's `emotion`; None, as the scores, where the head is turned too
    far, and until this person's rest is known."""
    if abs(geometry.yaw_deg) > _YAW_DEG or abs(geometry.pitch_deg) > _PITCH_DEG:
        return Expression(face.neutral, face.learned_ms), None
    now = measure(landmarks_px, geometry)
    gap_ms = _GAP_MS + 1 if face.seen_at_ms is None else now_ms - face.seen_at_ms
    dt_ms = gap_ms if 0 <= gap_ms <= _GAP_MS else 0.0

    odd = _oddness(now)
    odd_ms = face.odd_ms + dt_ms if odd > 0 else 0.0
    rest, learned_ms = face.neutral, face.learned_ms
    if rest is not None and odd <= 0 and _oddness(rest) > max(0.0, odd + _CLEARLY):
        rest, learned_ms = None, 0.0  # it was none: the session began with a smile
    shut = now[1] < max(_SHUT, _SHUT_SHARE * rest[1] if rest else 0.0)
    restful = not shut and (odd <= 0 or odd_ms > _USUAL_MS)
    if rest is None or learned_ms < _KNOWN_MS:
        if restful:
            learned_ms += dt_ms
            rest = _toward(rest, now, dt_ms / learned_ms) if rest and learned_ms else now
        if rest is None or learned_ms < _KNOWN_MS:
            return Expression(rest, learned_ms, odd_ms=odd_ms, seen_at_ms=now_ms), None

    last = face.off if dt_ms or gap_ms == 0 else None
    off = tuple(max(-most, min(most, value - at)) for value, at, most in zip(now, rest, _MOST, strict=True))
    if shut:  # closing lids take the brows along: both stay as they were
        off = (*(last or (0.0, 0.0))[:2], *off[2:])
    if last is not None:
        off = _toward(last, off, 1 - exp(-dt_ms / _SMOOTHING_MS))
    told = scores(off)
    if restful:
        near = told["neutral"] > _NEAR
        learned_ms = min(learned_ms + dt_ms * near, _REST_MS)
        rest = _toward(rest, now, dt_ms / (learned_ms if near else _FADING_MS))
    return Expression(rest, learned_ms, off, _label(told, face.emotion), odd_ms, now_ms), told


def scores(off: Measures) -> Scores:
    """Each emotion's share, summing to 1: softmax of the log odds. `off` is as `MEASURES`."""
    *shape, yaw_deg, pitch_deg = off
    doubt = _DOUBT_PER_DEG * hypot(yaw_deg, pitch_deg)
    odds: Scores = {"neutral": 1.0}
    for emotion, (constant, *weights) in _WEIGHTS.items():
        odds[emotion] = exp(constant - doubt + sum(weight * by for weight, by in zip(weights, shape, strict=True)))
    whole = sum(odds.values())
    return {emotion: each / whole for emotion, each in odds.items()}


def _label(told: Scores, last: Emotion | None) -> Emotion:
    best = max(EMOTIONS, key=told.__getitem__)
    return last if last is not None and told[last] >= told[best] - _KEPT_BY else best


def _oddness(now: Measures) -> float:
    """Above 0: by how much this is unlike anyone's face at rest."""
    _, _, _, curl, _, depth, jaw, *_ = now
    return max(curl + depth - _SMILING, jaw - _GAPING)


def _toward(there: Measures, here: Measures, share: float) -> Measures:
    return tuple(a + (b - a) * share for a, b in zip(there, here, strict=True))
