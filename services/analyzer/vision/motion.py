"""A cheap look at what changed beside and below the face, since the body was looked at.

A hand that goes up must cross the picture there. The face's surroundings are brought down to cells of a seventh of the
face, small enough for a hand and large enough to drown noise; what changed is what differs from the same cells at the
last look at the body, so that a slow hand shows as well as a quick one, at any frame rate.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from services.analyzer.domain.faces import Region
from services.analyzer.vision.port import Picture

# All lengths in faces (forehead to chin, about 18 cm) from the face's middle.
_CELL = 0.15
_BESIDE, _ABOVE, _BELOW = 2.5, 2.0, 1.5  # a wrist above the shoulder, and its hand, are in here
_HEAD_BESIDE, _HEAD_ABOVE, _HEAD_BELOW = 0.6, 0.95, 0.65  # with hair and ears; heads move all the time
_HEAD_CELLS = round(_HEAD_BESIDE / _CELL), round((_HEAD_ABOVE + _HEAD_BELOW) / 2 / _CELL)
_MOVED = 0.5  # a person who sits elsewhere is another picture

# In faces². A fist measures 0.25, an open hand 0.35, and half of it may be before the head. What is less than two cells
# wide is the edge of somebody who sways.
_AREA = 0.15
_TWO_BY_TWO = np.ones((2, 2), np.uint8)
_LEVELS = 8.0  # grey levels in any colour: twice a cell's noise in a dim room
_SAMPLES = 4  # pixels that a cell is the mean of, each way
_DARK = 8.0  # added before ratios are taken, which say nothing of black


@dataclass(frozen=True, slots=True)
class Glimpse:
    """The face's surroundings when the body was looked at. `box`: left, top, right, bottom in shares of the picture."""

    face: Region
    size: tuple[int, int]
    box: tuple[float, float, float, float]
    cells: NDArray[np.float32] = field(repr=False)


def glimpse(picture: Picture, face: Region) -> Glimpse | None:
    """To compare later pictures with; None where the surroundings are not in the picture."""
    face_px = face.face_px
    left, right = max(0.0, face.x_px - _BESIDE * face_px), min(picture.width, face.x_px + _BESIDE * face_px)
    top, bottom = max(0.0, face.y_px - _ABOVE * face_px), min(picture.height, face.y_px + _BELOW * face_px)
    across, down = round((right - left) / face_px / _CELL), round((bottom - top) / face_px / _CELL)
    if across < 2 or down < 2:
        return None
    box = (left / picture.width, top / picture.height, right / picture.width, bottom / picture.height)
    cells = _cells(picture, box, across, down)
    return Glimpse(face, (picture.width, picture.height), box, cells) if cells is not None else None


def changed(before: Glimpse, picture: Picture, face: Region) -> bool:
    """Whether so much changed beside and below the face as a hand that moved would change."""
    if before.size != (picture.width, picture.height):
        return True
    face_px = before.face.face_px
    if max(abs(face.x_px - before.face.x_px), abs(face.y_px - before.face.y_px)) > _MOVED * face_px:
        return True
    down, across = before.cells.shape[:2]
    now = _cells(picture, before.box, across, down)
    if now is None:
        return True
    mask = (_difference(before.cells, now) > _LEVELS).view(np.uint8)
    for head in (before.face, face):
        _clear(mask, before, head)
    return cv2.countNonZero(cv2.morphologyEx(mask, cv2.MORPH_OPEN, _TWO_BY_TWO)) * _CELL * _CELL >= _AREA


def _cells(
    picture: Picture, box: tuple[float, float, float, float], across: int, down: int
) -> NDArray[np.float32] | None:
    """(down, across, 3). Picking pixels and averaging those costs 20 µs at any size; averaging all, up to 700."""
    height, width = picture.rgb.shape[:2]
    left, top, right, bottom = box
    part = picture.rgb[int(top * height) : int(bottom * height), int(left * width) : int(right * width)]
    if not part.size:
        return None
    picked = cv2.resize(part, (across * _SAMPLES, down * _SAMPLES), interpolation=cv2.INTER_NEAREST)
    small = cv2.resize(picked, (across, down), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) + _DARK


def _difference(before: NDArray[np.float32], now: NDArray[np.float32]) -> NDArray[np.float32]:
    """Grey levels by which cells differ, the most of three colours, after each row's own change of light.

    Exposure and white balance change all rows alike; mains light seen by a rolling shutter brightens some and darkens
    others. What most cells of a row do is light, and what the others do besides is motion.
    """
    middle = before.shape[1] // 2
    light = np.partition(now / before, middle, axis=1)[:, middle : middle + 1]
    expected = np.minimum(before * light, 255 + _DARK)  # white stays white when it gets brighter
    red, green, blue = cv2.split(cv2.absdiff(now, expected))
    difference: NDArray[np.float32] = np.maximum(np.maximum(red, green), blue)
    return difference


def _clear(mask: NDArray[np.uint8], before: Glimpse, head: Region) -> None:
    """Take out the cells of a head, an ellipse."""
    face_px = before.face.face_px
    x = (head.x_px - before.box[0] * before.size[0]) / face_px
    y = (head.y_px - before.box[1] * before.size[1]) / face_px
    middle = round(x / _CELL - 0.5), round((y + (_HEAD_BELOW - _HEAD_ABOVE) / 2) / _CELL - 0.5)
    cv2.ellipse(mask, middle, _HEAD_CELLS, 0, 0, 360, (0,), -1)
