"""A drawn face that MediaPipe's face mesh tracks: the student of the demo, of the benches and of the tests.

What does not move within the head is painted once per look and size, supersampled. For a frame the features are drawn
onto a copy of it, the whole is placed by one affine warp, laid over the room and given a little grain.
"""

import math
from functools import lru_cache

import cv2
import numpy as np

from services.client.arm import arm
from services.client.canvas import Image
from services.client.features import features
from services.client.head import paint_head
from services.client.pose import Look, Pose, shade

__all__ = ["SIZE", "Image", "Look", "Pose", "draw", "draw_jpeg", "encode_jpeg"]

SIZE = (320, 240)  # width, height in pixels
JPEG_QUALITY = 70

_FINER = 1.5  # pixels of the head's canvas per pixel of the frame, each way
_U_SHARE = 0.30  # half the face's height as a share of the frame's
_GRAIN = 2.5  # standard deviation of the noise in grey levels
_GRAIN_MARGIN_PX = 64  # the grain's tile is larger than a frame by this, to start somewhere else each time


def draw(pose: Pose, size: tuple[int, int] = SIZE, look: Look | None = None, grain: int = 0) -> Image:
    """The frame as BGR, (height, width, 3); `size` is (width, height).

    `grain` (say, the frame's number) chooses the noise; the same arguments give the same picture. Safe in threads.
    """
    return _painter(size, look or Look()).draw(pose, grain)


def draw_jpeg(pose: Pose, size: tuple[int, int] = SIZE, look: Look | None = None, grain: int = 0) -> bytes:
    """The frame as a JPEG."""
    return encode_jpeg(draw(pose, size, look, grain))


def encode_jpeg(image: Image, quality: int = JPEG_QUALITY) -> bytes:
    """JPEG of a BGR picture; `quality` 1..100."""
    done, encoded = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))
    if not done:
        raise ValueError(f"a picture of shape {image.shape} cannot be encoded as JPEG")
    return encoded.tobytes()


@lru_cache(maxsize=32)
def _painter(size: tuple[int, int], look: Look) -> "_Painter":
    return _Painter(size, look)


class _Painter:
    """The painted layers of one look and size; never changed once made, so threads may share it."""

    def __init__(self, size: tuple[int, int], look: Look) -> None:
        width, height = size
        if width < 16 or height < 16:
            raise ValueError(f"a face cannot be drawn into {width}×{height} pixels; at least 16×16 are wanted")
        self._size = size
        self._look = look
        self._room = _paint_room(size, look)
        self._head = paint_head(look, height * _U_SHARE * _FINER)
        noise = np.random.default_rng(width * 4099 + height)
        shape = (height + _GRAIN_MARGIN_PX, width + _GRAIN_MARGIN_PX, 3)
        self._grain: Image = np.clip(noise.normal(128, _GRAIN, shape).round(), 0, 255).astype(np.uint8)

    def draw(self, pose: Pose, grain: int) -> Image:
        image = self._place(pose) if pose.present else self._room
        top, left = (grain * 29) % _GRAIN_MARGIN_PX, (grain * 47) % _GRAIN_MARGIN_PX
        width, height = self._size
        speckle = self._grain[top : top + height, left : left + width]
        grained = np.empty_like(self._room)
        cv2.addWeighted(image, 1.0, speckle, 1.0, -128.0, dst=grained)
        return grained

    def _place(self, pose: Pose) -> Image:
        """The student in front of the room."""
        canvas = self._head.copy()
        canvas.draw(features(pose, self._look))
        canvas.blur(0.009, canvas.box(-0.8, -0.6, 0.8, 1.0))
        if raised := arm(pose, self._look):
            canvas.draw(raised)
        width, height = self._size
        angle, shrink = math.radians(pose.roll_deg), pose.scale / _FINER
        cos, sin = shrink * math.cos(angle), shrink * math.sin(angle)
        (x, y), to_x, to_y = canvas.origin_px, width * (0.5 + pose.x), height * (0.5 + pose.y)
        matrix = np.array([[cos, sin, to_x - cos * x - sin * y], [-sin, cos, to_y + sin * x - cos * y]])
        # The canvas ends within the shirt: repeating its border fills the frame to the lower edge.
        placed = cv2.warpAffine(canvas.pixels, matrix, self._size, borderMode=cv2.BORDER_REPLICATE)
        clear = cv2.cvtColor(cv2.bitwise_not(cv2.extractChannel(placed, 3)), cv2.COLOR_GRAY2BGR)
        image = np.empty_like(self._room)
        cv2.multiply(self._room, clear, dst=image, scale=1 / 255)
        cv2.add(image, cv2.cvtColor(placed, cv2.COLOR_BGRA2BGR), dst=image)
        return image


def _paint_room(size: tuple[int, int], look: Look) -> Image:
    """A wall with a window's light and a shelf, out of focus."""
    width, height = size
    light = np.linspace(1.08, 0.88, width)[None, :, None] * np.linspace(1.04, 0.94, height)[:, None, None]
    wall: Image = np.clip(np.array(look.room) * light, 0, 255).astype(np.uint8)
    shelf = shade(look.room, 0.72)
    cv2.rectangle(wall, (int(width * 0.74), int(height * 0.40)), (width, int(height * 0.43)), shelf, -1)
    for book, colour in enumerate((look.shirt, look.hair, shade(look.room, 0.55), look.shirt)):
        left = int(width * (0.77 + 0.055 * book))
        top = int(height * (0.22 + 0.03 * (book % 2)))
        cv2.rectangle(wall, (left, top), (left + int(width * 0.04), int(height * 0.40)), shade(colour, 1.2), -1)
    cv2.GaussianBlur(wall, (0, 0), max(1.0, height / 60), dst=wall)
    return wall
