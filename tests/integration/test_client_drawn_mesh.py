"""MediaPipe's face mesh tracks the drawn student, and what it sees is what was drawn."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from services.client.drawn import Look, Pose, draw_jpeg
from services.client.timetable import Timetable

mediapipe = pytest.importorskip("mediapipe", reason="the analyzer's extra is not installed")

Mesh = Any

_EYES = ((33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380))
_LIPS = ((81, 178), (13, 14), (311, 402))


@dataclass(frozen=True, slots=True)
class Seen:
    ear: float
    mar: float


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    with mediapipe.solutions.face_mesh.FaceMesh(refine_landmarks=True) as mesh:
        yield mesh


@pytest.mark.parametrize("seed", range(4))
def test_a_minute_of_a_student_is_tracked(mesh: Mesh, seed: int) -> None:
    timetable, look = Timetable(seed, 60), Look.of(seed)
    poses = [timetable.pose_at(number / 10) for number in range(600)]
    seen = [_see(mesh, draw_jpeg(pose, look=look, grain=number)) for number, pose in enumerate(poses)]
    pairs = list(zip(poses, seen, strict=True))

    here = [face for pose, face in pairs if pose.present and abs(pose.x) < 0.1]
    assert sum(face is not None for face in here) >= 0.98 * len(here)
    assert not any(face for pose, face in pairs if not pose.present)
    facing = [(pose, face) for pose, face in pairs if face and abs(pose.yaw_deg) < 10 and abs(pose.x) < 0.1]
    assert min(face.ear for pose, face in facing if pose.eyes == 1) > 0.25
    assert max(face.ear for pose, face in facing if pose.eyes == 0) < 0.1
    assert min((face.mar for pose, face in facing if pose.mouth == 1), default=1) > 0.55  # a yawn is 0.5 and more
    assert max(face.mar for pose, face in facing if pose.mouth == 0) < 0.2


def test_half_shut_lies_between(mesh: Mesh) -> None:
    ears = []
    for eyes in (1.0, 0.5, 0.0):
        faces = [_see(mesh, draw_jpeg(Pose(eyes=eyes), grain=number)) for number in range(5)]
        assert faces[-1]
        ears.append(faces[-1].ear)
    assert ears[0] > ears[1] + 0.05 > ears[2] + 0.1


@pytest.mark.parametrize(("pose", "want"), [(Pose(yaw_deg=20), 20), (Pose(yaw_deg=-20), -20), (Pose(), 0)])
def test_the_turn_of_the_head_is_seen_in_degrees(mesh: Mesh, pose: Pose, want: float) -> None:
    for number in range(5):
        points = _points(mesh, draw_jpeg(pose, grain=number))
    assert points is not None
    across = points[454] - points[234]
    assert np.degrees(np.arctan2(across[2], across[0])) == pytest.approx(want, abs=7)


def _see(mesh: Mesh, jpeg: bytes) -> Seen | None:
    points = _points(mesh, jpeg)
    if points is None:
        return None
    flat = points[:, :2]
    gap = np.mean([_distance(flat, up, down) for up, down in _LIPS])
    return Seen(
        ear=float(np.mean([_eye_aspect_ratio(flat, eye) for eye in _EYES])),
        mar=float(gap / _distance(flat, 78, 308)),
    )


def _points(mesh: Mesh, jpeg: bytes) -> npt.NDArray[np.float64] | None:
    """Landmarks in pixels, (478, 3)."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    faces = mesh.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).multi_face_landmarks
    if not faces:
        return None
    height, width = image.shape[:2]
    return np.array([(point.x * width, point.y * height, point.z * width) for point in faces[0].landmark])


def _eye_aspect_ratio(points: npt.NDArray[np.float64], eye: tuple[int, ...]) -> float:
    outer, up1, up2, inner, down2, down1 = eye
    high = _distance(points, up1, down1) + _distance(points, up2, down2)
    return high / (2 * _distance(points, outer, inner))


def _distance(points: npt.NDArray[np.float64], one: int, other: int) -> float:
    return float(np.linalg.norm(points[one] - points[other]))
