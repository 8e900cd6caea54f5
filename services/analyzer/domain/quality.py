"""When a picture does not serve: a reason instead of a guess.

The limits are where the numbers go wrong: faces were shrunk, blurred, darkened and made noisy, and what was measured
then was compared with what the untouched picture gave. Each says what is lost beyond it.
"""

from dataclasses import dataclass
from math import hypot

from schemas.events import InsufficientReason
from services.analyzer.domain.faces import Region

SMALL_FACE_PX = 44.0  # EAR scatters by 7 %, yaw and pitch err by 2°; at 38 scatter is taken for blinks
FAINT_LEVELS = 20.0  # a blink loses a third of its depth, a yawn a fifth; at 12 two thirds
DARK_LUMA = 64.0  # what is faint and darker than this is dark; else fogged or dazzled
BLURRED_PERCENT = 5.0  # a blur of 2.5 % of the face: a blink loses half of its depth, yaw errs by 3°
TURNED_YAW_DEG = 55.0
TURNED_PITCH_DEG = 40.0
_BETTER = 1.1  # than the limit by this factor, to be measured again: what hovers at it must not flicker

_LOOK_EVERY_MS = 300.0
_MOVED_FACES = 0.1


@dataclass(frozen=True, slots=True)
class Clarity:
    """How clearly the picture shows the eyes.

    `blur`: fine detail in percent of the contrast, 30 and more for sharp eyes; `contrast`: between the darkest and the
    lightest places, in grey levels; `brightness`: mean luma, 0..255. `looked_at_ms`: when that was measured.
    """

    blur: float
    contrast: float
    brightness: float
    looked_at_ms: float = 0.0


def look_due(last: Clarity | None, before: Region | None, region: Region | None, now_ms: float) -> bool:
    """Whether to measure again how clear the picture is, given where the face was in the last frame and is in this one.

    Light changes slowly; what blurs from one frame to the next is a face that moves.
    """
    if last is None or before is None or region is None or _unclear(last, _BETTER) is not None:
        return True
    moved_px = hypot(region.x_px - before.x_px, region.y_px - before.y_px)
    return not 0 <= now_ms - last.looked_at_ms < _LOOK_EVERY_MS or moved_px > _MOVED_FACES * before.face_px


def insufficient(
    face_px: float,
    clarity: Clarity | None,
    yaw_deg: float,
    pitch_deg: float,
    *,
    before: InsufficientReason | None = None,
) -> InsufficientReason | None:
    """Why this face cannot be measured; None when it can. `clarity` is None when the eyes are not in the picture,
    `before` is the reason of the last frame.

    Contrast decides, not brightness: dark skin in good light has all the contrast that is wanted.
    """
    if clarity is None:
        return "no_face"
    if face_px < SMALL_FACE_PX * (_BETTER if before == "face_small" else 1):
        return "face_small"
    unclear = _unclear(clarity, _BETTER if before in {"dark", "blurred"} else 1)
    if unclear is not None:
        return unclear
    turned = max(abs(yaw_deg) / TURNED_YAW_DEG, abs(pitch_deg) / TURNED_PITCH_DEG)
    return "turned_away" if turned * (_BETTER if before == "turned_away" else 1) > 1 else None


def _unclear(clarity: Clarity, better: float = 1.0) -> InsufficientReason | None:
    if clarity.contrast < better * FAINT_LEVELS:
        return "dark" if clarity.brightness < DARK_LUMA else "blurred"
    return "blurred" if clarity.blur < better * BLURRED_PERCENT else None
