"""Blinks, closures and PERCLOS from the eye aspect ratio, relative to the person's own open eyes.

All by time, none by frames: where a level is crossed between two samples, the moment is interpolated, so that 5 and
30 fps tell the same. `now_ms` and `dt_ms` belong to the session's own clock.
"""

from dataclasses import dataclass, replace
from math import exp

# EAR relative to the open eye. Fully closed eyes still read 0.1…0.35 (the lids' own height).
BLINK_LEVEL = 0.6
CLOSED_LEVEL = 0.55  # 80 % closed, the P80 of PERCLOS, given that residue
_SHALLOW_AT_DENSE = 0.5  # with a sample every 50 ms a blink that never gets below this is none
BLINK_MS = (50.0, 500.0)
DROWSY_MS = 1000.0
_DENSE_MS = 50.0
_SPARSE_MS = 350.0  # with wider gaps nobody can tell a blink from a closure

# Before anything is known: low, so that narrow open eyes are not taken for closed ones; wide ones are learned fast.
_PRIOR_EAR = (0.24, 0.40)
_LEARNING_MS = 3000.0
_RISE_MS = (500.0, 3000.0)  # time constants while learning and after
_FALL_MS = (5000.0, 60_000.0)  # slow: heavy lids are no new way to be open
# No closed eye reads this much: after five seconds above it the baseline was wrong, not the person asleep.
_NEVER_CLOSED_EAR = 0.14
_MISTAKEN_MS = 5000.0

_WINDOW_MS = 60_000.0
_PIECE_MS = 1000.0
_ENOUGH_MS = 5000.0


@dataclass(frozen=True, slots=True)
class Dip:
    """The lids are down since `start_ms`; `seen` is False when the going down was not seen, `still` when a wide
    mouth moved the lids too."""

    start_ms: float
    lowest: float
    before: float
    widest_gap_ms: float
    seen: bool
    still: bool


@dataclass(frozen=True, slots=True)
class Eyes:
    """Memory of the eyes. `ratio` is the last sample's EAR over `baseline`, None after a gap."""

    baseline: float | None = None
    learned_ms: float = 0.0
    ratio: float | None = None
    dip: Dip | None = None
    closed_since_ms: float | None = None
    blink_count: int = 0

    def closed_ms(self, now_ms: float) -> float:
        """How long the eyes have been closed."""
        return 0.0 if self.closed_since_ms is None else now_ms - self.closed_since_ms


def lose(eyes: Eyes) -> Eyes:
    """Nothing is seen, or time jumped: what was under way is not known to go on."""
    return replace(eyes, ratio=None, dip=None, closed_since_ms=None)


def see(eyes: Eyes, ear: float, now_ms: float, dt_ms: float, *, frontal: bool, mouth_wide: bool) -> Eyes:
    """One sample, `dt_ms` after the last one. `frontal` says that the baseline may learn from it."""
    baseline = eyes.baseline if eyes.baseline is not None else max(_PRIOR_EAR[0], min(_PRIOR_EAR[1], ear))
    ratio = ear / baseline
    dip, blink = _dip(eyes, ratio, now_ms, dt_ms, mouth_wide)
    learned_ms = eyes.learned_ms
    if dip is None:
        if frontal and not mouth_wide:
            baseline = _learn(baseline, ear, dt_ms, learning=learned_ms < _LEARNING_MS)
            learned_ms += dt_ms
    elif now_ms - dip.start_ms > _MISTAKEN_MS and dip.lowest * baseline > _NEVER_CLOSED_EAR:
        baseline, ratio, dip = ear, 1.0, None
    return Eyes(baseline, learned_ms, ratio, dip, _closed_since(eyes, ratio, now_ms, dt_ms), eyes.blink_count + blink)


