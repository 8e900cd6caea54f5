"""Blinks and closures from how far the lids are open, relative to the person's own open eyes.

All by time, none by frames: where a level is crossed between two samples, the moment is interpolated, so that 5 and
30 fps tell the same. `now_ms` and `dt_ms` belong to the session's own clock. A "ratio" is the lids' opening over the
person's own open lids'.
"""

from dataclasses import dataclass, replace
from math import exp

from services.analyzer.domain.geometry import Lids

# Closed eyes do not read 0: lids have a height, and small, blurred or bespectacled eyes are drawn half open by the
# mesh. Rendered people read 0.1…0.65 when closed, 0.55…0.9 when looking down, 0.65…0.85 laughing, yawning, squinting.
CLOSED_RATIO = 0.57
# Of each lid by itself. Looking down moves the upper lid only, a smile the lower one: the other stays above this.
_CLOSED_LID = 0.7
_DOWN_LID = 0.75  # of the mean over a closure; a single sample may err
# Closed eyes flutter: they are open again after so long above the one level or the other.
_OPENING_RATIO, _OPENING_MS = 0.7, 350.0
_OPEN_RATIO, _OPEN_MS = 0.8, 150.0
DROWSY_MS = 1000.0

# A blink is a fall and a rise, wherever the lids were before. Its depth counts in what there is to fall to shut eyes.
_SHUT_RATIO = 0.3
_FALL_BEGINS = 0.12
_DEEP, _DEEP_MS = 0.45, 500.0
# Seldom sampled, a blink may show a flank only; a glance down is as shallow, but nobody looks back within this time.
_SHALLOW, _SHALLOW_MS = 0.28, 200.0
_LEAST_BLINK_MS = 35.0  # at half its depth, where the shortest real ones (of 100 ms in all) last 50 ms
_FROM_RATIO = 0.67  # lids that hang lower have little to close
_MOVING_MOUTH_FALL = 0.3
_EITHER_LID = 0.9  # one lid that stays above this has not moved
_REGAINED = 0.6  # of the fall: lids may stay lower after a blink, when the eyes look down with it
_BEFORE_MS = 250.0  # how long the lids' former level is remembered
_SPARSE_MS = 350.0  # with wider gaps nobody can tell a blink from a closure
_APART_MS = 200.0  # a blink whose bottom is noisy is not two
_CLOSURE_MS = 600.0
_SETTLED_MS = 150.0  # a face that comes into sight is found badly at first

# Before anything is known: low, so that narrow open eyes are not taken for closed ones; wide ones are learned fast.
_PRIOR_OPENING = (0.22, 0.40)
_PRIOR_UPPER = (0.45, 0.7)  # of the opening
_LEARNING_MS = 5000.0
_RISE_MS = (500.0, 6000.0)  # time constants while learning and after
_FALL_MS = (3000.0, 40_000.0)  # slow: heavy lids are no new way to be open
_AWAY_MS = 3000.0  # whoever comes after so long is learned as at first
_UPPER_MS = 1500.0  # the upper lid's share changes with the head's pose; not learned from eyes that look down
_LEAST_LID = 0.05
# Eyes that were never seen to close and are open this far after so long: somebody else's, or learned wrongly.
_NEVER_CLOSED = 0.14
_MISTAKEN_MS = 5000.0


@dataclass(frozen=True, slots=True)
class Fall:
    """The lids go down from `level`. `trace` holds the samples from the one before on: (ms, ratio)."""

    level: float
    trace: tuple[tuple[float, float], ...]
    bottom: float
    bottom_lid: float
    widest_gap_ms: float
    still: bool  # no wide mouth moved the lids too

    @property
    def half(self) -> float:
        return (self.level + self.bottom) / 2


