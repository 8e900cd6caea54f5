"""Vision driven by the domain, with faces that are made up."""

import numpy as np
import pytest
from numpy.typing import NDArray

from services.analyzer.domain.faces import Following, Region
from services.analyzer.perceive import find_face
from services.analyzer.vision.port import Picture
from tests.support.faces import face

PICTURE = Picture(np.zeros((240, 320, 3), np.uint8), 320, 240)


class Scene:
    """Faces at places; a face is seen where the region's middle is within half a face of it."""

    def __init__(self, *places: tuple[float, float]) -> None:
        self.places = list(places)
        self.detections = 0
        self.looks = 0

    def detect(self, picture: Picture) -> list[Region]:
        self.detections += 1
        return [Region(x, y, 210) for x, y in self.places]

    def landmarks(self, picture: Picture, region: Region) -> NDArray[np.float32] | None:
        self.looks += 1
        for x, y in self.places:
            if abs(region.x_px - x) < 70 and abs(region.y_px - y) < 70:
                return face(centre=(x, y))
        return None

    def close(self) -> None: ...


def watch(scene: Scene, following: Following, from_ms: int, to_ms: int, every_ms: int = 100) -> Following:
    for now_ms in range(from_ms, to_ms, every_ms):
        following = find_face(PICTURE, following, float(now_ms), scene).following
    return following


def test_a_face_that_stays_is_looked_at_in_each_frame_and_searched_once_a_second() -> None:
    scene = Scene((160, 120))
    following = watch(scene, Following(), 0, 3000)
    assert (scene.looks, scene.detections) == (30, 3)
    assert following.count == 1


def test_a_face_that_moved_too_far_is_found_in_the_same_frame() -> None:
    scene = Scene((80, 120))
    following = watch(scene, Following(), 0, 500)
    scene.places = [(240, 120)]
    found = find_face(PICTURE, following, 500.0, scene)
    assert found.landmarks_px is not None
    assert found.landmarks_px[:468, 0].mean() == pytest.approx(240, abs=12)


def test_an_empty_chair_is_searched_ten_times_a_second_at_most() -> None:
    scene = Scene()
    watch(scene, Following(), 0, 1000, every_ms=20)
    assert (scene.detections, scene.looks) == (10, 0)


def test_of_two_alike_nobody_is_measured_until_one_is_gone() -> None:
    scene = Scene((80, 120), (240, 120))
    found = find_face(PICTURE, Following(), 0.0, scene)
    assert (found.landmarks_px, found.following.several, found.following.count) == (None, True, 2)
    scene.places.pop()
    found = find_face(PICTURE, found.following, 100.0, scene)
    assert found.landmarks_px is not None
    assert (found.following.several, found.following.count) == (False, 1)


def test_the_person_is_followed_when_another_joins_and_leaves() -> None:
    scene = Scene((80, 120))
    following = watch(scene, Following(), 0, 1000)
    scene.places.insert(0, (260, 120))
    found = find_face(PICTURE, following, 1100.0, scene)
    assert found.landmarks_px is not None
    assert found.landmarks_px[:468, 0].mean() == pytest.approx(80, abs=12)
    assert found.following.count == 2
    scene.places.pop(0)
    assert watch(scene, found.following, 1200, 2400).count == 1
