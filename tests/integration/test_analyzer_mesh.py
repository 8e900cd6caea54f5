"""MediaPipe's face mesh behind our interface."""

import pytest

pytest.importorskip("mediapipe", reason="the analyzer's extra is not installed")

import numpy as np
from mediapipe.framework.formats.landmark_pb2 import NormalizedLandmark, NormalizedLandmarkList

from services.analyzer.decode import decode
from services.analyzer.mesh import LANDMARKS, MediaPipeMesh, load_mediapipe, read_landmarks
from services.client.drawn import Look, Pose, draw_jpeg


def message(count: int = LANDMARKS, **more: float) -> NormalizedLandmarkList:
    numbers = np.random.default_rng(3).normal(0.5, 0.3, (count, 3))
    return NormalizedLandmarkList(landmark=[NormalizedLandmark(x=x, y=y, z=z, **more) for x, y, z in numbers])


def slowly(landmarks: NormalizedLandmarkList) -> list[tuple[float, float, float]]:
    return [(point.x, point.y, point.z) for point in landmarks.landmark]


@pytest.mark.parametrize(
    "landmarks",
    [message(), message(count=468), message(visibility=0.5), message(count=0)],
    ids=["as the mesh gives them", "without irises", "with another field", "none"],
)
def test_landmarks_are_read_as_they_are(landmarks: NormalizedLandmarkList) -> None:
    points = read_landmarks(landmarks)
    assert points.dtype == np.float32
    assert points.tolist() == [list(each) for each in slowly(landmarks)]


def test_a_zero_is_read_as_zero() -> None:
    landmarks = message()
    landmarks.landmark[5].x = 0.0
    assert read_landmarks(landmarks)[5, 0] == 0


def test_it_finds_a_drawn_face_and_none_where_there_is_none(capfd: pytest.CaptureFixture[str]) -> None:
    load_mediapipe()
    mesh = MediaPipeMesh()
    assert mesh.landmarks(np.full((240, 320, 3), 128, np.uint8)) is None
    seen = mesh.landmarks(decode(draw_jpeg(Pose(), look=Look.of(0))).rgb)
    assert seen is not None
    assert seen.shape == (LANDMARKS, 3)
    assert 0.2 < seen[:, 0].min() < seen[:, 0].max() < 0.8
    mesh.close()
    assert capfd.readouterr().err == ""  # its C++ code chats


def test_two_sessions_do_not_mix() -> None:
    one, other = MediaPipeMesh(), MediaPipeMesh()
    left, right = (decode(draw_jpeg(Pose(x=x), look=Look.of(0))).rgb for x in (-0.1, 0.1))
    for _ in range(3):
        at_left, at_right = one.landmarks(left), other.landmarks(right)
    assert at_left is not None
    assert at_right is not None
    assert at_left[:, 0].mean() < at_right[:, 0].mean() - 0.1
    one.close()
    other.close()
