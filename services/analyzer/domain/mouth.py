"""Yawns from the mouth aspect ratio: wide and slow. Talking is quick, laughing and surprise are not that wide."""

from dataclasses import dataclass, replace

from services.analyzer.domain.eyes import crossing

WIDE_MAR = 0.5
_SHUT_MAR = 0.4
YAWN_MS = 1000.0
MOVES_LIDS_MAR = 0.35  # from here on the mouth pulls the lower lids along


@dataclass(frozen=True, slots=True)
class Mouth:
    """Memory of the mouth. `mar` is the last sample, None after a gap; `wide_since_ms` while it is wide open."""

    mar: float | None = None
    wide_since_ms: float | None = None
    yawning: bool = False
    yawn_count: int = 0


def lose(mouth: Mouth) -> Mouth:
    """Nothing is seen, or time jumped. A yawn under way ends; one that was counted stays counted."""
    return replace(mouth, mar=None, wide_since_ms=None, yawning=False)


def see(mouth: Mouth, mar: float, now_ms: float, dt_ms: float) -> Mouth:
    """One sample, `dt_ms` after the last one. A yawn counts once, when it has lasted a second."""
    since_ms = mouth.wide_since_ms
    if since_ms is None:
        if mar >= WIDE_MAR:
            since_ms = now_ms
            if mouth.mar is not None:
                since_ms -= dt_ms * (1 - crossing(mouth.mar, mar, WIDE_MAR))
    elif mar < _SHUT_MAR:
        since_ms = None
    yawning = since_ms is not None and (mouth.yawning or now_ms - since_ms >= YAWN_MS)
    return Mouth(mar, since_ms, yawning, mouth.yawn_count + (yawning and not mouth.yawning))
