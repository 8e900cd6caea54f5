"""Whether the face moves by itself, or is a still: a photo, a frozen camera.

Nobody holds still: within seconds lids sink and blink, eyes wander, heads turn by a degree. A photo that is moved
moves as a whole: all that changes within its face is what the mesh makes of noise. So the ranges of what lids, eyes,
mouth and head do are kept; while none exceeds what noise explains, time runs towards "still".
"""

from dataclasses import dataclass
from math import exp, log

from services.analyzer.domain.faces import Region
from services.analyzer.domain.geometry import Geometry

_STILL_MS = 7000.0
_ENOUGH_FRAMES = 30  # with a picture a second, blinks fall between them
_SMOOTH_MS = 300.0  # noise is new in every frame, movements are not
_SETTLED_MS = 1000.0  # until a movement before has died away, and the mesh has found its way into the face

# How far each may range: log EAR, iris sideways and up, MAR, yaw, pitch. Seven photos with the noise of a webcam ranged
# over 0.2 to 1.2 of this in 8 s, forty clips of living faces over 4.4 and more of at least one; they kept within all of
# them for 6 s at most.
_TOLERANCES = (0.06, 0.035, 0.025, 0.03, 1.2, 1.5)
_OWN = len(_TOLERANCES)
# A photo in a hand: the mesh errs more from place to place. Twice the tolerance, and twice the time, from here on.
_CARRIED_FACES = 0.05
_LEAST_EAR = 0.05
_LEAVING = 1.5  # what is known to be a still needs so much more to be none
# The lids of a sleeper are as still as a photo's, the head moves with the breath; of a frozen picture nothing does.
_CLOSED_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Stillness:
    """`still` is None until it can be told. `smooth`, and the `low` and `high` of it since `since_ms`, hold what moves
    by itself and then the face's place: x, y and size, in faces."""

    still: bool | None = None
    smooth: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    since_ms: float = 0.0
    frames: int = 0


def see(
    stillness: Stillness, face: Geometry, region: Region | None, now_ms: float, dt_ms: float, *, closed: bool
) -> Stillness:
    """A measurable frame, `dt_ms` after the last one; `region` is where the face is."""
    place = (0.0, 0.0, 0.0)
    if region is not None:
        place = (region.x_px / region.face_px, region.y_px / region.face_px, log(region.face_px))
    now = (
        log(max(_LEAST_EAR, face.ear)),
        face.iris_h,
        face.iris_v,
        face.mar,
        face.yaw_deg,
        face.pitch_deg,
        *place,
    )
    if not stillness.smooth:
        return Stillness(None, now, now, now, now_ms)
    keep = exp(-dt_ms / _SMOOTH_MS)
    smooth = tuple(new + (old - new) * keep for old, new in zip(stillness.smooth, now, strict=True))
    if now_ms - stillness.since_ms < _SETTLED_MS:
        return Stillness(stillness.still, smooth, smooth, smooth, stillness.since_ms, stillness.frames + 1)
    low = tuple(map(min, stillness.low, smooth))
    high = tuple(map(max, stillness.high, smooth))
    carried = max(most - least for least, most in zip(low[_OWN:], high[_OWN:], strict=True))
    allowance = 1 + min(1.0, carried / _CARRIED_FACES)
    own = max((most - least) / tolerance for least, most, tolerance in zip(low, high, _TOLERANCES, strict=False))
    if own > allowance * (_CLOSED_SHARE if closed else _LEAVING if stillness.still else 1.0):
        return Stillness(False, smooth, smooth, smooth, now_ms)
    frames = stillness.frames + 1
    if now_ms - stillness.since_ms < _STILL_MS * allowance or frames < _ENOUGH_FRAMES:
        return Stillness(stillness.still, smooth, low, high, stillness.since_ms, frames)
    if stillness.still:  # begin again, so that slow changes of the light do not add up
        return Stillness(True, smooth, smooth, smooth, now_ms)
    return Stillness(True, smooth, low, high, stillness.since_ms, frames)
