"""How clear a picture is: of drawn eyes that are blurred, darkened, noisy, tilted, far away."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from schemas.events import InsufficientReason
from services.analyzer.domain.faces import Region
from services.analyzer.domain.quality import BLURRED_PERCENT, FAINT_LEVELS, Clarity, insufficient, look_due
from services.analyzer.vision.port import Picture
from services.analyzer.vision.probe import probe
from services.client.drawn import Look, Pose, draw
from tests.support.faces import face

Image = NDArray[np.uint8]
SIZE = (320, 240)
# Where the drawn student's face is in a frame of that size: landmarks good enough to say where the eyes are.
FACE = face(face_px=123, centre=(160, 125))
RNG = np.random.default_rng(5)


def eyes(scale: float = 1.0, closed: float = 1.0, change: Callable[[Image], Image] = lambda image: image) -> Clarity:
    size = (round(SIZE[0] * scale), round(SIZE[1] * scale))
    image = change(draw(Pose(eyes=closed), size, look=Look.of(0)))
    seen = probe(Picture(image[:, :, ::-1], *size), FACE * np.float32(scale), 0.0)
    assert seen is not None
    return seen


def blurred(sigma_px: float) -> Callable[[Image], Image]:
    return lambda image: cv2.GaussianBlur(image, (0, 0), sigma_px)  # type: ignore[return-value]


def noisy(deviation: float, gain: float = 1.0) -> Callable[[Image], Image]:
    return lambda image: np.clip(image * gain + RNG.normal(0, deviation, image.shape), 0, 255).astype(np.uint8)


def reason(clarity: Clarity) -> str | None:
    return insufficient(120.0, clarity, 0.0, 0.0)


@pytest.mark.parametrize("closed", [1.0, 0.5, 0.0])
def test_a_sharp_face_is_sharp_with_its_eyes_open_and_closed(closed: float) -> None:
    assert eyes(closed=closed).blur > 3 * BLURRED_PERCENT


def test_blur_lowers_it_step_by_step() -> None:
    levels = [eyes(change=blurred(sigma)).blur for sigma in (0.5, 1.5, 3.0, 5.0)]
    assert levels == sorted(levels, reverse=True)
    assert reason(eyes(change=blurred(1.0))) is None
    assert reason(eyes(change=blurred(5.0))) == "blurred"


def test_noise_does_not_make_a_blurred_face_sharp() -> None:
    assert reason(eyes(change=lambda image: noisy(12)(blurred(5.0)(image)))) == "blurred"
    assert reason(eyes(change=noisy(8))) is None


@pytest.mark.parametrize("axis", [0, 1])
def test_movement_that_blurs_in_one_direction_is_blur(axis: int) -> None:
    def move(image: Image) -> Image:
        return cv2.filter2D(image, -1, kernel)  # type: ignore[return-value]

    kernel = np.zeros((31, 31), np.float32)
    kernel[(15, slice(None)) if axis else (slice(None), 15)] = 1 / 31
    assert reason(eyes(change=move)) == "blurred"


def test_darkness_is_what_takes_the_contrast_away() -> None:
    assert reason(eyes(change=noisy(1, gain=0.3))) is None
    dark = eyes(change=noisy(1, gain=0.06))
    assert (reason(dark), dark.contrast < FAINT_LEVELS) == ("dark", True)
    fog = eyes(change=lambda image: noisy(1, gain=0.06)(image) + np.uint8(160))
    assert reason(fog) == "blurred"


@pytest.mark.parametrize("quality", [90, 50, 30])
def test_compression_is_no_blur(quality: int) -> None:
    def compress(image: Image) -> Image:
        encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return cv2.imdecode(encoded, cv2.IMREAD_COLOR)  # type: ignore[return-value]

    assert reason(eyes(change=compress)) is None


def test_it_says_the_same_at_every_scale() -> None:
    near, far = eyes(2.0), eyes(0.6)
    assert near.contrast == pytest.approx(eyes().contrast, rel=0.15)
    assert near.brightness == pytest.approx(far.brightness, rel=0.1)
    assert far.blur > 3 * BLURRED_PERCENT
    assert near.blur == pytest.approx(eyes().blur, rel=0.6)


def test_a_picture_that_was_scaled_down_has_the_same_eyes() -> None:
    large = draw(Pose(), (640, 480), look=Look.of(0))[:, :, ::-1]
    whole = probe(Picture(large, 640, 480), FACE * np.float32(2), 0.0)
    half = probe(Picture(large[::2, ::2], 640, 480), FACE * np.float32(2), 0.0)
    assert whole is not None
    assert half is not None
    assert half.contrast == pytest.approx(whole.contrast, rel=0.1)


@pytest.mark.parametrize("moved", [(-170.0, 0.0), (170.0, 0.0), (0.0, -120.0), (0.0, 150.0)])
def test_eyes_beyond_the_edge_are_not_measured(moved: tuple[float, float]) -> None:
    away = FACE + np.array((*moved, 0), np.float32)
    assert probe(Picture(draw(Pose(), SIZE), *SIZE), away, 0.0) is None


@pytest.mark.parametrize("face_px", [0.0, 1.0, 5.0])
def test_a_speck_of_a_face_does_not_break_it(face_px: float) -> None:
    speck = face(face_px=face_px)
    clarity = probe(Picture(np.zeros((240, 320, 3), np.uint8), *SIZE), speck, 0.0)
    assert clarity is not None
    assert insufficient(face_px, clarity, 0, 0) == "face_small"


@pytest.mark.parametrize(
    ("face_px", "clarity", "yaw_deg", "reason"),
    [
        (46.0, Clarity(40, 100, 120), 0.0, "face_small"),
        (100.0, Clarity(40, 21, 30), 0.0, "dark"),
        (100.0, Clarity(5.2, 100, 120), 0.0, "blurred"),
        (100.0, Clarity(40, 100, 120), -53.0, "turned_away"),
    ],
)
def test_what_hovers_at_a_limit_does_not_flicker(
    face_px: float, clarity: Clarity, yaw_deg: float, reason: InsufficientReason
) -> None:
    assert insufficient(face_px, clarity, yaw_deg, 0.0) is None
    assert insufficient(face_px, clarity, yaw_deg, 0.0, before=reason) == reason
    assert insufficient(face_px, clarity, yaw_deg, 0.0, before="no_face") is None


HERE = Region(160, 120, 180)
CLEAR = Clarity(40, 100, 120, looked_at_ms=1000.0)


@pytest.mark.parametrize(
    ("last", "before", "now_ms", "due"),
    [
        (None, HERE, 1100, True),
        (CLEAR, HERE, 1100, False),
        (CLEAR, HERE, 1300, True),
        (CLEAR, HERE, 900, True),  # a clock that went back
        (CLEAR, Region(190, 120, 180), 1100, True),  # moved, and may be smeared
        (CLEAR, Region(160, 150, 180), 1100, True),
        (CLEAR, None, 1100, True),
        (Clarity(2, 100, 120, 1000.0), HERE, 1033, True),  # to see at once when it is over
    ],
)
def test_when_to_look_again(last: Clarity | None, before: Region | None, now_ms: float, *, due: bool) -> None:
    assert look_due(last, before, HERE, now_ms) is due
