"""The features of the drawn student's face that move: eyes, brows, nose, mouth, as strokes. Pure; lengths in u.

A turned head is drawn by moving the frontal face's points over a ball. All points of a frame are moved at once: of
what a frame costs, calls into NumPy would be the most.
"""

import math
from typing import NamedTuple

import numpy as np

from services.client.canvas import Points, Stroke, oval, points
from services.client.pose import Colour, Look, Pose, shade

_BALL_A, _BALL_B = 0.95, 1.25  # half axes of the ball that the features sit on
_NOSE_DEPTH = 1.18  # how far its tip stands out of the ball
# A flat hair line and a chin that stays make a turn look like more or less than it is: with these, degrees are what
# MediaPipe's mesh shows.
_YAW_GAIN, _PITCH_GAIN = 0.83, 1.3

_EYE_X, _EYE_Y, _EYE_HALF = 0.335, -0.15, 0.175
_MOUTH_Y = 0.54
_MOUTH_HALF, _MOUTH_STAYS = 0.285, 0.35  # where a bent mouth stays at its height: at √0.35 of its half
_LIPS: Colour = (92, 92, 185)
_LASHES: Colour = (28, 30, 36)
_WHITE: Colour = (236, 239, 242)
_PUPIL: Colour = (12, 12, 14)
_GAP: Colour = (38, 30, 70)
_TONGUE: Colour = (90, 85, 165)
_TEETH: Colour = (215, 222, 225)

_ARC = np.linspace(0.0, math.pi, 13)
_ARC_X, _ARC_Y = np.cos(_ARC), np.sin(_ARC)
_ACROSS = np.linspace(0.0, 1.0, 13)
_BOW = 1 - 0.25 * np.exp(-((_ARC_X / 0.25) ** 2))  # the notch in the upper lip

# What has the same shape in every frame, for the eye on image right; the other is its mirror image.
_SOCKET = oval(_EYE_X, _EYE_Y - 0.03, 0.22, 0.14)
_BROW = points(_EYE_X + 0.2 * _ARC_X, _EYE_Y - 0.19 - 0.08 * _ARC_Y)[2:-2]
_BROW_RAISED, _BROW_LOWERED = 0.08, 0.05
_BROW_FROWNING = 0.05 * np.linspace(0, 1, len(_BROW))  # its inner end goes down further
_BRIDGE = np.array([(-0.045, -0.16), (-0.063, 0.02), (-0.095, 0.2)])
_TIP = oval(0, 0.2, 0.105, 0.085)
_WINGS = points(0.115 * _ARC_X, 0.21 + 0.085 * _ARC_Y)
_NOSTRILS = (oval(-0.05, 0.262, 0.026, 0.017), oval(0.05, 0.262, 0.026, 0.017))
_MIRROR = np.array((-1.0, 1.0))


def features(pose: Pose, look: Look) -> list[Stroke]:
    """What to draw onto the painted head, from back to front."""
    frontal = [*_eye(-1, pose, look), *_eye(1, pose, look)]
    frontal += [*_nose(look.skin), *_bent(_mouth(pose.mouth), pose.smile)]
    return _turned(frontal, math.radians(_YAW_GAIN * pose.yaw_deg), math.radians(_PITCH_GAIN * pose.pitch_deg))


def _turned(strokes: list[Stroke], yaw_rad: float, pitch_rad: float) -> list[Stroke]:
    """The strokes where they are seen when the head is turned."""
    lengths = [len(stroke.points) for stroke in strokes]
    flat = np.concatenate([stroke.points for stroke in strokes])
    depth = np.repeat([stroke.depth for stroke in strokes], lengths)
    across = np.arcsin(np.clip(flat[:, 0] / _BALL_A, -1, 1)) + yaw_rad
    down = np.arcsin(np.clip(flat[:, 1] / _BALL_B, -1, 1)) + pitch_rad
    moved = points(_BALL_A * depth * np.sin(across), _BALL_B * depth * np.sin(down))
    ends = np.cumsum(lengths)
    return [
        stroke._replace(points=moved[end - length : end])
        for stroke, length, end in zip(strokes, lengths, ends, strict=True)
    ]


