"""PERCLOS: the share of time with the eyes closed (Wierwille et al. 1994)."""

from dataclasses import dataclass

from services.analyzer.domain.eyes import CLOSED_RATIO, Eyes, crossing

_WINDOW_MS = 60_000.0
_PIECE_MS = 1000.0
_ENOUGH_MS = 5000.0


@dataclass(frozen=True, slots=True)
class Perclos:
    """Over the last 60 s of measurable time.

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


def account(perclos: Perclos, before: Eyes, after: Eyes, dt_ms: float) -> Perclos:
    """Add the time between two samples; none when one was not measurable."""
    if before.ratio is None or after.ratio is None or dt_ms <= 0:
        return perclos
    closed_ms = dt_ms * _closed_share(before.ratio, after.ratio, before.closed, after.closed)
    piece = (perclos.piece_measured_ms + dt_ms, perclos.piece_closed_ms + closed_ms)
    if piece[0] < _PIECE_MS:
        return Perclos(perclos.pieces, perclos.measured_ms + dt_ms, perclos.closed_ms + closed_ms, *piece)
    pieces = (*perclos.pieces, piece)
    measured_ms = sum(each[0] for each in pieces)
    while measured_ms - pieces[0][0] >= _WINDOW_MS:
        measured_ms -= pieces[0][0]
        pieces = pieces[1:]
    return Perclos(pieces, measured_ms, sum(each[1] for each in pieces))


def _closed_share(ratio_before: float, ratio_after: float, closed_before: bool, closed_after: bool) -> float:
    if closed_before == closed_after:
        return float(closed_after)
    share = crossing(ratio_before, ratio_after, CLOSED_RATIO)
    return share if closed_before else 1 - share
