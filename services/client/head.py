"""The head of the drawn student: what is painted once, and the features that move. Lengths as on the canvas."""

import math
from dataclasses import dataclass

import numpy as np

from services.client.canvas import Canvas, Points, oval
from services.client.pose import Colour, Look, Pose, shade

_FACE_A, _FACE_B, _FACE_Y = 0.78, 1.0, 0.05
_BALL_A, _BALL_B = 0.95, 1.25  # the ball that the features sit on
_NOSE_DEPTH = 1.18  # how far its tip stands out of the ball
_EYE_HALF = 0.175
# A flat hair line and a chin that stays make a turn look like more or less than it is: with these, degrees are what
# MediaPipe's mesh shows.
_YAW_GAIN, _PITCH_GAIN = 0.83, 1.3
_LIPS: Colour = (92, 92, 185)
_LASHES: Colour = (28, 30, 36)

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


@dataclass(frozen=True, slots=True)
class _Turn:
    """Moves points of the frontal face, which sit on a ball, to where they are seen when the head is turned."""

    yaw_rad: float
    pitch_rad: float

    def __call__(self, points: Points, depth: float = 1.0) -> Points:
        """`depth` above 1 stands out of the face, as a nose does."""
        across = np.arcsin(np.clip(points[:, 0] / _BALL_A, -1, 1)) + self.yaw_rad
        down = np.arcsin(np.clip(points[:, 1] / _BALL_B, -1, 1)) + self.pitch_rad
        return np.stack([_BALL_A * depth * np.sin(across), _BALL_B * depth * np.sin(down)], axis=1)


def draw_features(canvas: Canvas, pose: Pose, look: Look) -> None:
    """Draw eyes, brows, nose and mouth as the pose wants them."""
    turn = _Turn(math.radians(_YAW_GAIN * pose.yaw_deg), math.radians(_PITCH_GAIN * pose.pitch_deg))
    for side in (-1, 1):
        _eye(canvas, turn, side, pose, look)
    _nose(canvas, turn, look.skin)
    _mouth(canvas, turn, pose.mouth)
    canvas.blur(0.009, canvas.box(-0.8, -0.6, 0.8, 1.0))


def _eye(canvas: Canvas, turn: _Turn, side: int, pose: Pose, look: Look) -> None:
    x, y = 0.335 * side, -0.15
    opening = min(max(pose.eyes, 0.0), 1.0)
    # The upper lid goes most of the way; shut, the two meet a little below the middle.
    upper = -0.115 * opening + 0.035 * (1 - opening)
    lower = 0.055 * opening + 0.035 * (1 - opening)
    above = turn(np.stack([x + _EYE_HALF * _ARC_X, y + upper * _ARC_Y], axis=1))
    below = turn(np.stack([x + _EYE_HALF * _ARC_X, y + lower * _ARC_Y], axis=1))
    canvas.polygon(turn(oval(x, y - 0.03, 0.22, 0.14)), shade(look.skin, 0.94))
    crease = np.stack([x + 0.18 * _ARC_X, y - 0.05 - (0.03 + 0.055 * opening) * _ARC_Y], axis=1)
    canvas.line(turn(crease), shade(look.skin, 0.75), 0.014)
    if opening > 0:
        slit = _Lens(x, y, _EYE_HALF, -upper, lower)
        canvas.polygon(turn(slit.outline()), (236, 239, 242))
        at_x, at_y = x + 0.075 * pose.look_x, y - 0.025 - 0.045 * pose.look_y
        for radius, colour in ((0.085, look.iris), (0.042, (12, 12, 14))):
            canvas.polygon(turn(slit.part(at_x, at_y, radius, radius)), colour)
    canvas.line(below, shade(look.skin, 0.62), 0.014)
    canvas.line(above, _LASHES, 0.036)
    brow = np.stack([x + 0.2 * _ARC_X, y - 0.19 - 0.08 * _ARC_Y], axis=1)[2:-2]
    canvas.line(turn(brow), shade(look.hair, 0.7), 0.05)


def _nose(canvas: Canvas, turn: _Turn, skin: Colour) -> None:
    bridge = turn(np.array([(-0.045, -0.16), (-0.06, 0.02), (-0.085, 0.2)]))
    bridge[:, 0] *= np.array([1.0, 1.05, 1.12])
    canvas.line(bridge, shade(skin, 0.86), 0.026)
    tip = turn(oval(0, 0.2, 0.105, 0.085), _NOSE_DEPTH)
    canvas.polygon(tip, shade(skin, 1.05))
    canvas.line(turn(np.stack([0.115 * _ARC_X, 0.21 + 0.085 * _ARC_Y], axis=1), _NOSE_DEPTH), shade(skin, 0.7), 0.022)
    for side in (-1, 1):
        canvas.polygon(turn(oval(0.05 * side, 0.262, 0.026, 0.017), _NOSE_DEPTH), shade(skin, 0.4))


def _mouth(canvas: Canvas, turn: _Turn, mouth: float) -> None:
    """Lips around a gap; a wide mouth is narrower, shows teeth and tongue and pulls the lower lip down."""
    opening = min(max(mouth, 0.0), 1.0)
    half, y = 0.25 - 0.06 * opening, 0.54
    up, down = 0.012 + 0.13 * opening, 0.012 + 0.36 * opening
    bow = 1 - 0.25 * np.exp(-((_ARC_X / 0.25) ** 2))  # the notch in the upper lip
    lips = _Lens(0, y, half + 0.035, (up + 0.055) * bow, down + 0.075)
    canvas.polygon(turn(lips.outline()), _LIPS)
    gap = _Lens(0, y, half - 0.02, up, down)
    canvas.polygon(turn(gap.outline()), (38, 30, 70))
    if opening > 0.25:
        canvas.polygon(turn(gap.part(0, y + down * 0.8, half * 0.6, down * 0.4)), (90, 85, 165))
        canvas.polygon(turn(gap.part(0, y - up, half, up * 0.4)), (215, 222, 225))


@dataclass(frozen=True, slots=True)
class _Lens:
    """Two arcs that meet at (x ± half, y): an eye's slit, a mouth. `up` and `down` are their heights."""

    x: float
    y: float
    half: float
    up: float | Points
    down: float

    def outline(self) -> Points:
        above = np.stack([self.x + self.half * _ARC_X, self.y - self.up * _ARC_Y], axis=1)
        below = np.stack([self.x + self.half * _ARC_X, self.y + self.down * _ARC_Y], axis=1)
        return np.concatenate([above, below[::-1]])

    def part(self, x: float, y: float, a: float, b: float) -> Points:
        """What of the ellipse at (x, y) with half axes `a` and `b` lies inside; `up` is a number here."""
        across = np.linspace(max(x - a, self.x - self.half), min(x + a, self.x + self.half), 15)
        arc = np.sqrt(np.clip(1 - ((across - self.x) / self.half) ** 2, 0, 1))
        oval_arc = np.sqrt(np.clip(1 - ((across - x) / a) ** 2, 0, 1))
        top = np.maximum(y - b * oval_arc, self.y - self.up * arc)
        bottom = np.maximum(top, np.minimum(y + b * oval_arc, self.y + self.down * arc))
        return np.concatenate([np.stack([across, top], axis=1), np.stack([across, bottom], axis=1)[::-1]])
