"""How the head is turned, told in the camera's axes: steadied without lag, its pitch from the person's own zero."""

from dataclasses import dataclass
from typing import NamedTuple

from services.analyzer.domain.geometry import Geometry
from services.analyzer.domain.smoothing import OneEuro, Tuning, smooth

# Measured on rendered heads at 30 fps: half the jitter, 5 to 20 ms behind a head that turns.
_TUNING = Tuning(steady_hz=2.0, hz_per_unit_s=0.5, speed_hz=2.0)

# The mesh is wrong about everybody's pitch by a constant: ±2.2° from person to person (one standard deviation of 71
# rendered ones), which no single picture tells. So a small pitch at rest counts as that, a larger one as how they sit.
_TRUSTED = 0.9
_POSTURE_DEG = 7.0
_REST_DEG = 15.0
_FAR_DEG = 5.0  # one sample moves the mean as if it were off by this at most
_KNOWN_MS, _MOST_MS = 500.0, 120_000.0


class Angles(NamedTuple):
    """In degrees, as in `FrameMetrics`."""

    yaw_deg: float
    pitch_deg: float
    roll_deg: float


@dataclass(frozen=True, slots=True)
class Head:
    """Memory of the head: filters of yaw, pitch, roll with their last samples; the mean pitch at rest."""

    yaw: OneEuro | None = None
    pitch: OneEuro | None = None
    roll: OneEuro | None = None
    rest_deg: float = 0.0
    learned_ms: float = 0.0

    @property
    def zero_deg(self) -> float:
        """What is taken off the pitch: 3.6° at most."""
        return _TRUSTED * self.rest_deg / (1 + (self.rest_deg / _POSTURE_DEG) ** 4)


def lose(head: Head) -> Head:
    """Nothing is seen, or time jumped: what comes next need not go on from what was."""
    return Head(rest_deg=head.rest_deg, learned_ms=head.learned_ms)


def see(head: Head, seen: Geometry, dt_ms: float, *, eyes_open: bool) -> tuple[Head, Angles]:
    """One frame, `dt_ms` after the last one."""
    rest_deg, learned_ms = head.rest_deg, head.learned_ms
    if eyes_open and max(abs(seen.yaw_deg), abs(seen.pitch_deg), abs(seen.roll_deg)) <= _REST_DEG:
        learned_ms = min(_MOST_MS, learned_ms + dt_ms)
        off_deg = max(-_FAR_DEG, min(_FAR_DEG, seen.pitch_deg - rest_deg))
        rest_deg += min(1.0, dt_ms / (_KNOWN_MS + learned_ms)) * off_deg
    yaw = smooth(head.yaw, seen.yaw_deg - seen.bearing_deg, dt_ms, _TUNING)
    pitch = smooth(head.pitch, seen.pitch_deg, dt_ms, _TUNING)
    roll = smooth(head.roll, seen.roll_deg, dt_ms, _TUNING)
    after = Head(yaw, pitch, roll, rest_deg, learned_ms)
    return after, Angles(yaw.value, pitch.value - after.zero_deg, roll.value)


def glimpse(head: Head, seen: Geometry) -> Angles:
    """The angles of a frame by itself, of somebody who is turned too far to be measured."""
    return Angles(seen.yaw_deg - seen.bearing_deg, seen.pitch_deg - head.zero_deg, seen.roll_deg)
