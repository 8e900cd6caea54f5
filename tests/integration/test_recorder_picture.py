"""JPEGs of every kind become pictures of the recording's size and range; damaged ones are refused by name."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from services.recorder.picture import JpegDecoder, Undecodable, fit, recording_size

GREY = 200


def grey(width: int, height: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), GREY, np.uint8)


def jpeg(picture: NDArray[np.uint8], *parameters: int) -> bytes:
    return cv2.imencode(".jpg", picture, list(parameters))[1].tobytes()


def luma(content: bytes, width: int, height: int) -> NDArray[np.uint8]:
    fitted = fit(JpegDecoder().decode(content), width, height)
    assert (fitted.width, fitted.height, fitted.format.name) == (width, height, "yuv420p")
    plane = fitted.planes[0]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:height, :width]


@pytest.mark.parametrize(
    "parameters",
    [
        (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420),
        (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422),
        (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440),
        (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
        (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    ],
)
def test_grey_levels_are_narrowed_to_the_range_of_players(parameters: tuple[int, ...]) -> None:
    levels = luma(jpeg(grey(64, 48), *parameters), 64, 48)
    assert np.abs(levels.astype(int) - round(16 + GREY * 219 / 255)).max() <= 1


def test_a_greyscale_jpeg_has_no_colour() -> None:
    fitted = fit(JpegDecoder().decode(jpeg(grey(64, 48)[:, :, 0])), 64, 48)
    assert [int(np.frombuffer(memoryview(plane), np.uint8)[0]) for plane in fitted.planes] == [188, 128, 128]


def test_colours_stay_what_they_are() -> None:
    picture = np.full((48, 64, 3), (200, 60, 30), np.uint8)
    seen = fit(JpegDecoder().decode(jpeg(picture)), 64, 48).to_ndarray(format="bgr24")
    assert np.abs(seen.astype(int) - picture).max() <= 6


@pytest.mark.parametrize(("width", "height"), [(321, 241), (17, 33), (641, 480)])
def test_odd_sizes_lose_their_last_row_and_column(width: int, height: int) -> None:
    size = recording_size(width, height)
    assert size == (width // 2 * 2, height // 2 * 2)
    assert luma(jpeg(grey(width, height)), *size).min() > 180


@pytest.mark.parametrize(
    ("first", "size"), [((1, 1), (16, 16)), ((4096, 4096), (1920, 1920)), ((3840, 2160), (1920, 1080))]
)
def test_sizes_stay_within_bounds(first: tuple[int, int], size: tuple[int, int]) -> None:
    assert recording_size(*first) == size


@pytest.mark.parametrize(
    ("given", "bars"), [((640, 480), (0, 0)), ((240, 320), (70, 0)), ((320, 120), (0, 60)), ((1, 1), (40, 0))]
)
def test_another_size_is_scaled_into_the_middle(given: tuple[int, int], bars: tuple[int, int]) -> None:
    levels = luma(jpeg(grey(*given)), 320, 240)
    left, top = bars
    assert levels[120, 160] == pytest.approx(188, abs=2)
    assert levels[top + 2 : 238 - top, left + 2 : 318 - left].min() > 180
    if left:
        assert levels[:, : left - 2].max() == 16
        assert levels[:, 322 - left :].max() == 16
    if top:
        assert levels[: top - 2].max() == 16
        assert levels[242 - top :].max() == 16


@pytest.mark.parametrize("cut", [1, 2, 10, 200])
def test_a_jpeg_that_ends_early_is_refused(cut: int) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    decoder = JpegDecoder()
    with pytest.raises(Undecodable):
        decoder.decode(jpeg(noise)[:-cut])
    assert decoder.decode(jpeg(noise)).width == 64


@pytest.mark.parametrize("content", [b"", b"\xff\xd8", b"GIF89a", b"\xff\xd8\xff\xd9", b"\x00" * 100])
def test_what_is_no_jpeg_is_refused(content: bytes) -> None:
    with pytest.raises(Undecodable):
        JpegDecoder().decode(content)


@pytest.mark.parametrize("padding", [b"\x00" * 5000, b"\xff" * 300, jpeg(grey(8, 8))])
def test_what_follows_the_end_of_the_image_is_not_looked_at(padding: bytes) -> None:
    assert JpegDecoder().decode(jpeg(grey(64, 48)) + padding).width == 64


def test_damage_in_the_middle_is_refused() -> None:
    content = bytearray(jpeg(np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)))
    content[5_000:5_400] = np.random.default_rng(1).integers(0, 255, 400, np.uint8).tobytes()
    with pytest.raises(Undecodable):
        JpegDecoder().decode(bytes(content))
