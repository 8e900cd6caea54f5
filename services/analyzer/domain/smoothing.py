"""Smoothing that lets go when something moves."""

from dataclasses import dataclass
from math import pi


@dataclass(frozen=True, slots=True)
class OneEuro:
    """A low-pass whose cut-off rises with speed: Casiez, Roussel & Vogel, *1€ Filter*, CHI 2012."""

    sample: float
    value: float
    per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Tuning:
    """The cut-off is `steady_hz` at rest and rises by `hz_per_unit_s` times the speed, which `speed_hz` smooths."""

    steady_hz: float
    hz_per_unit_s: float
    speed_hz: float


def smooth(before: OneEuro | None, sample: float, dt_ms: float, tuning: Tuning) -> OneEuro:
    """Take a sample, `dt_ms` after the last one. None begins anew."""
    if before is None:
        return OneEuro(sample, sample)
    if dt_ms <= 0:  # the same moment once more
        return before
    dt_s = dt_ms / 1000
    per_s = before.per_s + _share(tuning.speed_hz, dt_s) * ((sample - before.sample) / dt_s - before.per_s)
    cut_off_hz = tuning.steady_hz + tuning.hz_per_unit_s * abs(per_s)
    return OneEuro(sample, before.value + _share(cut_off_hz, dt_s) * (sample - before.value), per_s)


def _share(cut_off_hz: float, dt_s: float) -> float:
    """Of a first-order low-pass, what a new sample counts."""
    return 1 / (1 + 1 / (2 * pi * cut_off_hz * dt_s))
