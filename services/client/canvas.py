"""What the head of the drawn student is painted on: BGRA, lengths in `u` (half the height of the face).

x to image right, y down, (0, 0) between nose and eyes. Colours are multiplied by alpha, so that the canvas can be
warped and laid over a room without a dark seam.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from services.client.pose import Colour

Image = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]

_LEFT, _TOP, _RIGHT, _BOTTOM = -1.9, -1.45, 1.9, 1.85  # the canvas in u
_SHIFT = 4  # fractional bits of OpenCV's drawing coordinates


@dataclass(frozen=True, slots=True)
class Canvas:
    """Pixels and how many of them make a u. Drawing changes the pixels: draw onto a `copy` of a painted one."""

    pixels: Image
    u_px: float

    @classmethod
    def blank(cls, u_px: float) -> "Canvas":
        shape = (math.ceil((_BOTTOM - _TOP) * u_px), math.ceil((_RIGHT - _LEFT) * u_px), 4)
        return cls(np.zeros(shape, np.uint8), u_px)

    def copy(self) -> "Canvas":
        return Canvas(self.pixels.copy(), self.u_px)

    def smaller(self, times: int) -> "Canvas":
        """Shrunk, each pixel the mean of those it covers."""
        target = Canvas.blank(self.u_px / times)
        height, width = target.pixels.shape[:2]
        cv2.resize(self.pixels, (width, height), dst=target.pixels, interpolation=cv2.INTER_AREA)
        return target

    @property
    def origin_px(self) -> tuple[float, float]:
        """Where (0, 0) lies."""
        return -_LEFT * self.u_px, -_TOP * self.u_px

    def box(self, left: float, top: float, right: float, bottom: float) -> Image:
        """A view of the pixels between these lengths."""
        x0, y0 = round((left - _LEFT) * self.u_px), round((top - _TOP) * self.u_px)
        x1, y1 = round((right - _LEFT) * self.u_px), round((bottom - _TOP) * self.u_px)
        return self.pixels[max(0, y0) : y1, max(0, x0) : x1]

    def draw(self, strokes: "list[Stroke]") -> None:
        """Draw strokes, the first at the back."""
        fixed = _fixed(np.concatenate([stroke.points for stroke in strokes]), self.u_px)
        begin = 0
        for stroke in strokes:
            end = begin + len(stroke.points)
            self._stroke(fixed[begin:end], stroke.colour, stroke.width)
            begin = end

    def polygon(self, points: Points, colour: Colour) -> None:
        """Fill a polygon of shape (n, 2)."""
        self._stroke(_fixed(points, self.u_px), colour, None)

    def line(self, points: Points, colour: Colour, width: float) -> None:
        """Draw an open line of shape (n, 2)."""
        self._stroke(_fixed(points, self.u_px), colour, width)

    def ellipse(self, x: float, y: float, a: float, b: float, colour: Colour) -> None:
        """Fill an ellipse with half axes `a` and `b`."""
        self.polygon(oval(x, y, a, b, corners=72), colour)

    def blur(self, sigma: float, box: Image | None = None) -> None:
        """Soften all, or a `box` of it; `sigma` in u."""
        pixels = self.pixels if box is None else box
        cv2.GaussianBlur(pixels, (0, 0), sigma * self.u_px, dst=pixels)

    def _stroke(self, fixed: npt.NDArray[np.int32], colour: Colour, width: float | None) -> None:
        if width is None:
            cv2.fillPoly(self.pixels, [fixed], (*colour, 255), cv2.LINE_AA, _SHIFT)
        else:
            thick = max(1, round(width * self.u_px))
            cv2.polylines(self.pixels, [fixed], False, (*colour, 255), thick, cv2.LINE_AA, _SHIFT)


class Stroke(NamedTuple):
    """A filled polygon of shape (n, 2), or an open line `width` wide. `depth` above 1 stands out of the face."""

    points: Points
    colour: Colour
    width: float | None = None
    depth: float = 1.0


def points(x: Points, y: Points) -> Points:
    """x and y, (n,) each, as (n, 2)."""
    both = np.empty((len(x), 2))
    both[:, 0] = x
    both[:, 1] = y
    return both


def oval(x: float, y: float, a: float, b: float, corners: int = 24) -> Points:
    """Points of an ellipse, (corners, 2)."""
    angles = np.linspace(0.0, 2 * math.pi, corners, endpoint=False)
    return points(x + a * np.cos(angles), y + b * np.sin(angles))


def _fixed(points: Points, u_px: float) -> npt.NDArray[np.int32]:
    at = (points - (_LEFT, _TOP)) * (u_px * (1 << _SHIFT))
    return at.round().astype(np.int32)
