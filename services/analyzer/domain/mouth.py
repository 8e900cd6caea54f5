"""Yawns from the mouth aspect ratio: wide and slow. Talking is quick, laughing and surprise are not that wide."""

from dataclasses import dataclass, replace
from math import exp

from services.analyzer.domain.eyes import crossing

# Rendered people read 0.5…0.85 yawning, drawn ones more; 0.4 at most when surprised, 0.5 for moments when laughing.
WIDE_MAR = 0.5
_HALF_WIDE_MAR = 0.4
YAWN_MS = 1000.0
# A sung or shouted vowel springs open within a tenth of a second; if it is held, only twice the time makes it a yawn.
_PARTED_MAR = 0.2
_SLOW_MS = 70.0  # from parted to half wide; seldom sampled, nobody can tell
_SELDOM_MS = 110.0
_SPRUNG_YAWN_MS = 2000.0

_MOVES_LIDS = 0.15  # this far beyond the mouth at rest it pulls the lids along
_REST_AT_MOST = 0.3  # at first sight, in which some rest and some talk; a mouth that shuts is learned fast
_RISE_MS, _FALL_MS = 20_000.0, 1000.0


@dataclass(frozen=True, slots=True)
class Mouth:
    """Memory of the mouth. `mar` is the last sample, None after a gap; `…_since_ms` while it is that far open;
    `rest_mar` is how the person holds it."""

    mar: float | None = None
    parted_since_ms: float | None = None
    half_wide_since_ms: float | None = None
    wide_since_ms: float | None = None
    yawning: bool = False
    yawn_count: int = 0
    rest_mar: float | None = None

    @property
    def moves_lids(self) -> bool:
        """Whether what the lids do may be the mouth's doing."""
        return self.mar is not None and self.mar > (self.rest_mar or 0.0) + _MOVES_LIDS


def lose(mouth: Mouth) -> Mouth:
    """Nothing is seen, or time jumped. A yawn under way ends; one that was counted stays counted."""
    return replace(mouth, mar=None, parted_since_ms=None, half_wide_since_ms=None, wide_since_ms=None, yawning=False)


def see(mouth: Mouth, mar: float, now_ms: float, dt_ms: float) -> Mouth:
    """One sample, `dt_ms` after the last one. A yawn counts once, when it has lasted long enough."""
    parted_ms = _since(mouth.parted_since_ms, mouth.mar, mar, _PARTED_MAR, _PARTED_MAR, now_ms, dt_ms)
    half_ms = _since(mouth.half_wide_since_ms, mouth.mar, mar, _HALF_WIDE_MAR, _HALF_WIDE_MAR, now_ms, dt_ms)
    wide_ms = _since(mouth.wide_since_ms, mouth.mar, mar, WIDE_MAR, _HALF_WIDE_MAR, now_ms, dt_ms)
    if parted_ms is not None and mouth.parted_since_ms is None and (mouth.mar is None or dt_ms > _SELDOM_MS):
        parted_ms -= _SLOW_MS
    yawning = False
    if wide_ms is not None and half_ms is not None and parted_ms is not None:
        least_ms = YAWN_MS if half_ms - parted_ms >= _SLOW_MS else _SPRUNG_YAWN_MS
        yawning = mouth.yawning or now_ms - wide_ms >= least_ms
    rest = min(mar, _REST_AT_MOST) if mouth.rest_mar is None else mouth.rest_mar
    rest = mar + (rest - mar) * exp(-dt_ms / (_FALL_MS if mar < rest else _RISE_MS))
    yawn_count = mouth.yawn_count + (yawning and not mouth.yawning)
    return Mouth(mar, parted_ms, half_ms, wide_ms, yawning, yawn_count, rest)


def _since(
    since_ms: float | None, before: float | None, mar: float, level: float, until: float, now_ms: float, dt_ms: float
) -> float | None:
    """Since when the mouth has been open to a level; None when it is not, or once it has fallen below `until`."""
    if since_ms is not None:
        return since_ms if mar >= until else None
    if mar < level:
        return None
    return now_ms if before is None else now_ms - dt_ms * (1 - crossing(before, mar, level))
