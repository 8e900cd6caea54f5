"""The head of the drawn student: all of it that does not move within the head. Lengths in u."""

import math

import numpy as np

from services.client.canvas import Canvas
from services.client.pose import Colour, Look, shade

_FACE_A, _FACE_B, _FACE_Y = 0.78, 1.0, 0.05

_ARC = np.linspace(0.0, math.pi, 13)
_ARC_X, _ARC_Y = np.cos(_ARC), np.sin(_ARC)


def paint_head(look: Look, u_px: float) -> Canvas:
    """Everything that does not move within the head, supersampled and softened."""
    finer = 3
    canvas = Canvas.blank(u_px * finer)
    if look.long_hair:
        canvas.ellipse(0, 0.1, 1.0, 1.3, shade(look.hair, 0.75))
    canvas.ellipse(0, 1.95, 1.55, 0.92, look.shirt)
    neck = [(-0.36, 0.6), (0.36, 0.6), (0.40, 1.12), (0.0, 1.38), (-0.40, 1.12)]
    canvas.polygon(np.array(neck), shade(look.skin, 0.78))
    canvas.ellipse(0, -0.16, 0.92, 1.15, look.hair)
    for side in (-1, 1):
        canvas.ellipse(0.79 * side, 0.05, 0.1, 0.2, shade(look.skin, 0.85))
    _face(canvas, look.skin)
    _fringe(canvas, look)
    canvas.blur(0.011)
    return canvas.smaller(finer)


def _face(canvas: Canvas, skin: Colour) -> None:
    """An oval that looks round: light from the upper left, darker towards its edge, red cheeks."""
    canvas.ellipse(0, _FACE_Y, _FACE_A, _FACE_B, skin)
    patch = canvas.box(-_FACE_A, _FACE_Y - _FACE_B, _FACE_A, _FACE_Y + _FACE_B)
    height, width = patch.shape[:2]
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    far = x * x + y * y
    lit = 1.06 - 0.08 * (x + 0.2) ** 2 - 0.12 * (y + 0.25) ** 2 - 0.30 * np.clip(far - 0.5, 0, None)
    cheeks = np.zeros_like(far)
    for side in (-1, 1):
        cheeks += np.exp(-(((x - side * 0.5) / 0.24) ** 2) - ((y - 0.25) / 0.2) ** 2)
    lit_skin = np.array(skin) * lit[..., None] + cheeks[..., None] * np.array((-12.0, -10.0, 6.0))
    patch[far < 1, :3] = np.clip(lit_skin, 0, 255)[far < 1]


def _fringe(canvas: Canvas, look: Look) -> None:
    """Hair from one temple over the forehead to the other, and its strands."""
    across = np.linspace(-0.76, 0.76, 25)
    hairline = np.stack([across, -0.50 - 0.20 * np.cos(1.9 * across - 0.3)], axis=1)
    crown = np.stack([0.88 * _ARC_X, -0.42 - 0.85 * _ARC_Y], axis=1)
    canvas.polygon(np.concatenate([hairline, crown]), look.hair)
    for x in np.linspace(-0.66, 0.66, 10):
        strand = np.array([(x * 0.45 - 0.08, -1.22), (x * 0.85 - 0.03, -1.02), (x, -0.78)])
        canvas.line(strand, shade(look.hair, 1.3), 0.014)
    if look.long_hair:
        for side in (-1, 1):
            lock = [(0.74, -0.55), (0.95, -0.4), (1.03, 0.4), (0.98, 1.15), (0.74, 1.2), (0.80, 0.3)]
            canvas.polygon(np.array([(x * side, y) for x, y in lock]), look.hair)
