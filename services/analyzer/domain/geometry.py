"""What one frame's landmarks say by themselves, before any memory: eye and mouth openings, iris, head pose.

Landmarks here are (478, 3) in pixels of the frame as sent: x to the right, y down, z away from the camera at x's scale.
Left and right are the image's.
"""

from dataclasses import dataclass
from importlib.resources import as_file, files
from math import asin, atan2, cos, degrees, hypot, radians, sin

import numpy as np
from numpy.typing import NDArray

# Six points per eye in the order p1…p6 of Soukupová & Čech (2016), figure 1: corner, two of the upper lid, corner, two
# of the lower lid. Corners from image left to image right.
_LEFT_EYE = (33, 160, 158, 133, 153, 144)
_RIGHT_EYE = (362, 385, 387, 263, 373, 380)
_LEFT_IRIS, _RIGHT_IRIS = 468, 473
# Inner lips: corners, then upper and lower in three places.
_LIPS = (78, 308, 81, 178, 13, 14, 311, 402)
_FOREHEAD, _CHIN = 10, 152
_BRIDGE = (168, 6)  # of the nose, between the eyes
_POINTS = np.array((*_LEFT_EYE, *_RIGHT_EYE, _LEFT_IRIS, _RIGHT_IRIS, *_BRIDGE, *_LIPS, _FOREHEAD, _CHIN))
_EYES_IRISES_BRIDGE = slice(0, 16)

# What the head pose is fitted to: spread over the whole face, few of each part that moves by itself, none of lids and
# lips. All 468 landmarks take a smile for a nod (2° of pitch, these 1°), the upper face alone a yawn (3 to 5°).
_SIDES = (234, 93, 132, 58, 454, 323, 361, 288)
_BROWS_FOREHEAD = (105, 107, 334, 336, 9, 151, 69, 108, 299, 337)
_CORNERS_NOSE_CHEEKS = (33, 133, 362, 263, 4, 197, 129, 358, 50, 117, 205, 280, 346, 425)
_JAW = (152, 148, 377)
_HEAD = np.array((*_SIDES, *_BROWS_FOREHEAD, *_CORNERS_NOSE_CHEEKS, *_JAW))

# Up to here both eyes tell the gaze alike; further round, the nearer one more and more, from there on it alone.
_BOTH_EYES_YAW_DEG = 15.0
_ONE_EYE_YAW_DEG = 35.0

# Of a camera that nobody knows, in widths of its picture: webcams have 0.7 to 1.0, pictures cut out of them up to 1.5.
_FOCAL_LENGTH = 1.25

Point = list[float]


def _neutral() -> NDArray[np.float32]:
    with as_file(files("services.analyzer") / "data" / "neutral_face.npy") as path:
        face: NDArray[np.float32] = np.load(path, allow_pickle=False)[_HEAD]
    return np.ascontiguousarray((face - face.mean(axis=0)).T)


_NEUTRAL_T = _neutral()  # (3, 35), centred


@dataclass(frozen=True, slots=True)
class Lids:
    """How far the lids are from the line between the eye's corners, over the eye's width. Together they make its EAR;
    apart they tell what moves: the upper one sinks when looking down, the lower one rises in a smile or a squint, and
    both meet when the eye closes."""

    upper: float
    lower: float

    @property
    def opening(self) -> float:
        return self.upper + self.lower


@dataclass(frozen=True, slots=True)
class Geometry:
    """Measures of one frame. Ratios have no unit. Yaw, pitch and roll are those that the camera sees; `bearing_deg` is
    how far to image right of its axis the face is, 0 when the picture's size is not known.

    In the head's own frame, positive to image right and up: `iris_h` and `iris_v` are shares of half the eye's width
    from its middle; `iris_rise` is the irises' height over the nose's bridge, in distances of the eyes' outer corners.

    The EAR of an eye that is not wholly in the picture is None. `lids` are of both eyes; turned sideways, of the nearer
    one: the other is half hidden; None when an eye is not in the picture: of half a face the mesh guesses both."""

    ear_left: float | None
    ear_right: float | None
    lids: Lids | None
    mar: float
    iris_h: float
    iris_v: float
    iris_rise: float
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    face_px: float
    bearing_deg: float

    @property
    def ear(self) -> float:
        """Of the eyes that `lids` are of; 0 without any."""
        return self.lids.opening if self.lids else 0.0


