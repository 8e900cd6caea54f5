"""The bench's students do what their truth says."""

from collections import Counter
from itertools import pairwise

import pytest

from tests.accuracy.acts import SCENES
from tests.accuracy.students import FPS, SECONDS, STUDENTS, Drawn, Student

SEEDS = range(STUDENTS)


def test_everything_is_done_several_times() -> None:
    done = Counter(span.kind for seed in SEEDS for span in Student(seed).truth.spans)
    assert set(done) == {act.kind for act in SCENES} | {"blink"}
    assert min(done.values()) >= 4
    assert done["blink"] >= 80


@pytest.mark.parametrize("seed", SEEDS)
def test_the_truth_is_what_is_drawn(seed: int) -> None:
    student = Student(seed)
    for span in student.truth.spans:
        pose = student.pose_at((span.start_s + span.end_s) / 2)  # it may blink just then, whatever else it does
        assert pose.eyes == 0 or span.kind not in ("blink", "closure"), span
        assert pose.present != (span.kind == "absent"), span
        assert (pose.mouth == 1) == (span.kind == "yawn"), span
        assert pose.hand_raised == 1 or span.kind != "hand_raised", span
    assert len(student.truth.moments) == SECONDS * FPS


@pytest.mark.parametrize("seed", SEEDS)
def test_lids_shut_for_a_blink_or_a_closure_only(seed: int) -> None:
    truth = Student(seed).truth
    shut = [moment.at_s for moment in truth.moments if moment.closed == 1]
    assert all(any(span.overlaps(at_s, at_s) for span in truth.of("blink", "closure")) for at_s in shut)
    blinks = truth.of("blink")
    assert all(a.end_s < b.start_s for a, b in pairwise(blinks))


def test_the_same_seed_is_the_same_student() -> None:
    assert Student(3).truth == Student(3).truth != Student(4).truth


@pytest.mark.parametrize("fps", [30, 15, 10, 5])
def test_a_student_is_watched_at_any_rate(fps: int) -> None:
    jpegs = [bytes([number % 256]) for number in range(900)]
    frames = list(Drawn("student", Student(0).truth, jpegs, 7).frames(fps))
    assert len(frames) == 30 * fps
    assert all(jpegs[round(at_ms * FPS / 1000)] == jpeg for at_ms, jpeg in frames)
    assert {round((b - a) * fps / 1000, 1) for (a, _), (b, _) in pairwise(frames)} == {1.0}
