"""MediaPipe's detector and face mesh behind our interface."""

import os
from collections.abc import Iterator

import pytest

pytest.importorskip("mediapipe", reason="the analyzer's extra is not installed")

import numpy as np
from mediapipe.framework.formats.landmark_pb2 import NormalizedLandmark, NormalizedLandmarkList
from mediapipe.python.solutions.face_mesh import FaceMesh

from services.analyzer.domain.faces import Following, Region
from services.analyzer.perceive import find_face
from services.analyzer.vision.decode import decode
from services.analyzer.vision.faces import MediaPipeFaces, read_landmarks
from services.analyzer.vision.graph import _mediapipe, load_mediapipe
from services.analyzer.vision.port import LANDMARKS, Picture
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


@pytest.fixture(scope="module")
def vision() -> Iterator[MediaPipeFaces]:
    vision = MediaPipeFaces()
    yield vision
    vision.close()


def test_it_finds_a_drawn_face_and_none_where_there_is_none(capfd: pytest.CaptureFixture[str]) -> None:
    load_mediapipe()
    vision = MediaPipeFaces()
    empty = Picture(np.full((240, 320, 3), 128, np.uint8), 320, 240)
    assert vision.detect(empty) == []
    assert vision.landmarks(empty, Region(160, 120, 150)) is None
    picture = decode(draw_jpeg(Pose(), look=Look.of(0)))
    (region,) = vision.detect(picture)
    assert 100 < region.side_px < 240
    seen = vision.landmarks(picture, region)
    assert seen is not None
    assert seen.shape == (LANDMARKS, 3)
    assert 64 < seen[:, 0].min() < seen[:, 0].max() < 256
    vision.close()
    assert capfd.readouterr().err == ""  # its C++ code chats


def test_two_faces_are_two_regions_and_each_has_its_own_landmarks(vision: MediaPipeFaces) -> None:
    one, other = (decode(draw_jpeg(Pose(), look=Look.of(seed))).rgb for seed in (0, 1))
    both = Picture(np.ascontiguousarray(np.hstack((one, other))), 640, 240)
    regions = sorted(vision.detect(both), key=lambda region: region.x_px)
    assert len(regions) == 2
    left, right = (vision.landmarks(both, region) for region in regions)
    assert left is not None
    assert right is not None
    assert left[:, 0].max() < 320 < right[:, 0].min()


def test_places_are_pixels_of_the_frame_as_sent_whatever_the_scale(vision: MediaPipeFaces) -> None:
    whole = decode(draw_jpeg(Pose(), size=(640, 480), look=Look.of(0)))
    small = decode(draw_jpeg(Pose(), size=(640, 480), look=Look.of(0)), face_px=300)
    assert small.rgb.shape == (240, 320, 3)
    regions = [vision.detect(picture)[0] for picture in (whole, small)]
    assert regions[0].x_px == pytest.approx(regions[1].x_px, abs=6)
    assert regions[0].side_px == pytest.approx(regions[1].side_px, rel=0.05)
    seen = [vision.landmarks(picture, regions[0]) for picture in (whole, small)]
    assert seen[0] is not None
    assert seen[1] is not None
    assert np.abs(seen[0] - seen[1])[:, :2].mean() < 2


def test_following_by_region_sees_what_mediapipes_own_tracker_sees(vision: MediaPipeFaces) -> None:
    tracker, following = FaceMesh(refine_landmarks=True), Following()
    for number in range(6):
        picture = decode(draw_jpeg(Pose(eyes=number / 6, x=number / 40), look=Look.of(1)))
        face = find_face(picture, following, 100.0 * number, vision)
        following = face.following
        (expected,) = tracker.process(picture.rgb.copy()).multi_face_landmarks
        assert face.landmarks_px is not None
        apart = np.abs(face.landmarks_px - np.array(slowly(expected)) * (320, 240, 320))
        assert apart.max() < 0.2  # rounding only: the mesh itself scatters more from frame to frame
    tracker.close()


def test_a_graph_that_cannot_open_says_so_and_stderr_is_as_before(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def failing(**_: object) -> None:
        os.write(2, b"something of our own\n")
        raise OSError("no models")

    monkeypatch.setattr(_mediapipe(), "CalculatorGraph", failing)
    with pytest.raises(OSError, match="no models"):
        MediaPipeFaces()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "something of our own\nafter\n"
