"""Which face of the picture is the session's person, and where the mesh is to look for it.

A person is followed from frame to frame by where the face was last. The detector is asked when nobody is followed, when
the face was lost, and once in a while to count the others.
"""

from dataclasses import dataclass, replace
from math import atan2, hypot, log

import numpy as np
from numpy.typing import NDArray

# The mesh wants a square of one and a half faces, upright with the eyes (as in MediaPipe's own face_landmark graphs).
_SQUARE_PER_FACE = 1.5
_EYE_CORNERS = (33, 263)

_COUNT_EVERY_MS = 1000.0
_SEARCH_EVERY_MS = 100.0  # while nobody is there; far below the 0.3 s in which a return is to be seen

# What the next place of the same face may be: apart by so many squares, and of this many times the size.
_NEAR_SQUARES = 0.8
_SAME_SIZE = 2.0
_CLEARLY_LARGER = 1.5
_KNOWN_FOR_MS = 3000.0  # after so long without the person, whoever is there may be it


@dataclass(frozen=True, slots=True)
class Region:
    """A tilted square around a face, in pixels of the frame as sent; `tilt_rad` > 0 is clockwise in the picture."""

    x_px: float
    y_px: float
    side_px: float
    tilt_rad: float = 0.0

    @property
    def face_px(self) -> float:
        """Height of the face."""
        return self.side_px / _SQUARE_PER_FACE


@dataclass(frozen=True, slots=True)
class Following:
    """Memory of where the person is. `region` is where to look next, None when nobody is followed; `known` is where
    the person was last. `count` is of the last time the detector was asked; `several` says that it cannot be told
    which of them the person is."""

    region: Region | None = None
    known: Region | None = None
    known_at_ms: float = 0.0
    searched_at_ms: float | None = None
    count: int = 0
    several: bool = False
    width_px: int = 0
    height_px: int = 0


def around(landmarks_px: NDArray[np.float32]) -> Region:
    """Where to look in the next frame, from (478, 3) landmarks of this one."""
    x_px, y_px = landmarks_px[:, 0], landmarks_px[:, 1]  # one axis at a time: a fifth of the time of both at once
    x0, x1, y0, y1 = float(x_px.min()), float(x_px.max()), float(y_px.min()), float(y_px.max())
    (left_x, left_y, _), (right_x, right_y, _) = landmarks_px[_EYE_CORNERS, :].tolist()
    side_px = _SQUARE_PER_FACE * max(x1 - x0, y1 - y0)
    return Region((x0 + x1) / 2, (y0 + y1) / 2, side_px, atan2(right_y - left_y, right_x - left_x))


def sized(following: Following, width_px: int, height_px: int) -> Following:
    """Take note of the frame's size: in a picture of another size everybody is somewhere else."""
    if (following.width_px, following.height_px) == (width_px, height_px):
        return following
    return Following(width_px=width_px, height_px=height_px)


def search_due(following: Following, now_ms: float) -> bool:
    """Whether to ask the detector although nothing was lost."""
    if following.searched_at_ms is None or now_ms < following.searched_at_ms:
        return True
    every_ms = _SEARCH_EVERY_MS if following.region is None else _COUNT_EVERY_MS
    return now_ms - following.searched_at_ms >= every_ms


def searched(following: Following, found: list[Region], now_ms: float, *, seen: bool) -> Following:
    """What the detector found. When the mesh has `seen` the person already, the others are only counted."""
    after = replace(following, searched_at_ms=now_ms, count=max(len(found), int(seen)), several=False)
    if seen:
        return after
    person = _person(following, found, now_ms)
    return replace(after, region=person, several=person is None and len(found) > 1)


def saw(following: Following, landmarks_px: NDArray[np.float32] | None, now_ms: float) -> Following:
    """What the mesh found in the end; None when there was no face where it looked."""
    if landmarks_px is None:
        taken = following.region is not None  # for a face, by the detector alone
        return replace(following, region=None, count=max(0, following.count - taken))
    region = around(landmarks_px)
    return replace(
        following, region=region, known=region, known_at_ms=now_ms, several=False, count=max(1, following.count)
    )


def _person(following: Following, found: list[Region], now_ms: float) -> Region | None:
    """The person among the faces found: who is where the person was, else who is clearly the nearest to the camera."""
    if not found:
        return None
    known = following.known if now_ms - following.known_at_ms <= _KNOWN_FOR_MS else None
    if known is not None:
        near = [face for face in found if _apart(face, known) <= 1]
        if near:
            return min(near, key=lambda face: _apart(face, known))
        found = [face for face in found if face.side_px * _SAME_SIZE >= known.side_px]  # not somebody in the background
        if not found:
            return None
    largest, *others = sorted(found, key=lambda face: -face.side_px)
    if others and largest.side_px < _CLEARLY_LARGER * others[0].side_px:
        return None
    return largest


def _apart(face: Region, known: Region) -> float:
    """How unlike two places are; up to 1 they may be the same face, one after the other."""
    moved = hypot(face.x_px - known.x_px, face.y_px - known.y_px) / known.side_px / _NEAR_SQUARES
    grown = abs(log(face.side_px / known.side_px)) / log(_SAME_SIZE)
    return max(moved, grown)