def _eye(side: int, pose: Pose, look: Look) -> list[Stroke]:
    """`side` −1 is the eye on image left."""
    x, opening = _EYE_X * side, min(max(pose.eyes, 0.0), 1.0)
    # The upper lid goes most of the way; shut, the two meet a little below the middle.
    upper = 0.115 * opening - 0.035 * (1 - opening)
    lower = 0.055 * opening + 0.035 * (1 - opening)
    slit = _Lens(x, _EYE_Y, _EYE_HALF, upper, lower)
    crease = points(x + 0.18 * _ARC_X, _EYE_Y - 0.05 - (0.03 + 0.055 * opening) * _ARC_Y)
    strokes = [Stroke(_sided(_SOCKET, side), shade(look.skin, 0.94)), Stroke(crease, shade(look.skin, 0.75), 0.014)]
    if opening > 0:
        at_x, at_y = x + 0.075 * pose.look_x, _EYE_Y - 0.025 - 0.045 * pose.look_y
        strokes += [
            Stroke(slit.outline(), _WHITE),
            Stroke(slit.part(at_x, at_y, 0.085, 0.085), look.iris),
            Stroke(slit.part(at_x, at_y, 0.042, 0.042), _PUPIL),
        ]
    return [
        *strokes,
        Stroke(slit.below(), shade(look.skin, 0.62), 0.014),
        Stroke(slit.above(), _LASHES, 0.036),
        Stroke(_sided(_brow(pose.brows), side), shade(look.hair, 0.7), 0.05),
    ]


def _brow(brows: float) -> Points:
    """Of the eye on image right; its inner end is its last point."""
    brows = min(max(brows, -1.0), 1.0)
    down = -brows * (_BROW_RAISED if brows > 0 else _BROW_LOWERED + _BROW_FROWNING)
    return points(_BROW[:, 0], _BROW[:, 1] + down)


def _sided(shape: Points, side: int) -> Points:
    return shape if side > 0 else shape * _MIRROR


def _nose(skin: Colour) -> list[Stroke]:
    return [
        Stroke(_BRIDGE, shade(skin, 0.86), 0.026),
        Stroke(_TIP, shade(skin, 1.05), depth=_NOSE_DEPTH),
        Stroke(_WINGS, shade(skin, 0.7), 0.022, _NOSE_DEPTH),
        *(Stroke(nostril, shade(skin, 0.4), depth=_NOSE_DEPTH) for nostril in _NOSTRILS),
    ]


def _mouth(mouth: float) -> list[Stroke]:
    """Lips around a gap; a wide mouth is narrower, shows teeth and tongue and pulls the lower lip down."""
    opening = min(max(mouth, 0.0), 1.0)
    half = 0.25 - 0.06 * opening
    up, down = 0.012 + 0.13 * opening, 0.012 + 0.36 * opening
    gap = _Lens(0, _MOUTH_Y, half - 0.02, up, down)
    upper_lip = points((half + 0.035) * _ARC_X, _MOUTH_Y - (up + 0.055) * _BOW * _ARC_Y)
    lower_lip = points((half + 0.035) * _ARC_X, _MOUTH_Y + (down + 0.075) * _ARC_Y)
    strokes = [Stroke(np.concatenate([upper_lip, lower_lip[::-1]]), _LIPS), Stroke(gap.outline(), _GAP)]
    if opening > 0.25:
        strokes += [
            Stroke(gap.part(0, _MOUTH_Y + down * 0.8, half * 0.6, down * 0.4), _TONGUE),
            Stroke(gap.part(0, _MOUTH_Y - up, half, up * 0.4), _TEETH),
        ]
    return strokes


def _bent(strokes: list[Stroke], smile: float) -> list[Stroke]:
    """A mouth whose corners are up and apart, or down."""
    if not smile:
        return strokes
    smile = min(max(smile, -1.0), 1.0)
    apart, bend = 1 + 0.25 * max(smile, 0.0), 0.07 * smile

    def bent(flat: Points) -> Points:
        return points(flat[:, 0] * apart, flat[:, 1] - bend * ((flat[:, 0] / _MOUTH_HALF) ** 2 - _MOUTH_STAYS))

    return [stroke._replace(points=bent(stroke.points)) for stroke in strokes]


class _Lens(NamedTuple):
    """Two arcs that meet at (x ± half, y): an eye's slit, a mouth. `up` and `down` are their heights."""

    x: float
    y: float
    half: float
    up: float
    down: float

    def above(self) -> Points:
        return points(self.x + self.half * _ARC_X, self.y - self.up * _ARC_Y)

    def below(self) -> Points:
        return points(self.x + self.half * _ARC_X, self.y + self.down * _ARC_Y)

    def outline(self) -> Points:
        return np.concatenate([self.above(), self.below()[::-1]])

    def part(self, x: float, y: float, a: float, b: float) -> Points:
        """What of the ellipse at (x, y) with half axes `a` and `b` lies inside."""
        left, right = max(x - a, self.x - self.half), min(x + a, self.x + self.half)
        across = left + (right - left) * _ACROSS
        arc = np.sqrt(np.maximum(1 - ((across - self.x) / self.half) ** 2, 0))
        oval_arc = np.sqrt(np.maximum(1 - ((across - x) / a) ** 2, 0))
        top = np.maximum(y - b * oval_arc, self.y - self.up * arc)
        bottom = np.maximum(top, np.minimum(y + b * oval_arc, self.y + self.down * arc))
        return np.concatenate([points(across, top), points(across, bottom)[::-1]])
