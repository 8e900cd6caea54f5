"""Pictures and clocks as no camera should send them: each ends in a number that is true, or in null with its reason."""

import struct
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest

pytest.importorskip("mediapipe", reason="the analyzer's extra is not installed")

import cv2
import numpy as np
from numpy.typing import NDArray

from schemas.events import FrameMetrics
from services.analyzer.evaluation.clips import analyze
from services.analyzer.vision.decode import decode
from services.client.drawn import Look, Pose, draw, draw_jpeg
from services.client.timetable import Timetable
from services.runtime.deadletters import Malformed

Image = NDArray[np.uint8]
LOOK = Look.of(0)
UNMEASURED = ("ear_left", "ear_right", "mar", "eyes_closed", "perclos", "drowsy", "gaze", "yaw_deg", "head_pose")


def drawn(pose: Pose = Pose(), size: tuple[int, int] = (320, 240), grain: int = 0) -> Image:  # noqa: B008
    return draw(pose, size, LOOK, grain)


def encoded(image: Image, *parameters: int) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85, *parameters])[1].tobytes()


def watch(jpegs: Iterable[bytes], every_ms: float = 100) -> list[FrameMetrics]:
    return list(analyze((round(number * every_ms), jpeg) for number, jpeg in enumerate(jpegs)))


def measured(jpeg: bytes) -> FrameMetrics:
    return watch([jpeg] * 4)[-1]


def assert_same_face(seen: FrameMetrics, wanted: FrameMetrics, tolerance_deg: float = 1.0) -> None:
    assert seen.insufficient_reason is None
    for name in ("yaw_deg", "pitch_deg", "roll_deg"):
        assert getattr(seen, name) == pytest.approx(getattr(wanted, name), abs=tolerance_deg)
    assert seen.ear_left == pytest.approx(wanted.ear_left, abs=0.02)