@dataclass(frozen=True, slots=True)
class Closure:
    """The eyes are closed since `since_ms`, or flutter and were last closed at `opening_at_ms`. `seen` says that they
    were seen to close; `lid` is the mean of the lid that moved less."""

    since_ms: float
    seen: bool
    lid: float
    opening_at_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Eyes:
    """Memory of the eyes. `open_lids` are the person's own, as far as learned in `learned_ms`; `seen_ms` is the time
    without a gap. `ratio` is the last sample's, None after a gap; `lid` that of the lid that moved less."""

    open_lids: Lids | None = None
    learned_ms: float = 0.0
    seen_ms: float = 0.0
    seen_at_ms: float | None = None
    ratio: float | None = None
    lid: float = 1.0
    level: float = 1.0
    fall: Fall | None = None
    closure: Closure | None = None
    blinked_at_ms: float | None = None
    blink_count: int = 0

    @property
    def closed(self) -> bool:
        return self.closure is not None and self.closure.opening_at_ms is None

    @property
    def open(self) -> bool:
        """Open far enough to see where they look: neither closed nor in a blink. Eyes that look down are."""
        return self.closure is None and self.ratio is not None and self.lid >= _CLOSED_LID

    def closed_ms(self, now_ms: float) -> float:
        """How long the eyes have been closed; flutter goes on with it, but does not make it longer."""
        if self.closure is None or self.closure.lid >= _DOWN_LID:
            return 0.0
        until_ms = now_ms if self.closure.opening_at_ms is None else self.closure.opening_at_ms
        return until_ms - self.closure.since_ms


def lose(eyes: Eyes) -> Eyes:
    """Nothing is seen, or time jumped: what was under way is not known to go on."""
    return replace(eyes, ratio=None, fall=None, closure=None)


def see(eyes: Eyes, lids: Lids, now_ms: float, dt_ms: float, *, frontal: bool, mouth_wide: bool) -> Eyes:
    """One sample, `dt_ms` after the last one. `frontal` says that the baseline may learn from it, `mouth_wide` that
    yawning, laughing or talking moves the lids. A second sample of the same moment says nothing new."""
    if dt_ms <= 0 and eyes.ratio is not None:
        return eyes
    own = eyes.open_lids or _prior(lids)
    ratio = lids.opening / own.opening
    lid = max(lids.upper / max(_LEAST_LID, own.upper), lids.lower / max(_LEAST_LID, own.lower))
    closure = _closure(eyes, ratio, lid, now_ms, dt_ms, mouth_wide)
    level, fall, ended = _fall(eyes, ratio, lid, now_ms, dt_ms, mouth_wide)
    blink = ended is not None and _is_blink(ended, eyes, now_ms)
    learned_ms = eyes.learned_ms
    if eyes.seen_at_ms is not None and now_ms - eyes.seen_at_ms > _AWAY_MS:
        learned_ms = 0.0  # it may be somebody else
    if closure is None:
        if fall is None and frontal and not mouth_wide:
            own = _learn(own, lids, dt_ms, learning=learned_ms < _LEARNING_MS)
            learned_ms += dt_ms
    elif not closure.seen and now_ms - closure.since_ms > _MISTAKEN_MS and lids.opening > _NEVER_CLOSED:
        return Eyes(lids, 0.0, eyes.seen_ms + dt_ms, now_ms, ratio=1.0, blink_count=eyes.blink_count)
    return Eyes(
        own,
        learned_ms,
        0.0 if eyes.ratio is None else eyes.seen_ms + dt_ms,
        now_ms,
        ratio,
        lid,
        level,
        fall,
        closure,
        now_ms if blink else eyes.blinked_at_ms,
        eyes.blink_count + blink,
    )


def _fall(
    eyes: Eyes, ratio: float, lid: float, now_ms: float, dt_ms: float, mouth_wide: bool
) -> tuple[float, Fall | None, Fall | None]:
    """The lids' level, the fall that is under way after this sample, and the one that ended with it."""
    fall = eyes.fall
    if eyes.ratio is None:
        return ratio, None, None
    if fall is None:
        level = max(ratio, ratio + (eyes.level - ratio) * exp(-dt_ms / _BEFORE_MS))
        top = max(level, eyes.ratio)
        if ratio >= top - _FALL_BEGINS:
            return level, None, None
        trace = ((now_ms - dt_ms, eyes.ratio), (now_ms, ratio))
        return level, Fall(top, trace, ratio, lid, dt_ms, not mouth_wide), None
    fall = Fall(
        fall.level,
        (*fall.trace, (now_ms, ratio)),
        min(fall.bottom, ratio),
        min(fall.bottom_lid, lid),
        max(fall.widest_gap_ms, dt_ms),
        fall.still and not mouth_wide,
    )
    if ratio >= fall.bottom + _REGAINED * (fall.level - fall.bottom):
        return ratio, None, fall
    if now_ms - _below(fall.trace, fall.half) > _DEEP_MS:  # the lids stay where they are now
        return ratio, None, None
    return eyes.level, fall, None