def measure(landmarks_px: NDArray[np.float32], width_px: int = 0, height_px: int = 0) -> Geometry:
    """What one face is, from its (478, 3) landmarks in pixels of the frame as sent, whose size is given if known."""
    rotation = head_rotation(landmarks_px)
    yaw, pitch, roll = angles(rotation)
    chosen = landmarks_px[_POINTS]
    points: list[Point] = chosen.tolist()
    # p = R·(head): points as rows times R are in the head's frame, where turning the head leaves eyes and irises as
    # they are.
    eyes: list[Point] = (chosen[_EYES_IRISES_BRIDGE] @ rotation).tolist()
    left_seen = not width_px or _within(points[0:6], width_px, height_px)
    right_seen = not width_px or _within(points[6:12], width_px, height_px)
    left_h, left_v = _iris(eyes[0], eyes[3], eyes[12])
    right_h, right_v = _iris(eyes[6], eyes[9], eyes[13])
    left = _weight_of_left(yaw)
    return Geometry(
        ear_left=eye_aspect_ratio(eyes[0:6]) if left_seen else None,
        ear_right=eye_aspect_ratio(eyes[6:12]) if right_seen else None,
        lids=_mean_lids(eyes[0:6], eyes[6:12], _near_left(yaw)) if left_seen and right_seen else None,
        mar=mouth_aspect_ratio(points[16:24]),
        iris_h=left * left_h + (1 - left) * right_h,
        iris_v=left * left_v + (1 - left) * right_v,
        iris_rise=_iris_rise(eyes),
        yaw_deg=yaw,
        pitch_deg=pitch,
        roll_deg=roll,
        face_px=_distance(points[24], points[25]),
        bearing_deg=_bearing_deg(points, width_px, height_px) if width_px else 0.0,
    )


def eye_aspect_ratio(eye: list[Point]) -> float:
    """Height over width: (|p2−p6| + |p3−p5|) / (2 |p1−p4|). Soukupová & Čech 2016, equation 1. 0 without a width."""
    width = _distance(eye[0], eye[3])
    return (_distance(eye[1], eye[5]) + _distance(eye[2], eye[4])) / (2 * width) if width else 0.0


def lids_of(eye: list[Point]) -> Lids:
    """Mean distance of the upper and of the lower lid's points from the line p1–p4, over its length. 0 without one."""
    (x, y, *_), (end_x, end_y, *_) = eye[0], eye[3]
    along_x, along_y = end_x - x, end_y - y
    square = along_x * along_x + along_y * along_y
    if not square:
        return Lids(0.0, 0.0)
    below = [((point[1] - y) * along_x - (point[0] - x) * along_y) / square for point in eye]
    return Lids(-(below[1] + below[2]) / 2, (below[4] + below[5]) / 2)


def _mean_lids(left_eye: list[Point], right_eye: list[Point], near_left: float) -> Lids:
    left, right = lids_of(left_eye), lids_of(right_eye)
    return Lids(
        near_left * left.upper + (1 - near_left) * right.upper, near_left * left.lower + (1 - near_left) * right.lower
    )


def mouth_aspect_ratio(lips: list[Point]) -> float:
    """Mean height of the inner lips in three places over the distance of their corners. 0 without a width."""
    width = _distance(lips[0], lips[1])
    height = _distance(lips[2], lips[3]) + _distance(lips[4], lips[5]) + _distance(lips[6], lips[7])
    return height / (3 * width) if width else 0.0