def _dip(eyes: Eyes, ratio: float, now_ms: float, dt_ms: float, mouth_wide: bool) -> tuple[Dip | None, int]:
    """The dip after this sample, and 1 when it ended as a blink."""
    dip, previous = eyes.dip, eyes.ratio
    if dip is None:
        if ratio >= BLINK_LEVEL:
            return None, 0
        if previous is None:
            return Dip(now_ms, ratio, 1.0, 0.0, seen=False, still=not mouth_wide), 0
        start_ms = now_ms - dt_ms * (1 - crossing(previous, ratio, BLINK_LEVEL))
        return Dip(start_ms, ratio, previous, dt_ms, seen=True, still=not mouth_wide), 0
    # Lids that come back to most of where they were are open again, be the baseline too high by now.
    reopened = max(CLOSED_LEVEL, min(BLINK_LEVEL + 0.05, dip.lowest + 0.7 * (dip.before - dip.lowest)))
    widest_gap_ms = max(dip.widest_gap_ms, dt_ms)
    still = dip.still and not mouth_wide
    if ratio < reopened or previous is None:
        return Dip(dip.start_ms, min(dip.lowest, ratio), dip.before, widest_gap_ms, dip.seen, still), 0
    end_ms = now_ms - dt_ms * (1 - crossing(previous, ratio, reopened))
    return None, int(dip.seen and still and _is_blink(end_ms - dip.start_ms, dip.lowest, widest_gap_ms))


def _is_blink(duration_ms: float, lowest: float, widest_gap_ms: float) -> bool:
    if widest_gap_ms > _SPARSE_MS or duration_ms > BLINK_MS[1]:
        return False
    # Sparse samples see a blink's flank only: neither its depth nor its shortness tells then.
    dense = widest_gap_ms <= _DENSE_MS
    return not dense or (duration_ms >= BLINK_MS[0] and lowest <= _SHALLOW_AT_DENSE)


def _closed_since(eyes: Eyes, ratio: float, now_ms: float, dt_ms: float) -> float | None:
    if eyes.closed_since_ms is not None:
        return eyes.closed_since_ms if ratio < BLINK_LEVEL else None
    if ratio >= CLOSED_LEVEL:
        return None
    return now_ms if eyes.ratio is None else now_ms - dt_ms * (1 - crossing(eyes.ratio, ratio, CLOSED_LEVEL))


def _learn(baseline: float, ear: float, dt_ms: float, *, learning: bool) -> float:
    rise_ms, fall_ms = (_RISE_MS[0], _FALL_MS[0]) if learning else (_RISE_MS[1], _FALL_MS[1])
    return ear + (baseline - ear) * exp(-dt_ms / (rise_ms if ear > baseline else fall_ms))


def crossing(before: float, after: float, level: float) -> float:
    """Where between two samples the level lies, 0..1 of the way; 0 when it does not."""
    if before == after:
        return 0.0
    return max(0.0, min(1.0, (before - level) / (before - after)))


@dataclass(frozen=True, slots=True)
class Perclos:
    """Share of measurable time with the eyes 80 % or more closed, over the last 60 s of it (Wierwille et al. 1994).

    Whole `pieces` of about a second, (measurable ms, closed ms); then the sums over them and the piece under way.
    """

    pieces: tuple[tuple[float, float], ...] = ()
    measured_ms: float = 0.0
    closed_ms: float = 0.0
    piece_measured_ms: float = 0.0
    piece_closed_ms: float = 0.0

    def value(self) -> float | None:
        """0..1; None before five seconds were measurable."""
        if self.measured_ms < _ENOUGH_MS:
            return None
        return min(1.0, self.closed_ms / self.measured_ms)


def account(perclos: Perclos, before: float | None, after: float | None, dt_ms: float) -> Perclos:
    """Add the time between two samples, given their ratios; none when one was not measurable."""
    if before is None or after is None or dt_ms <= 0:
        return perclos
    if (before < CLOSED_LEVEL) == (after < CLOSED_LEVEL):
        closed_ms = dt_ms if after < CLOSED_LEVEL else 0.0
    else:
        share = crossing(before, after, CLOSED_LEVEL)
        closed_ms = dt_ms * (share if before < CLOSED_LEVEL else 1 - share)
    piece = (perclos.piece_measured_ms + dt_ms, perclos.piece_closed_ms + closed_ms)
    if piece[0] < _PIECE_MS:
        return Perclos(perclos.pieces, perclos.measured_ms + dt_ms, perclos.closed_ms + closed_ms, *piece)
    pieces = (*perclos.pieces, piece)
    measured_ms = sum(each[0] for each in pieces)
    while measured_ms - pieces[0][0] >= _WINDOW_MS:
        measured_ms -= pieces[0][0]
        pieces = pieces[1:]
    return Perclos(pieces, measured_ms, sum(each[1] for each in pieces))