def _is_blink(fall: Fall, eyes: Eyes, now_ms: float) -> bool:
    """Whether a fall that has ended was one. Its width is taken at half its depth."""
    width_ms = _above(fall.trace, fall.half) - _below(fall.trace, fall.half)
    drop = fall.level - fall.bottom
    depth = drop / max(0.2, fall.level - _SHUT_RATIO)
    seen_before_ms = eyes.seen_ms - (fall.trace[-2][0] - fall.trace[0][0])
    return (
        depth >= _SHALLOW
        and _LEAST_BLINK_MS <= width_ms <= (_DEEP_MS if depth >= _DEEP else _SHALLOW_MS)
        and fall.bottom_lid <= _EITHER_LID
        and (fall.still or drop >= _MOVING_MOUTH_FALL)
        and fall.level >= _FROM_RATIO
        and fall.widest_gap_ms <= _SPARSE_MS
        and seen_before_ms >= _SETTLED_MS
        and (eyes.blinked_at_ms is None or now_ms - eyes.blinked_at_ms >= _APART_MS)
        and eyes.closed_ms(now_ms) <= _CLOSURE_MS
    )


def _below(trace: tuple[tuple[float, float], ...], level: float) -> float:
    """When the trace first went below a level."""
    for at in range(1, len(trace)):
        (before_ms, before), (after_ms, after) = trace[at - 1], trace[at]
        if after < level:
            return before_ms + (after_ms - before_ms) * crossing(before, after, level)
    return trace[-1][0]


def _above(trace: tuple[tuple[float, float], ...], level: float) -> float:
    """When the trace last came back above a level."""
    for at in range(len(trace) - 1, 0, -1):
        (before_ms, before), (after_ms, after) = trace[at - 1], trace[at]
        if before < level:
            return before_ms + (after_ms - before_ms) * crossing(before, after, level)
    return trace[-1][0]


def _closure(eyes: Eyes, ratio: float, lid: float, now_ms: float, dt_ms: float, mouth_wide: bool) -> Closure | None:
    closure = eyes.closure
    if closure is not None and mouth_wide and now_ms - closure.since_ms < DROWSY_MS:
        closure = None  # who yawns or laughs is not asleep, be the eyes shut; who was asleep before stays so
    if closure is None:
        if ratio >= CLOSED_RATIO or lid >= _CLOSED_LID or mouth_wide:
            return None
        if eyes.ratio is None or eyes.ratio < CLOSED_RATIO:
            return Closure(now_ms, seen=eyes.ratio is not None, lid=lid)
        return Closure(now_ms - dt_ms * (1 - crossing(eyes.ratio, ratio, CLOSED_RATIO)), seen=True, lid=lid)
    mean = lid + (closure.lid - lid) * (1 - dt_ms / max(dt_ms, now_ms - closure.since_ms))
    if ratio < _OPENING_RATIO:
        return replace(closure, lid=mean, opening_at_ms=None)
    opening_at_ms = now_ms - dt_ms if closure.opening_at_ms is None else closure.opening_at_ms
    if now_ms - opening_at_ms >= (_OPEN_MS if ratio >= _OPEN_RATIO else _OPENING_MS):
        return None
    return replace(closure, lid=mean, opening_at_ms=opening_at_ms)


def _prior(lids: Lids) -> Lids:
    """What the open lids are taken for at first sight."""
    opening = max(_PRIOR_OPENING[0], min(_PRIOR_OPENING[1], lids.opening))
    upper = max(_PRIOR_UPPER[0] * opening, min(_PRIOR_UPPER[1] * opening, lids.upper))
    return Lids(upper, opening - upper)


def _learn(own: Lids, lids: Lids, dt_ms: float, *, learning: bool) -> Lids:
    times_ms = _RISE_MS if lids.opening > own.opening else _FALL_MS
    opening = lids.opening + (own.opening - lids.opening) * exp(-dt_ms / times_ms[0 if learning else 1])
    upper = own.upper / own.opening
    if lids.opening >= _OPEN_RATIO * own.opening:
        upper += (lids.upper / lids.opening - upper) * (1 - exp(-dt_ms / _UPPER_MS))
    return Lids(opening * upper, opening * (1 - upper))


def crossing(before: float, after: float, level: float) -> float:
    """Where between two samples the level lies, 0..1 of the way; 0 when it does not."""
    if before == after:
        return 0.0
    return max(0.0, min(1.0, (before - level) / (before - after)))
