"""MediaPipe's face mesh behind our interface."""

import os

import pytest

pytest.importorskip("mediapipe", reason="the analyzer's extra is not installed")

import numpy as np
from mediapipe.framework.formats.landmark_pb2 import NormalizedLandmark, NormalizedLandmarkList
from mediapipe.python.solutions.face_mesh import FaceMesh

from services.analyzer.vision.decode import decode
from services.analyzer.vision.mesh import LANDMARKS, MediaPipeMesh, load_mediapipe, read_landmarks
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
    points = read_landmarks(landmarks.SerializeToString())
    assert points.dtype == np.float32
    assert points.tolist() == [list(each) for each in slowly(landmarks)]


def test_a_zero_is_read_as_zero() -> None:
    landmarks = message()
    landmarks.landmark[5].x = 0.0
    assert read_landmarks(landmarks.SerializeToString())[5, 0] == 0


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


def test_it_sees_what_mediapipe_says_in_its_own_way() -> None:
    ours, theirs = MediaPipeMesh(), FaceMesh(refine_landmarks=True)
    for number in range(4):
        picture = decode(draw_jpeg(Pose(eyes=number / 4, x=number / 40), look=Look.of(1))).rgb
        assert not picture.flags.writeable
        seen = ours.landmarks(picture)
        (expected,) = theirs.process(picture.copy()).multi_face_landmarks
        assert seen is not None
        assert seen.tolist() == [list(each) for each in slowly(expected)]
    ours.close()
    theirs.close()


def test_a_tracker_that_cannot_open_says_so_and_stderr_is_as_before(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def failing(**_: object) -> None:
        os.write(2, b"something of our own\n")
        raise OSError("no models")

    monkeypatch.setattr("services.analyzer.vision.mesh._tracker_type", lambda: failing)
    with pytest.raises(OSError, match="no models"):
        MediaPipeMesh()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "something of our own\nafter\n"
