"""Known clips and drawn students through MediaPipe and the service's own code: are the counts those that happened?"""

import json
from collections import Counter
from itertools import pairwise

import pytest

pytest.importorskip("mediapipe", reason="the analyzer's extra is not installed")

from schemas.events import FrameMetrics
from services.analyzer.evaluation.clips import UnreadableClip, analyze, clip_frames
from services.client.drawn import Look, Pose, draw_jpeg
from services.client.timetable import Timetable
from tests.support.needs import REPOSITORY, clip

RATES = [None, 10]  # the clip's own, and a webcam's


def watch(name: str, fps: float | None = None, width_px: int | None = 320) -> list[FrameMetrics]:
    return list(analyze(clip_frames(clip(name), fps=fps, width_px=width_px)))


@pytest.mark.parametrize("fps", RATES)
def test_one_man_blinks_once(fps: float | None) -> None:
    assert watch("pyfeat/single_face.mp4", fps)[-1].blink_count == 1


@pytest.mark.parametrize("fps", RATES)
def test_seven_blinks(fps: float | None) -> None:
    seen = watch("synthetic/synth_blinks.mp4", fps)
    truth = json.loads(clip("synthetic/synth_blinks.json").read_text())["events"]
    times_s = [
        after.captured_at_ms / 1000 for before, after in pairwise(seen) if after.blink_count > before.blink_count
    ]
    assert len(times_s) == len(truth) == 7
    assert times_s == pytest.approx([event["end"] for event in truth], abs=0.15)


@pytest.mark.parametrize("fps", RATES)
def test_two_yawns_and_talking_without_a_blink(fps: float | None) -> None:
    last = watch("synthetic/synth_yawns_talk.mp4", fps)[-1]
    assert (last.yawn_count, last.blink_count) == (2, 0)


@pytest.mark.parametrize("fps", [*RATES, 5])
def test_long_closures_are_drowsy_in_time_and_no_blinks(fps: float | None) -> None:
    seen = watch("synthetic/synth_drowsy.mp4", fps)
    assert seen[-1].blink_count == 2 if fps != 5 else seen[-1].blink_count <= 2
    onsets_s = [after.captured_at_ms / 1000 for before, after in pairwise(seen) if after.drowsy and not before.drowsy]
    assert onsets_s == pytest.approx([4.0, 7.5], abs=0.25)  # a second after 3.0 and 6.5


def test_perclos_is_the_same_at_every_rate() -> None:
    frames = json.loads(clip("synthetic/synth_drowsy.json").read_text())["frames"]
    shut = [frame["coef"].get("eyeBlink_L", 0) >= 0.8 for frame in frames]
    values = [watch("synthetic/synth_drowsy.mp4", fps)[-1].perclos or 0 for fps in (30, 15, 10, 5)]
    assert values[:3] == pytest.approx([sum(shut) / len(shut)] * 3, abs=0.02)
    # Twelve seconds with eight edges of closing and opening, each known to a fifth of a second.
    assert values[3] == pytest.approx(values[0], abs=0.03)


@pytest.mark.parametrize("name", ["expressions", "gaze", "headpose"])
@pytest.mark.parametrize("fps", [30, 15, 10, 5])
def test_smiles_frowns_looks_and_turns_are_no_blinks_no_yawns_and_no_sleep(name: str, fps: float) -> None:
    seen = watch(f"synthetic/synth_{name}.mp4", fps)
    assert (seen[-1].blink_count, seen[-1].yawn_count) == (0, 0)
    assert not any(metrics.eyes_closed or metrics.drowsy or metrics.yawning for metrics in seen)


@pytest.mark.parametrize("width_px", [320, 160])
def test_whoever_leaves_and_comes_back_blinks_no_more_than_that(width_px: int) -> None:
    """Beyond the picture's edge the mesh guesses; the person blinks once before leaving and once after."""
    assert watch("synthetic/synth_leave_return.mp4", 10, width_px)[-1].blink_count == 2


def test_head_pose_follows_the_rendered_head() -> None:
    seen = watch("synthetic/synth_headpose.mp4", 10)
    truth = json.loads(clip("synthetic/synth_headpose.json").read_text())["frames"]
    errors: dict[str, list[float]] = {"yaw": [], "pitch": [], "roll": []}
    for metrics in seen:
        frame = truth[round(metrics.captured_at_ms * 30 / 1000)]
        measured = {"yaw": metrics.yaw_deg, "pitch": metrics.pitch_deg, "roll": metrics.roll_deg}
        for name, value in measured.items():
            assert value is not None
            errors[name].append(abs(value - frame[name]))
    mean = {name: sum(values) / len(values) for name, values in errors.items()}
    assert mean["yaw"] <= 2
    assert mean["pitch"] <= 2
    assert mean["roll"] <= 0.6


def test_gaze_is_told_while_it_is_held() -> None:
    seen = watch("synthetic/synth_gaze.mp4", 10)
    for event in json.loads(clip("synthetic/synth_gaze.json").read_text())["events"]:
        held = [
            metrics.gaze
            for metrics in seen
            if event["start"] + 0.3 <= metrics.captured_at_ms / 1000 <= event["end"] - 0.3
        ]
        assert Counter(held).most_common(1)[0][0] == event["type"].removeprefix("gaze_")


def test_leaving_and_coming_back() -> None:
    seen = watch("synthetic/synth_leave_return.mp4", 10)
    away = [metrics for metrics in seen if 5.2 <= metrics.captured_at_ms / 1000 <= 7.9]
    assert not any(metrics.face_present for metrics in away)
    assert {metrics.insufficient_reason for metrics in away} == {"no_face"}
    assert away[-1].state == "absent"
    assert seen[-1].state == "engaged"


def test_a_clip_without_a_face_counts_nothing() -> None:
    seen = watch("pyfeat/no_face.mp4", 10)
    assert {(metrics.face_present, metrics.blink_count, metrics.engagement) for metrics in seen} == {(False, 0, None)}


@pytest.mark.parametrize("seed", range(3))
def test_drawn_students_are_counted_exactly(seed: int) -> None:
    timetable, look, fps = Timetable(seed, 45), Look.of(seed), 10
    times_s = [number / fps for number in range(45 * fps)]
    seen = list(
        analyze(
            (round(1000 * at_s), draw_jpeg(timetable.pose_at(at_s), look=look, grain=number))
            for number, at_s in enumerate(times_s)
        )
    )
    truth = timetable.drawn(times_s)
    assert (seen[-1].blink_count, seen[-1].yawn_count) == (truth.blinks, truth.yawns)
    assert truth.blinks > 5


@pytest.mark.parametrize(("yaw_deg", "label"), [(30, "right"), (-30, "left")])
def test_a_student_who_looks_away_is_distracted(yaw_deg: float, label: str) -> None:
    poses = [Pose()] * 30 + [Pose(yaw_deg=yaw_deg)] * 30
    seen = list(analyze((100 * number, draw_jpeg(pose, grain=number)) for number, pose in enumerate(poses)))
    assert seen[29].state == "engaged"
    assert (seen[-1].state, seen[-1].head_pose) == ("distracted", label)


def test_what_is_no_video_is_refused() -> None:
    with pytest.raises(UnreadableClip, match=r"pyproject\.toml is not a video"):
        list(clip_frames(REPOSITORY / "pyproject.toml"))
