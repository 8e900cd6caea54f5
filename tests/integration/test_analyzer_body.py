"""Raised hands as MediaPipe's pose sees them, in drawn students and in clips, and how often it is asked."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from schemas.events import FrameMetrics
from services.analyzer.domain.body import Body
from services.analyzer.domain.faces import Region
from services.analyzer.domain.hands import Hands, see
from services.analyzer.evaluation.clips import analyze, clip_frames
from services.analyzer.vision.port import Picture
from services.client.drawn import SIZE, Look, Pose, draw, draw_jpeg
from services.client.timetable import Timetable
from tests.support.drawn import face_region
from tests.support.needs import clip

pytest.importorskip("mediapipe", reason="the analyzer's extra is not installed")

from services.analyzer.vision.body import MediaPipeBody


@pytest.fixture(scope="module")
def bodies() -> Iterator[MediaPipeBody]:
    vision = MediaPipeBody()
    yield vision
    vision.close()


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Region]:
    """Where the body was looked for, look by look."""
    asked: list[Region] = []
    look = MediaPipeBody.body

    def counted(self: MediaPipeBody, picture: Picture, face: Region) -> Body | None:
        asked.append(face)
        return look(self, picture, face)

    monkeypatch.setattr(MediaPipeBody, "body", counted)
    return asked


def drawn(pose: Pose, size: tuple[int, int], seed: int) -> tuple[Picture, Region]:
    width, height = size
    rgb: NDArray[np.uint8] = np.ascontiguousarray(draw(pose, size, Look.of(seed), seed)[:, :, ::-1])
    return Picture(rgb, width, height), face_region(pose, size)


def raised(bodies: MediaPipeBody, picture: Picture, face: Region) -> bool | None:
    return see(Hands(), bodies.body(picture, face), face.face_px, 0.0).raised


@pytest.mark.parametrize("size", [SIZE, (320, 180), (640, 480)])
@pytest.mark.parametrize(
    "pose", [Pose(), Pose(scale=0.6), Pose(scale=1.1), Pose(yaw_deg=20), Pose(roll_deg=8)], ids=str
)
def test_the_region_of_the_body_follows_from_the_face(bodies: MediaPipeBody, size: tuple[int, int], pose: Pose) -> None:
    for seed in range(4):
        up = replace(pose, hand_raised=1, hand_side=1 if seed % 2 else -1)
        assert raised(bodies, *drawn(pose, size, seed)) is False
        assert raised(bodies, *drawn(up, size, seed)) is True


def test_left_and_right_are_the_images(bodies: MediaPipeBody) -> None:
    for side in (-1, 1):
        picture, face = drawn(Pose(hand_raised=1, hand_side=side), SIZE, 1)
        seen = bodies.body(picture, face)
        assert seen is not None
        assert seen.left.shoulder.x_px < 160 < seen.right.shoulder.x_px
        up, down = (seen.left, seen.right) if side < 0 else (seen.right, seen.left)
        assert up.wrist.visibility > 0.5 > down.wrist.visibility
        mirror = Picture(np.ascontiguousarray(picture.rgb[:, ::-1]), picture.width, picture.height)
        assert raised(bodies, mirror, face) is True


def test_a_student_of_the_timetable(looks: list[Region]) -> None:
    """Every raised hand within a second, down within two, and no other; at most as many looks as things happen."""
    timetable, look = Timetable(2, 45), Look.of(2)
    frames = [(100 * n, draw_jpeg(timetable.pose_at(n / 10), look=look, grain=n)) for n in range(450)]
    told = list(analyze(frames))
    hands = [event for event in timetable.events if event.kind == "raise_hand"]
    assert len(hands) == timetable.truth(45).hands_raised > 0
    spans = _spans(told)
    assert len(spans) == len(hands)
    for event, (up_s, down_s) in zip(hands, spans, strict=True):
        assert event.start_s < up_s <= event.full_from_s + 1
        assert event.full_to_s < down_s <= event.end_s + 2
    assert len(looks) <= 12 + 8 * len(hands)


@pytest.mark.parametrize("fps", [25, 10, 5])
def test_the_woman_who_raises_a_hand(fps: float) -> None:
    """The wrist is above the shoulder from 1.36 s on, says the tracked model at full size; then it stays there."""
    told = list(analyze(clip_frames(clip("mediapipe_samples/hand_raise.mp4"), fps=fps, width_px=320)))
    (span,) = _spans(told)
    assert 1.0 <= span[0] <= 2.36
    assert told[-1].hand_raised


@pytest.mark.parametrize(
    "name",
    ["pyfeat/single_face.mp4", "synthetic/synth_yawns_talk.mp4", "synthetic/synth_blinks.mp4"],
)
def test_whoever_only_sits_there_is_hardly_looked_at(name: str, looks: list[Region]) -> None:
    told = list(analyze(clip_frames(clip(name), fps=10, width_px=320)))
    assert {metrics.hand_raised for metrics in told if not metrics.insufficient_signal} == {False}
    assert len(looks) <= 3


@pytest.mark.parametrize("name", ["synthetic/synth_headpose.mp4", "synthetic/synth_leave_return.mp4"])
def test_who_turns_or_leaves_raises_no_hand(name: str) -> None:
    told = list(analyze(clip_frames(clip(name), fps=10, width_px=320)))
    assert not any(metrics.hand_raised for metrics in told)
    assert any(metrics.hand_raised is False for metrics in told)
    assert all(metrics.hand_raised is None for metrics in told if metrics.insufficient_signal)


def test_a_woman_at_another_distance_place_and_side(bodies: MediaPipeBody) -> None:
    """Frames before and while the hand is up, moved, scaled, mirrored; the face is where it was put."""
    frames = [
        cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        for at_ms, jpeg in clip_frames(clip("mediapipe_samples/hand_raise.mp4"), width_px=640)
        if at_ms in (0, 400, 1720, 2000)
    ]
    assert len(frames) == 4
    for width, height, x, y, face_px in (
        (320, 180, 153, 89, 83),
        (320, 240, 160, 130, 144),
        (320, 240, 240, 110, 72),
        (640, 480, 250, 200, 60),
    ):
        scale = face_px / 167  # the face's height in these frames, around (306, 179)
        matrix = np.array([[scale, 0, x - scale * 306], [0, scale, y - scale * 179]])
        for number, frame in enumerate(frames):
            placed = cv2.warpAffine(frame, matrix, (width, height), flags=cv2.INTER_AREA)
            for side, image in ((x, placed), (width - x, placed[:, ::-1])):
                picture = Picture(np.ascontiguousarray(image), width, height)
                assert raised(bodies, picture, Region(side, y, 1.5 * face_px)) is (number >= 2)


def _spans(told: list[FrameMetrics]) -> list[tuple[float, float]]:
    """When the hand was told to be up, in seconds."""
    flags = [(metrics.captured_at_ms / 1000, bool(metrics.hand_raised)) for metrics in told]
    flags = [(-1.0, False), *flags, (flags[-1][0], False)]
    changes = [at_s for (_, before), (at_s, now) in pairwise(flags) if before != now]
    return list(zip(changes[::2], changes[1::2], strict=True))
