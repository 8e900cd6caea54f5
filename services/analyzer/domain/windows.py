"""What five seconds were like: features of consecutive windows of a session.

Windows are [n·5 s, (n + 1)·5 s) since the session's first frame, by capture time. Features are integrals over the time
between neighbouring frames, with straight lines between them, divided by the time that could be measured: so 5 and 30
frames a second tell the same. Of a window under way sums are kept, and no frames.
"""

from dataclasses import dataclass
from math import dist, sqrt
from typing import get_args

from schemas.events import Emotion, FrameMetrics

WINDOW_MS = 5000
# Less than half of a window says little of it; less than a second of one feature, little of that.
ENOUGH_MS = 2500.0
_ENOUGH_OF_ONE_MS = 1000.0
# A head at rest trembles from frame to frame. Compared over a fixed time it does so alike at any frame rate.
_STRIDE_MS = 250
# A frame or two that cannot be measured, blurred for instance, leave no hole.
_BRIDGED_MS = 300

BEHAVIOUR = (
    "engagement",
    "eyes_closed",
    "gaze_away",
    "hand_raised",
    "yaw_spread_deg",
    "pitch_spread_deg",
    "mouth_activity",
    "head_motion_deg_s",
    "blinks_per_min",
)
EXPRESSIONS: tuple[Emotion, ...] = get_args(Emotion)
FEATURES = (*BEHAVIOUR, *EXPRESSIONS)

Angles = tuple[float, float, float]
Features = tuple[float | None, ...]  # as `FEATURES`; None where it could not be measured


@dataclass(frozen=True, slots=True)
class Sample:
    """What one measurable frame adds; None where it cannot tell. `shares` are averaged over time: engagement, eyes
    closed, gaze away, hand raised (1 is yes, 0 is no), the `EXPRESSIONS`. Of `spreading` the standard deviation is
    taken: yaw, pitch, MAR. `head_deg` is yaw, pitch, roll."""

    shares: tuple[float | None, ...]
    spreading: tuple[float | None, ...]
    head_deg: Angles
    blink_count: int


@dataclass(frozen=True, slots=True)
class Sums:
    """Integrals over a window's measurable time: of the shares (∫x dt, ms), of what spreads (∫x dt, ∫x² dt, ms), of the
    head's way in strides."""

    measured_ms: float = 0.0
    shares: tuple[tuple[float, float], ...] = ((0.0, 0.0),) * (4 + len(EXPRESSIONS))
    spreads: tuple[tuple[float, float, float], ...] = ((0.0, 0.0, 0.0),) * 3
    path_deg: float = 0.0
    path_ms: float = 0.0
    blinks: int = 0


@dataclass(frozen=True, slots=True)
class Windows:
    """Memory between frames. `first_ms` is the first frame's capture time; other times count from it. `at_ms` is the
    last frame's; `last` what was measured last, at `last_ms`, None after a hole; `stride_deg` where the head was at the
    last whole stride, None where that was not seen.
    """

    first_ms: int | None = None
    at_ms: int = 0
    index: int = 0
    last: Sample | None = None
    last_ms: int = 0
    stride_deg: Angles | None = None
    sums: Sums = Sums()


@dataclass(frozen=True, slots=True)
class Window:
    """A window that is over, `to_ms` excluded. Times are capture times."""

    index: int
    from_ms: int
    to_ms: int
    features: Features


def sample(metrics: FrameMetrics) -> Sample | None:
    """What a frame's metrics add: features follow from what is published. None when the person was not measured."""
    if metrics.engagement is None or metrics.yaw_deg is None or metrics.pitch_deg is None or metrics.roll_deg is None:
        return None
    away = None if metrics.gaze is None else metrics.gaze != "center"
    scores: dict[Emotion, float] = metrics.emotion_scores if isinstance(metrics.emotion_scores, dict) else {}
    return Sample(
        (metrics.engagement, metrics.eyes_closed, away, metrics.hand_raised, *map(scores.get, EXPRESSIONS)),
        (metrics.yaw_deg, metrics.pitch_deg, metrics.mar),
        (metrics.yaw_deg, metrics.pitch_deg, metrics.roll_deg),
        metrics.blink_count,
    )


