"""The raised arm of the drawn student: sleeve, wrist and an open hand beside the face, as strokes. Pure; lengths in u.

Its proportions are those of people, so that MediaPipe's pose finds the wrist.
"""

import math

import numpy as np

from services.client.canvas import Points, Stroke
from services.client.pose import Look, Pose, shade

_BELOW = 2.4  # so far down, nothing of it is in the picture
_SHOULDER, _ELBOW, _CUFF, _WRIST, _PALM = (1.15, 1.6), (1.6, 2.1), (1.47, 1.2), (1.45, 0.45), (1.42, 0.03)
_FINGERS = ((-0.19, 0.55), (-0.065, 0.66), (0.065, 0.63), (0.18, 0.5))  # how far from the palm's middle, how long
_KNUCKLES_Y = -0.07
_THUMB = ((1.33, 0.25), (1.07, -0.09))
_ROUND = np.linspace(0.0, math.pi, 9)


def arm(pose: Pose, look: Look) -> list[Stroke]:
    """What to draw over shirt and room, from back to front; nothing while the arm is down."""
    if pose.hand_raised <= 0:
        return []
    sleeve, skin, crease = shade(look.shirt, 0.85), look.skin, shade(look.skin, 0.72)
    strokes = [
        Stroke(_limb(_SHOULDER, _ELBOW, 0.36, 0.32), sleeve),
        Stroke(_limb(_ELBOW, _CUFF, 0.3, 0.22), sleeve),
        Stroke(_limb(_CUFF, _WRIST, 0.2, 0.17), shade(skin, 0.92)),
        Stroke(_limb(_WRIST, _PALM, 0.17, 0.25), skin),
        Stroke(_limb(*_THUMB, 0.08, 0.06), skin),
    ]
    for aside, long in _FINGERS:
        knuckle = (_PALM[0] + aside, _KNUCKLES_Y)
        tip = (_PALM[0] + 1.5 * aside, _KNUCKLES_Y - long)
        strokes.append(Stroke(_limb(knuckle, tip, 0.066, 0.055), skin))
        strokes.append(Stroke(np.array([(knuckle[0] + 0.066, _KNUCKLES_Y), (tip[0] + 0.055, tip[1])]), crease, 0.014))
    side, down = pose.hand_side, _BELOW * (1 - min(pose.hand_raised, 1.0))
    return [stroke._replace(points=stroke.points * (side, 1) + (0, down)) for stroke in strokes]


def _limb(start: tuple[float, float], end: tuple[float, float], start_half: float, end_half: float) -> Points:
    """The outline of something round at both ends, as wide as twice the halves there."""
    x, y = end[0] - start[0], end[1] - start[1]
    long = math.hypot(x, y)
    along, across = np.array((x, y)) / long, np.array((-y, x)) / long
    cap = np.cos(_ROUND)[:, None] * across + np.sin(_ROUND)[:, None] * along
    return np.concatenate([np.array(end) + end_half * cap, np.array(start) - start_half * cap])
