"""Landmarks of a face with known eyes, mouth and head: what the mesh would say, without the mesh."""

from importlib.resources import files
from math import cos, radians, sin

import numpy as np
from numpy.typing import NDArray

EYES = (((33, 160, 158, 133, 153, 144), 468), ((362, 385, 387, 263, 373, 380), 473))
LIP_PAIRS = ((81, 178), (13, 14), (311, 402))
LIP_CORNERS = (78, 308)

_NEUTRAL = np.load(str(files("services.analyzer") / "data" / "neutral_face.npy"))


def rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> NDArray[np.float64]:
    """R_yaw · R_pitch · R_roll with x right, y down, z away; signs as in `schemas.events`."""
    yaw, pitch, roll = -radians(yaw_deg), radians(pitch_deg), -radians(roll_deg)
    about_y = np.array([[cos(yaw), 0, sin(yaw)], [0, 1, 0], [-sin(yaw), 0, cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, cos(pitch), -sin(pitch)], [0, sin(pitch), cos(pitch)]])
    about_z = np.array([[cos(roll), -sin(roll), 0], [sin(roll), cos(roll), 0], [0, 0, 1]])
    turned: NDArray[np.float64] = about_y @ about_x @ about_z
    return turned


def face(
    *,
    ear: float = 0.32,
    mar: float = 0.0,
    yaw_deg: float = 0.0,
    pitch_deg: float = 0.0,
    roll_deg: float = 0.0,
    iris_h: float = 0.0,
    iris_v: float = 0.0,
    face_px: float = 140.0,
    centre: tuple[float, float] = (160.0, 120.0),
) -> NDArray[np.float32]:
    """(478, 3) landmarks in pixels. EAR and MAR are those seen from the front; `iris_*` as shares of half the eye."""
    points = np.zeros((478, 3))
    points[:468] = _NEUTRAL
    for (p1, p2, p3, p4, p5, p6), iris in EYES:
        across = points[p4] - points[p1]
        width = np.hypot(*across[:2])
        for upper, lower, share in ((p2, p6, 0.33), (p3, p5, 0.67)):
            middle = points[p1] + share * across
            half = np.array([0, ear * width / 2, 0])
            points[upper], points[lower] = middle - half, middle + half
        along = across / width
        upward = np.array([along[1], -along[0], 0])
        points[iris : iris + 5] = (points[p1] + points[p4]) / 2 + width / 2 * (iris_h * along + iris_v * upward)
    width = np.hypot(*(points[LIP_CORNERS[1]] - points[LIP_CORNERS[0]])[:2])
    for upper, lower in LIP_PAIRS:
        middle = (points[upper] + points[lower]) / 2
        half = np.array([0, mar * width / 2, 0])
        points[upper], points[lower] = middle - half, middle + half
    height = np.hypot(*(points[152] - points[10])[:2])
    points = points * (face_px / height) @ rotation(yaw_deg, pitch_deg, roll_deg).T
    points[:, :2] += centre
    landmarks: NDArray[np.float32] = points.astype(np.float32)
    return landmarks