def head_rotation(landmarks_px: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rotation from the neutral face to this one, (3, 3): Kabsch 1976, over 35 landmarks.

    The neutral face is centred, so that the landmarks need not be: their mean falls out of the product.
    """
    u, _, vt = np.linalg.svd(_NEUTRAL_T @ landmarks_px[_HEAD])
    rotation: NDArray[np.float32] = (u @ vt).T
    if _determinant(rotation.tolist()) < 0:  # the best fit would be a mirror image; take the best rotation
        vt[2] = -vt[2]
        rotation = (u @ vt).T
    return rotation


def angles(rotation: NDArray[np.float32]) -> tuple[float, float, float]:
    """Yaw, pitch, roll in degrees, as R = R_yaw · R_pitch · R_roll; signs as in `schemas.events`."""
    r = rotation.tolist()
    return (
        degrees(atan2(-r[0][2], r[2][2])),
        degrees(asin(max(-1.0, min(1.0, -r[1][2])))),
        degrees(atan2(-r[1][0], r[1][1])),
    )


def rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> NDArray[np.float32]:
    """The (3, 3) rotation that has these `angles`."""
    yaw, pitch, roll = radians(yaw_deg), radians(pitch_deg), radians(roll_deg)
    cy, sy, cp, sp, cr, sr = cos(yaw), sin(yaw), cos(pitch), sin(pitch), cos(roll), sin(roll)
    return np.array(
        (
            (cy * cr + sy * sp * sr, cy * sr - sy * sp * cr, -sy * cp),
            (-cp * sr, cp * cr, -sp),
            (sy * cr - cy * sp * sr, sy * sr + cy * sp * cr, cy * cp),
        ),
        np.float32,
    )


def _iris(corner_left: Point, corner_right: Point, iris: Point) -> tuple[float, float]:
    across_x, across_y = corner_right[0] - corner_left[0], corner_right[1] - corner_left[1]
    off_x = iris[0] - (corner_left[0] + corner_right[0]) / 2
    off_y = iris[1] - (corner_left[1] + corner_right[1]) / 2
    scale = (across_x * across_x + across_y * across_y) / 2  # half the width times the width: normalises twice
    if not scale:
        return 0.0, 0.0
    return (off_x * across_x + off_y * across_y) / scale, (off_x * across_y - off_y * across_x) / scale


def _iris_rise(eyes: list[Point]) -> float:
    """Of both eyes, their bridge last."""
    apart = _distance(eyes[0], eyes[9])
    return (eyes[14][1] + eyes[15][1] - eyes[12][1] - eyes[13][1]) / (2 * apart) if apart else 0.0


def _weight_of_left(yaw_deg: float) -> float:
    """Weight of the image-left eye in the gaze, 0..1."""
    further = max(0.0, abs(yaw_deg) - _BOTH_EYES_YAW_DEG) / (_ONE_EYE_YAW_DEG - _BOTH_EYES_YAW_DEG)
    share = 0.5 * min(1.0, further)
    return 0.5 + (share if yaw_deg > 0 else -share)


def _bearing_deg(points: list[Point], width_px: int, height_px: int) -> float:
    """Of the middle between the outer corners of eyes and mouth, which stays in the face's middle when it turns."""
    x_px = (points[0][0] + points[9][0] + points[16][0] + points[17][0]) / 4
    return degrees(atan2(x_px - width_px / 2, _FOCAL_LENGTH * max(width_px, height_px)))


def _determinant(m: list[list[float]]) -> float:
    (a, b, c), (d, e, f), (g, h, i) = m
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def _near_left(yaw_deg: float) -> float:
    """Weight of the image-left eye, 0..1. A face turned to image right shows its image-left side."""
    return max(0.0, min(1.0, 0.5 + yaw_deg / 40))


def _within(points: list[Point], width_px: int, height_px: int) -> bool:
    return all(0 <= x <= width_px and 0 <= y <= height_px for x, y, _ in points)


def _distance(a: Point, b: Point) -> float:
    return hypot(a[0] - b[0], a[1] - b[1])