def see(
    windows: Windows, seen: Sample | None, captured_at_ms: int, since_last_ms: int, *, joined: bool
) -> tuple[Windows, Window | None]:
    """Take a frame, None when it cannot be measured; gives the window that it is the first to be beyond, if that one
    holds enough to tell.

    `since_last_ms` is the capture time since the frame before and may be anything: a clock that goes back stands still
    here, so that no window comes twice; a gap of an hour is an hour without windows. Of the time between two frames
    something is known only where they are `joined`.
    """
    if windows.first_ms is None:
        return Windows(captured_at_ms, last=seen), None
    at_ms = windows.at_ms + max(0, since_last_ms)
    index, over = max(windows.index, at_ms // WINDOW_MS), None
    sums, last, last_ms, stride_deg = windows.sums, windows.last, windows.last_ms, windows.stride_deg
    # After a session's end the window goes on that was closed then: it does not count twice.
    if not joined or last_ms < windows.index * WINDOW_MS:
        last = None
    if seen is None and (index > windows.index or at_ms - last_ms > _BRIDGED_MS):
        last = None
    if last is None:
        stride_deg = None
    if index > windows.index:
        edge_ms = (windows.index + 1) * WINDOW_MS
        if last and seen:
            edge = _between(last, seen, (edge_ms - last_ms) / (at_ms - last_ms))
            sums, stride_deg = _add(sums, stride_deg, last, last_ms, edge, edge_ms)
            last, last_ms = edge, edge_ms
        over, sums = _window(windows, sums, edge_ms), Sums()
    if seen is None:
        return Windows(windows.first_ms, at_ms, index, last, last_ms, stride_deg, sums), over
    if last:
        sums, stride_deg = _add(sums, stride_deg, last, last_ms, seen, at_ms)
    return Windows(windows.first_ms, at_ms, index, seen, at_ms, stride_deg, sums), over


def end(windows: Windows) -> tuple[Windows, Window | None]:
    """The session ends: the window under way, up to its last frame, if it holds enough. It does not come again."""
    over = _window(windows, windows.sums, windows.at_ms)
    return Windows(windows.first_ms, windows.at_ms, windows.index + 1), over


def _add(
    sums: Sums, stride_deg: Angles | None, last: Sample, last_ms: int, sample: Sample, at_ms: int
) -> tuple[Sums, Angles | None]:
    """Add the straight way from one sample to the next, both within a window; then where the last stride ended."""
    dt_ms = at_ms - last_ms
    shares = [
        (x_ms + (a + b) / 2 * dt_ms, ms + dt_ms) if a is not None and b is not None else (x_ms, ms)
        for (x_ms, ms), a, b in zip(sums.shares, last.shares, sample.shares, strict=True)
    ]
    spreads = [
        (x_ms + (a + b) / 2 * dt_ms, xx_ms + (a * a + a * b + b * b) / 3 * dt_ms, ms + dt_ms)
        if a is not None and b is not None
        else (x_ms, xx_ms, ms)
        for (x_ms, xx_ms, ms), a, b in zip(sums.spreads, last.spreading, sample.spreading, strict=True)
    ]
    path_deg, path_ms = sums.path_deg, sums.path_ms
    for stride_ms in range((last_ms // _STRIDE_MS + 1) * _STRIDE_MS, at_ms + 1, _STRIDE_MS):
        head_deg = _towards(last.head_deg, sample.head_deg, (stride_ms - last_ms) / dt_ms)
        if stride_deg is not None:
            path_deg += dist(stride_deg, head_deg)
            path_ms += _STRIDE_MS
        stride_deg = head_deg
    blinks = sums.blinks + max(0, sample.blink_count - last.blink_count)
    return Sums(sums.measured_ms + dt_ms, tuple(shares), tuple(spreads), path_deg, path_ms, blinks), stride_deg


def _between(last: Sample, sample: Sample, way: float) -> Sample:
    """Where the straight line is after this part of the way, 0..1. A blink is counted at its end."""
    return Sample(
        _middle(last.shares, sample.shares, way),
        _middle(last.spreading, sample.spreading, way),
        _towards(last.head_deg, sample.head_deg, way),
        last.blink_count,
    )


def _middle(before: tuple[float | None, ...], after: tuple[float | None, ...], way: float) -> tuple[float | None, ...]:
    return tuple(None if a is None or b is None else a + (b - a) * way for a, b in zip(before, after, strict=True))


def _towards(a: Angles, b: Angles, way: float) -> Angles:
    return a[0] + (b[0] - a[0]) * way, a[1] + (b[1] - a[1]) * way, a[2] + (b[2] - a[2]) * way


def _window(windows: Windows, sums: Sums, until_ms: int) -> Window | None:
    """The window that these are the sums of; None when they hold too little."""
    if windows.first_ms is None or sums.measured_ms < ENOUGH_MS:
        return None
    shares = [sum_ / ms if ms >= _ENOUGH_OF_ONE_MS else None for sum_, ms in sums.shares]
    spreads = [
        sqrt(max(0.0, square / ms - (sum_ / ms) ** 2)) if ms >= _ENOUGH_OF_ONE_MS else None
        for sum_, square, ms in sums.spreads
    ]
    motion_deg_s = sums.path_deg / sums.path_ms * 1000 if sums.path_ms >= _ENOUGH_OF_ONE_MS else None
    blinks_per_min = sums.blinks / sums.measured_ms * 60_000
    features = (*shares[:4], *spreads, motion_deg_s, blinks_per_min, *shares[4:])
    rounded = tuple(None if feature is None else round(feature, 4) for feature in features)
    return Window(windows.index, windows.first_ms + windows.index * WINDOW_MS, windows.first_ms + until_ms, rounded)
