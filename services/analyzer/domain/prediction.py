"""How much a window differs from what is usual for this person, and where it lies between a few centroids.

A description of behaviour, not of a mind: every weight is here and in `docs/metrics.md`, none was learned.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import dist, sqrt

from schemas.events import Quadrant
from services.analyzer.domain.windows import BEHAVIOUR, EXPRESSIONS, FEATURES, Features, Window

# What is usual before anything is known of a person, and by how much it varies: mean, standard deviation.
TYPICAL: dict[str, tuple[float, float]] = {
    "engagement": (0.9, 0.15),
    "eyes_closed": (0.04, 0.06),
    "gaze_away": (0.15, 0.2),
    "hand_raised": (0.0, 0.2),
    "yaw_spread_deg": (3.0, 3.0),
    "pitch_spread_deg": (2.0, 2.0),
    "mouth_activity": (0.02, 0.04),
    "head_motion_deg_s": (5.0, 5.0),
    "blinks_per_min": (17.0, 15.0),
    "neutral": (1.0, 0.2),
    **dict.fromkeys(EXPRESSIONS[1:], (0.0, 0.2)),
}
_TYPICAL_WEIGHS = 4  # as many windows as what is typical counts for, beside the person's own
_MEMORY = 60  # windows: five minutes, after which older ones fade
_MOST_DEVIATION = 6.0  # one feature alone does not say everything
_HALF_AT = 2.0  # deviations at which the change score is one half

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Usual:
    """What windows of this person were like up to now: (windows seen, mean, variance) of each of `BEHAVIOUR`."""

    features: tuple[tuple[int, float, float], ...] = ((0, 0.0, 0.0),) * len(BEHAVIOUR)


@dataclass(frozen=True, slots=True)
class Past:
    """What is kept of earlier windows; of the last ones their features, as many as the predictor looks back on."""

    usual: Usual = Usual()
    recent: tuple[Features, ...] = ()


@dataclass(frozen=True, slots=True)
class Concluded:
    """A window beside those before it. `recent` are the last windows' features, this one's at the end."""

    window: Window
    change_score: float | None
    recent: tuple[Features, ...]


def conclude(past: Past, window: Window, look_back: int) -> tuple[Past, Concluded]:
    """Compare a window with the past, then add it to the past. `look_back`: windows wanted, this one included."""
    score = change_score(past.usual, window.features)
    recent = (*past.recent, window.features)[-look_back:]
    kept = recent if look_back > 1 else ()
    return Past(learn(past.usual, window.features), kept), Concluded(window, score, recent)


def change_score(usual: Usual, features: Features) -> float | None:
    """0 when the window is as usual, one half at twice the usual deviation, below 1; None when nothing is known yet.

    The root mean square d of the features' deviations from the person's own mean, each in standard deviations (the
    person's own and the typical one, pooled) and at most 6; then d² / (d² + 4).
    """
    squares = []
    for name, (seen, mean, variance), feature in zip(BEHAVIOUR, usual.features, features, strict=False):
        if seen and feature is not None:
            weight = min(seen, _MEMORY)
            typical = _TYPICAL_WEIGHS * TYPICAL[name][1] ** 2
            deviation = (feature - mean) / sqrt((weight * variance + typical) / (weight + _TYPICAL_WEIGHS))
            squares.append(min(deviation * deviation, _MOST_DEVIATION**2))
    if not squares:
        return None
    square = sum(squares) / len(squares)
    return round(square / (square + _HALF_AT**2), 4)


def learn(usual: Usual, features: Features) -> Usual:
    """Take a window in: plain means at first, then each window weighs 1/60."""
    return Usual(
        tuple(
            known if feature is None else _learned(*known, feature)
            for known, feature in zip(usual.features, features, strict=False)
        )
    )


def _learned(seen: int, mean: float, variance: float, feature: float) -> tuple[int, float, float]:
    seen = min(seen + 1, _MEMORY)
    off = feature - mean
    return seen, mean + off / seen, (1 - 1 / seen) * (variance + off * off / seen)


def filled(features: Features) -> tuple[float, ...]:
    """All of `FEATURES`, with what is typical in place of what could not be measured."""
    return tuple(
        TYPICAL[name][0] if feature is None else feature for name, feature in zip(FEATURES, features, strict=True)
    )


# Four centroids, the middles of the quadrants of (arousal, valence), each −1..1; a cluster's id is its place here.
QUADRANTS: tuple[Quadrant, ...] = ("LL", "LH", "HL", "HH")
CENTROIDS: tuple[Point, ...] = ((-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5))
# What the quadrants are called and shown with.
EMOTIONS: dict[Quadrant, tuple[str, str]] = {
    "HH": ("Happy", "#eecdac"),
    "HL": ("Angry", "#e8a598"),
    "LH": ("Relaxed", "#b9dbc0"),
    "LL": ("Sad", "#a9c3e0"),
}
# Where nothing is inferred from expressions the plane is (liveliness, attention): other clusters, other ids, no names.
FIRST_BEHAVIOUR_CLUSTER = len(CENTROIDS)

_ATTENTIVE = (0.65, 0.35)  # engagement in the middle of the axis, and as far as its ends
_AT_REST = -0.25
_LIVELY = 1.3
_LIVELINESS = {  # feature: weight, none, full
    "head_motion_deg_s": (0.45, 6.0, 30.0),
    "mouth_activity": (0.35, 0.02, 0.12),
    "hand_raised": (0.20, 0.0, 1.0),
}
_SLEEPY = (-0.7, 0.1, 0.4)  # of eyes_closed
_ATTENTION_IN_VALENCE = 0.3
# What an expression adds to arousal and valence: signs after Russell, A Circumplex Model of Affect, 1980; sizes such
# that each of them, shown by somebody at rest for half of the window, takes the window into its quadrant.
_EXPRESSED: dict[str, Point] = {
    "neutral": (0.0, 0.0),
    "happy": (0.7, 0.9),
    "sad": (-0.4, -0.8),
    "angry": (0.7, -0.8),
    "surprised": (0.8, 0.2),
}


@dataclass(frozen=True, slots=True)
class Guess:
    """What a predictor makes of a window. Without a `point` (arousal, valence) nothing is said of emotions."""

    cluster_id: int
    point: Point | None = None
    change_score: float | None = None  # None: the built-in one's


def by_behaviour(features: Features) -> Guess:
    """Nearest centroid of (liveliness, attention): from what was done alone, not from expressions."""
    seen = _named(features)
    return Guess(FIRST_BEHAVIOUR_CLUSTER + nearest((_liveliness(seen), _attention(seen))))


def by_quadrant(features: Features) -> Guess:
    """Nearest centroid of (arousal, valence)."""
    seen = _named(features)
    arousal, valence = _liveliness(seen), _ATTENTION_IN_VALENCE * _attention(seen)
    for expression, (arouses, pleases) in _EXPRESSED.items():
        arousal += arouses * seen[expression]
        valence += pleases * seen[expression]
    point = _within(arousal), _within(valence)
    return Guess(nearest(point), point)


def nearest(point: Point) -> int:
    """Which centroid; on a border the livelier, then the more pleasant one."""
    return max(range(len(CENTROIDS)), key=lambda place: (-dist(CENTROIDS[place], point), place))


def _liveliness(seen: Mapping[str, float]) -> float:
    lively = sum(weight * _rising(seen[name], none, full) for name, (weight, none, full) in _LIVELINESS.items())
    sleepy, none, full = _SLEEPY
    return _within(_AT_REST + _LIVELY * lively + sleepy * _rising(seen["eyes_closed"], none, full))


def _attention(seen: Mapping[str, float]) -> float:
    middle, reach = _ATTENTIVE
    return _within((seen["engagement"] - middle) / reach)


def _named(features: Features) -> dict[str, float]:
    return dict(zip(FEATURES, filled(features), strict=True))


def _rising(value: float, none: float, full: float) -> float:
    return max(0.0, min(1.0, (value - none) / (full - none)))


def _within(value: float) -> float:
    return max(-1.0, min(1.0, value))
