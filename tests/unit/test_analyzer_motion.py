"""What counts as motion beside and below a face, shown with the drawn student."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from services.analyzer.domain.faces import Region
from services.analyzer.vision.motion import Glimpse, changed, glimpse
from services.analyzer.vision.port import Picture
from services.client.drawn import SIZE, Look, Pose, draw, encode_jpeg
from tests.support.drawn import face_region

Image = NDArray[np.uint8]
Change = Callable[[Image], Image]


def picture(pose: Pose, *, look: Look | None = None, size: tuple[int, int] = SIZE, grain: int = 0) -> Image:
    return draw(pose, size, look, grain)


def seen(image: Image, quality: int = 70) -> Picture:
    """As it comes out of a camera's JPEG."""
    decoded = cv2.imdecode(np.frombuffer(encode_jpeg(image, quality), np.uint8), cv2.IMREAD_COLOR)
    return Picture(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), image.shape[1], image.shape[0])  # type: ignore[arg-type]


def looked(pose: Pose, *, look: Look | None = None, size: tuple[int, int] = SIZE) -> Glimpse:
    before = glimpse(seen(picture(pose, look=look, size=size)), face_region(pose, size))
    assert before is not None
    return before


def moved(before: Pose, after: Pose, *, look: Look | None = None, size: tuple[int, int] = SIZE) -> bool:
    now = seen(picture(after, look=look, size=size, grain=1))
    return changed(looked(before, look=look, size=size), now, face_region(after, size))


@pytest.mark.parametrize("size", [SIZE, (320, 180), (640, 480)])
@pytest.mark.parametrize("scale", [1.0, 0.4])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_hand_that_goes_up_or_down(size: tuple[int, int], scale: float, side: int) -> None:
    down, up = Pose(scale=scale), Pose(scale=scale, hand_raised=1, hand_side=side)
    for seed in range(2):
        assert moved(down, up, look=Look.of(seed), size=size)
        assert moved(up, down, look=Look.of(seed), size=size)


@pytest.mark.parametrize(
    "after",
    [
        Pose(),
        Pose(eyes=0),
        Pose(mouth=1),
        Pose(look_x=1),
        Pose(yaw_deg=25),
        Pose(pitch_deg=15),
        Pose(roll_deg=3),
        Pose(x=0.012, y=0.008),
        Pose(scale=1.02),
    ],
    ids=str,
)
def test_what_a_face_does_is_no_hand(after: Pose) -> None:
    for seed in range(2):
        assert not moved(Pose(), after, look=Look.of(seed))


def brighter(factor: float) -> Change:
    return lambda image: np.clip(image * factor, 0, 255).astype(np.uint8)


def tinted(image: Image) -> Image:
    tinted: Image = np.clip(image * np.array((0.85, 1.0, 1.15)), 0, 255).astype(np.uint8)
    return tinted


def flickering(image: Image) -> Image:
    """Mains light and a rolling shutter: bands, 15 % brighter and darker."""
    rows = 1 + 0.15 * np.sin(np.arange(image.shape[0]) / image.shape[0] * 4 * np.pi)
    banded: Image = np.clip(image * rows[:, None, None], 0, 255).astype(np.uint8)
    return banded


def noisy(deviation: float) -> Change:
    def change(image: Image) -> Image:
        noise = np.random.default_rng(3).normal(0, deviation, image.shape)
        noised: Image = np.clip(image + noise, 0, 255).astype(np.uint8)
        return noised

    return change


@pytest.mark.parametrize(
    "change",
    [brighter(0.6), brighter(0.85), brighter(1.2), brighter(1.4), tinted, flickering, noisy(12), noisy(25)],
    ids=["0.6", "0.85", "1.2", "1.4", "tinted", "flickering", "noise of 12", "noise of 25"],
)
def test_light_and_noise_are_no_hand_and_hide_none(change: Change) -> None:
    up = Pose(hand_raised=1)
    for seed in range(2):
        look = Look.of(seed)
        before = looked(Pose(), look=look)
        assert not changed(before, seen(change(picture(Pose(), look=look, grain=1))), face_region(Pose()))
        assert changed(before, seen(change(picture(up, look=look, grain=1))), face_region(up))


def test_a_coarse_jpeg_is_no_hand() -> None:
    assert not changed(looked(Pose()), seen(picture(Pose(), grain=1), quality=25), face_region(Pose()))


@pytest.mark.parametrize("levels", [12, 20])
def test_a_hand_before_a_wall_of_nearly_its_colour(levels: int) -> None:
    look = Look()
    wall = tuple(part - levels for part in look.skin)
    similar = Look(skin=look.skin, shirt=wall, room=wall)  # type: ignore[arg-type]
    assert moved(Pose(), Pose(hand_raised=1), look=similar)


def test_what_is_smaller_than_a_fist_is_no_hand() -> None:
    """A cup that is put down beside the face, a quarter of it wide and high."""
    image = picture(Pose(), grain=1)
    side = round(face_region(Pose()).face_px / 4)
    image[60 : 60 + side, 30 : 30 + side] = 255 - image[60 : 60 + side, 30 : 30 + side]
    assert not changed(looked(Pose()), seen(image), face_region(Pose()))
    image[60 : 60 + 2 * side, 30 : 30 + 2 * side] = 0
    assert changed(looked(Pose()), seen(image), face_region(Pose()))


def test_a_mirror_changes_nothing() -> None:
    for after in (Pose(), Pose(hand_raised=1), Pose(hand_raised=0.3), Pose(yaw_deg=25)):
        before = glimpse(_mirrored(seen(picture(Pose()))), face_region(Pose()))
        assert before is not None
        assert changed(before, _mirrored(seen(picture(after, grain=1))), face_region(after)) == moved(Pose(), after)


def test_the_scale_that_a_jpeg_was_decoded_at_does_not_matter() -> None:
    before = looked(Pose(), size=(640, 480))
    for pose, wanted in ((Pose(), False), (Pose(hand_raised=1), True)):
        whole = seen(picture(pose, size=(640, 480), grain=1))
        half = Picture(cv2.resize(whole.rgb, (320, 240), interpolation=cv2.INTER_AREA), 640, 480)  # type: ignore[arg-type]
        assert changed(before, half, face_region(pose, (640, 480))) is wanted


def test_who_sits_elsewhere_or_sends_another_size_is_another_picture() -> None:
    before, same = looked(Pose()), seen(picture(Pose()))
    assert not changed(before, same, face_region(Pose()))
    assert changed(before, same, face_region(Pose(x=0.3)))
    assert changed(before, Picture(same.rgb, 640, 480), face_region(Pose()))


def test_a_face_that_fills_the_picture_or_is_at_its_edge() -> None:
    image = seen(picture(Pose()))
    assert glimpse(image, Region(160, 120, 3000)) is None
    for region in (Region(0, 0, 200), Region(320, 240, 200), Region(-500, 120, 200)):
        before = glimpse(image, region)
        assert before is None or not changed(before, image, region)


def _mirrored(picture: Picture) -> Picture:
    return Picture(np.ascontiguousarray(picture.rgb[:, ::-1]), picture.width, picture.height)