def assert_nothing_measured(seen: FrameMetrics, *reasons: str) -> None:
    assert seen.insufficient_signal
    assert seen.insufficient_reason in reasons
    assert {name for name in UNMEASURED if getattr(seen, name) is not None} == set()
    assert (seen.engagement, seen.engagement_parts) == (None, None)


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """The JPEG with an EXIF segment that holds this orientation and nothing else."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"MM\x00*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
    segment = b"Exif\x00\x00" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


# How a camera stores an upright picture that each orientation then turns upright again.
STORED: dict[int, Callable[[Image], Image]] = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image, 1),
    7: lambda image: image[::-1, ::-1].transpose(1, 0, 2),
    8: lambda image: np.rot90(image, -1),
}


@pytest.mark.parametrize("orientation", STORED)
def test_a_picture_is_measured_as_every_viewer_shows_it(orientation: int) -> None:
    upright = drawn(Pose(yaw_deg=15, roll_deg=8), (640, 480))
    stored = encoded(np.ascontiguousarray(STORED[orientation](upright)))
    assert_same_face(measured(with_orientation(stored, orientation)), measured(encoded(upright)))


def test_the_size_is_that_of_the_upright_picture_at_every_scale() -> None:
    lying = with_orientation(encoded(np.zeros((641, 1283, 3), np.uint8)), 6)
    for face_px, factor in ((None, 2), (100.0, 1), (600.0, 4)):
        picture = decode(lying, face_px)
        assert (picture.width, picture.height) == (641, 1283)
        assert picture.rgb.shape[:2] == (-(-1283 // factor), -(-641 // factor))


@pytest.mark.parametrize(
    "parameters",
    [
        (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        (cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
        (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
        (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440),
    ],
    ids=["progressive", "restarts", "444", "440"],
)
def test_every_way_to_store_a_picture_gives_the_same_face(parameters: tuple[int, ...]) -> None:
    image = drawn(size=(640, 480))
    assert_same_face(measured(encoded(image, *parameters)), measured(encoded(image)))


def test_a_grey_picture_has_a_face_too() -> None:
    image = drawn(size=(640, 480))
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    assert_same_face(measured(encoded(grey)), measured(encoded(image)), tolerance_deg=2)  # type: ignore[arg-type]


@pytest.mark.parametrize("face_px", [None, 300.0])
def test_inks_become_light_at_every_scale(face_px: float | None) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="nothing else writes CMYK here")
    image = drawn(size=(1280, 960))
    from io import BytesIO

    file = BytesIO()
    pillow.fromarray(np.ascontiguousarray(image[:, :, ::-1])).convert("CMYK").save(file, "JPEG", quality=90)
    inks, light = decode(file.getvalue(), face_px).rgb, decode(encoded(image), face_px).rgb
    assert inks.shape == light.shape
    assert np.abs(inks.astype(int) - light).mean() < 4
    assert_same_face(measured(file.getvalue()), measured(encoded(image)))


def test_a_size_that_changes_in_the_middle_leaves_the_measures_as_they_are() -> None:
    sizes = [(320, 240)] * 20 + [(640, 480)] * 20 + [(240, 320)] * 20 + [(1280, 720)] * 20
    seen = watch(encoded(drawn(size=size, grain=number)) for number, size in enumerate(sizes))
    assert [metrics.insufficient_reason for metrics in seen] == [None] * 80
    assert seen[-1].blink_count == 0
    assert {metrics.state for metrics in seen[12:]} == {"engaged"}
    for part, size in (
        (seen[:20], sizes[0]),
        (seen[20:40], sizes[20]),
        (seen[40:60], sizes[40]),
        (seen[60:], sizes[60]),
    ):
        faces_px = [metrics.quality.face_px or 0.0 for metrics in part]
        assert min(faces_px) > 0.35 * size[1]
        assert max(faces_px) < 0.65 * size[1]
        assert max(faces_px) < 1.1 * min(faces_px)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 4096), (4096, 1), (8, 8), (4096, 4096)])
@pytest.mark.parametrize("level", [0, 255])
def test_pictures_of_nothing(size: tuple[int, int], level: int) -> None:
    blank = encoded(np.full((size[1], size[0], 3), level, np.uint8))
    for seen in watch([blank] * 3):
        assert_nothing_measured(seen, "no_face")
        assert (seen.face_present, seen.face_count) == (False, 0)


def test_a_camera_that_goes_black_and_comes_back() -> None:
    black = encoded(np.zeros((240, 320, 3), np.uint8))
    lit = [encoded(drawn(grain=number)) for number in range(30)]
    seen = watch([*lit, *[black] * 20, *lit])
    for metrics in seen[30:50]:
        assert_nothing_measured(metrics, "no_face", "dark")
    assert (seen[49].state, seen[-1].state) == ("absent", "engaged")
    assert (seen[-1].blink_count, seen[-1].insufficient_reason) == (0, None)


@pytest.mark.parametrize("padding", [b"\x00" * 5000, b"\xff" * 40, encoded(np.zeros((8, 8, 3), np.uint8))])
def test_what_follows_a_whole_picture_is_not_looked_at(padding: bytes) -> None:
    jpeg = encoded(drawn())
    assert_same_face(measured(jpeg + padding), measured(jpeg), tolerance_deg=0.01)


@pytest.mark.parametrize("keep", [0, 1, 2, 20, 300, 0.5, 0.99, -1, -2])
@pytest.mark.parametrize("progressive", [0, 1])
def test_a_picture_that_ends_early_is_no_picture(keep: float, progressive: int) -> None:
    jpeg = encoded(drawn(), cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    cut = jpeg[: int(keep * len(jpeg)) if isinstance(keep, float) else keep]
    thumbnail = with_orientation(jpeg, 1)[: len(jpeg) // 2]
    for broken in (cut, cut + b"\x00" * 100, thumbnail):
        with pytest.raises(Malformed):
            decode(broken)


def test_a_thumbnail_that_is_whole_does_not_stand_for_the_picture() -> None:
    jpeg, small = encoded(drawn()), encoded(drawn(size=(80, 60)))
    holding = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(small) + 2) + small + jpeg[2:]
    assert decode(holding).width == 320
    for cut in (len(small) + 10, len(small) + 700, len(holding) - 2):
        with pytest.raises(Malformed):
            decode(holding[:cut])


def student(seed: int, fps: float, seconds: float, start_s: float = 0.0) -> tuple[list[float], list[bytes]]:
    timetable, look = Timetable(seed, 60), Look.of(seed)
    times_s = [start_s + number / fps for number in range(round(seconds * fps))]
    pictures = [draw_jpeg(timetable.pose_at(at_s), look=look, grain=number) for number, at_s in enumerate(times_s)]
    return times_s, pictures


@pytest.mark.parametrize("fps", [60, 25, 7])
def test_the_rate_of_pictures_changes_no_count(fps: float) -> None:
    times_s, pictures = student(4, fps, 27)
    happened = Counter(event.kind for event in Timetable(4, 60).events if event.end_s < times_s[-1] - 0.5)
    seen = list(analyze((round(1000 * at_s), jpeg) for at_s, jpeg in zip(times_s, pictures, strict=True)))
    assert happened["blink"] > 3
    counted = seen[-1].blink_count
    assert counted == happened["blink"] if fps >= 25 else happened["blink"] - 2 <= counted <= happened["blink"]
    assert seen[-1].yawn_count == happened["yawn"] == 1


def test_a_picture_a_second_counts_no_blink_and_tells_the_state() -> None:
    times_s, pictures = student(2, 1, 40)
    seen = list(analyze((round(1000 * at_s), jpeg) for at_s, jpeg in zip(times_s, pictures, strict=True)))
    assert seen[-1].blink_count == 0  # nobody can tell a blink from a closure
    assert "engaged" in {metrics.state for metrics in seen}
    assert not any(metrics.drowsy for metrics in seen)
    for metrics in seen:
        assert metrics.insufficient_signal or metrics.engagement is not None


def test_times_that_all_are_one_give_what_one_picture_can() -> None:
    poses = [Pose()] * 10 + [Pose(eyes=0.0)] * 5 + [Pose()] * 10
    seen = list(analyze((1_000_000, draw_jpeg(pose, grain=number)) for number, pose in enumerate(poses)))
    assert {metrics.blink_count for metrics in seen} == {0}
    assert {metrics.state for metrics in seen} == {"unknown"}
    assert not any(metrics.drowsy for metrics in seen)
    assert {metrics.perclos for metrics in seen} == {None}
    assert seen[-1].yaw_deg == pytest.approx(0, abs=3)


def test_times_that_run_backwards_count_nothing() -> None:
    poses = ([Pose()] * 12 + [Pose(eyes=0.0)] * 2) * 4
    seen = list(analyze((9_000_000 - 100 * number, draw_jpeg(pose)) for number, pose in enumerate(poses)))
    assert (seen[-1].blink_count, seen[-1].yawn_count, seen[-1].perclos) == (0, 0, None)
    assert not any(metrics.drowsy for metrics in seen)


def test_nothing_is_counted_over_an_hour_that_nobody_saw() -> None:
    poses = [Pose()] * 40 + [Pose(eyes=0.0, mouth=1.0)] * 3
    before = [(100 * number, draw_jpeg(pose, grain=number)) for number, pose in enumerate(poses)]
    poses = [Pose(eyes=0.0, mouth=1.0)] * 3 + [Pose()] * 40
    after = [(3_600_000 + 100 * number, draw_jpeg(pose, grain=number)) for number, pose in enumerate(poses)]
    seen = list(analyze([*before, *after]))
    assert (seen[-1].blink_count, seen[-1].yawn_count) == (0, 0)
    assert not any(metrics.drowsy or metrics.yawning for metrics in seen)
    assert seen[-1].state == "engaged"
    assert seen[-1].perclos is None or seen[-1].perclos < 0.2


def test_a_clock_that_hops_by_a_little_loses_no_more_than_what_it_hopped_over() -> None:
    times_s, pictures = student(1, 30, 15)
    hopped_ms = [round(1000 * at_s) - (40 if number >= 200 else 0) for number, at_s in enumerate(times_s)]
    seen = list(analyze(zip(hopped_ms, pictures, strict=True)))
    assert abs(seen[-1].blink_count - Timetable(1, 60).drawn(times_s).blinks) <= 1
    assert seen[-1].state == "engaged"


def filmed_photo(frames: int, noise: float) -> list[bytes]:
    photo, chance = drawn(size=(320, 240)), np.random.default_rng(7)
    return [
        encoded(np.clip(photo + chance.normal(0, noise, photo.shape), 0, 255).astype(np.uint8)) for _ in range(frames)
    ]


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_a_photo_is_noted_as_a_still_and_says_nothing_of_engagement(noise: float) -> None:
    seen = watch(filmed_photo(140, noise))
    assert seen[10].quality.still is None
    last = seen[-1]
    assert (last.quality.still, last.engagement, last.engagement_parts, last.state) == (True, None, None, "unknown")
    assert last.ear_left is not None  # what is in the picture stays measured
    told = [metrics.quality.still for metrics in seen]
    assert all(after or not before for before, after in pairwise(told))  # once noted, it stays


def test_somebody_who_sits_still_is_no_still() -> None:
    times_s, pictures = student(3, 10, 40)
    seen = list(analyze((round(1000 * at_s), jpeg) for at_s, jpeg in zip(times_s, pictures, strict=True)))
    assert not any(metrics.quality.still for metrics in seen)


def test_a_still_that_comes_to_life_is_engaged_again() -> None:
    poses = [Pose(look_x=0.4 * (number // 5 % 2)) for number in range(30)]
    seen = watch([*filmed_photo(100, 2.0), *(encoded(drawn(pose, grain=n)) for n, pose in enumerate(poses))])
    assert (seen[99].quality.still, seen[-1].quality.still) == (True, False)
    assert (seen[99].state, seen[-1].state) == ("unknown", "engaged")
