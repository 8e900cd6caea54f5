"""A session's steps: whole scenes of a face that is not filmed but computed."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import sin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import FrameMetrics, StatusChanged
from schemas.examples import SESSION_START
from schemas.sessions import SessionStart
from services.analyzer import snapshots
from services.analyzer.domain.faces import Following
from services.analyzer.domain.quality import Clarity
from services.analyzer.domain.session import begin, end, refuse, skip, step
from services.analyzer.domain.state import End, Observation, SessionState, Skills, Step
from services.runtime.deadletters import Malformed
from tests.support.faces import face

START = SESSION_START.model_copy(update={"session_id": "s-1"})
NOW_MS = 1_760_000_000_000

# What a person does for a while: openness of eyes, MAR, yaw, pitch, present, contrast.
Act = tuple[float, float, float, float, bool, float]
LOOKING: Act = (1.0, 0.02, 0.0, 0.0, True, 120.0)
SHUT: Act = (0.2, 0.02, 0.0, 0.0, True, 120.0)
YAWNING: Act = (0.7, 0.9, 0.0, 0.0, True, 120.0)
AWAY: Act = (1.0, 0.02, 45.0, 0.0, True, 120.0)
NODDING: Act = (1.0, 0.02, 0.0, 25.0, True, 120.0)
GONE: Act = (1.0, 0.02, 0.0, 0.0, False, 120.0)
DARK: Act = (1.0, 0.02, 0.0, 0.0, True, 15.0)


def scene(*acts: tuple[Act, float], fps: float = 10.0, at_ms: int = 5_000_000) -> list[Observation]:
    """Frames of a person who does one thing after the other, each for so many seconds."""
    seen = []
    until_s, number = 0.0, 0
    for (openness, mar, yaw_deg, pitch_deg, present, contrast), seconds in acts:
        until_s += seconds
        while number / fps < until_s - 1e-9:
            captured_ms = at_ms + round(number * 1000 / fps)
            followed = Following(count=int(present))
            wandering = 0.03 * sin(number / fps)  # as eyes do, of people and not of photos
            looks = face(ear=0.32 * openness, mar=mar, yaw_deg=yaw_deg, pitch_deg=pitch_deg, iris_h=wandering)
            landmarks, clarity = (looks, Clarity(40.0, contrast, contrast)) if present else (None, None)
            seen.append(Observation(number, captured_ms, captured_ms + 12, followed, landmarks, clarity))
            number += 1
    return seen


def play(
    frames: Sequence[Observation], state: SessionState | None = None, start: SessionStart | None = START
) -> tuple[SessionState, list[Step]]:
    state = state or SessionState("s-1", start=start)
    steps = []
    for seen in frames:
        state, taken = step(state, seen, NOW_MS, Skills())
        steps.append(taken)
    return state, steps


def statuses(steps: Sequence[Step]) -> list[StatusChanged]:
    return [taken.status for taken in steps if taken.status]


def test_an_attentive_student_is_engaged() -> None:
    state, steps = play(scene((LOOKING, 10)))
    last = steps[-1].metrics
    assert (last.state, last.face_present, last.face_count, last.insufficient_signal) == ("engaged", True, 1, False)
    assert last.engagement == pytest.approx(1, abs=0.01)
    assert last.engagement_parts is not None
    assert sum(last.engagement_parts.values()) == pytest.approx(last.engagement, abs=0.001)
    assert (last.gaze, last.head_pose, last.eyes_closed, last.drowsy, last.yawning) == (
        "center",
        "forward",
        False,
        False,
        False,
    )
    assert last.hand_raised is None
    assert (state.analyzed, state.last_seq) == (100, 99)


@pytest.mark.parametrize("fps", [10, 15, 30])
def test_counts_of_a_whole_scene(fps: float) -> None:
    acts = [
        (LOOKING, 3.0),
        *[(SHUT, 0.2), (LOOKING, 1.0)] * 4,
        (YAWNING, 2.5),
        (LOOKING, 2.0),
        (SHUT, 2.0),
        (LOOKING, 2.0),
    ]
    _, steps = play(scene(*acts, fps=fps))
    last = steps[-1].metrics
    assert (last.blink_count, last.yawn_count) == (4, 1)
    assert any(taken.metrics.drowsy for taken in steps)
    assert "drowsy" in [status.state for status in statuses(steps)]


def test_turning_away_and_leaving_are_told_and_are_no_blink() -> None:
    _, steps = play(scene((LOOKING, 3), (AWAY, 4), (LOOKING, 3), (NODDING, 4), (LOOKING, 3), (GONE, 4), (LOOKING, 3)))
    told = [status.state for status in statuses(steps)]
    assert [state for state, before in zip(told, [None, *told], strict=False) if state != before] == [
        "unknown",
        "engaged",
        "distracted",
        "engaged",
        "absent",
        "engaged",
    ]
    assert steps[-1].metrics.blink_count == 0


@pytest.mark.parametrize(("act", "reason"), [(GONE, "no_face"), (DARK, "dark")])
def test_what_cannot_be_measured_is_null_with_its_reason(act: Act, reason: str) -> None:
    _, steps = play(scene((LOOKING, 3), (act, 3)))
    last = steps[-1].metrics
    assert (last.insufficient_signal, last.insufficient_reason) == (True, reason)
    unknown = [
        "ear_left",
        "ear_right",
        "mar",
        "eyes_closed",
        "perclos",
        "drowsy",
        "yawning",
        "gaze_h",
        "gaze_v",
        "gaze",
    ]
    unknown += ["yaw_deg", "pitch_deg", "roll_deg", "head_pose", "engagement", "engagement_parts"]
    assert {name for name in unknown if getattr(last, name) is not None} == set()
    assert last.state == ("absent" if act is GONE else "unknown")


def test_too_far_turned_is_told_by_its_angles() -> None:
    _, steps = play(scene((LOOKING, 2), ((1.0, 0.02, 70.0, 0.0, True, 120.0), 2)))
    last = steps[-1].metrics
    assert last.insufficient_reason == "turned_away"
    assert last.yaw_deg == pytest.approx(70, abs=3)
    assert last.ear_left is None


@pytest.mark.parametrize("act", [DARK, GONE])
def test_a_closing_that_is_not_seen_to_its_end_is_no_blink(act: Act) -> None:
    _, steps = play(scene((LOOKING, 3), (SHUT, 0.1), (act, 0.4), (LOOKING, 2)))
    assert steps[-1].metrics.blink_count == 0


@pytest.mark.parametrize("act", [DARK, GONE])
def test_a_frame_that_cannot_be_measured_breaks_nothing(act: Act) -> None:
    _, blinked = play(scene((LOOKING, 3), (SHUT, 0.1), (act, 0.1), (SHUT, 0.1), (LOOKING, 2)))
    assert blinked[-1].metrics.blink_count == 1
    _, steps = play(scene((LOOKING, 3), (AWAY, 0.8), (act, 0.1), (AWAY, 0.8), (LOOKING, 0.1)))
    assert steps[-1].metrics.state == "distracted"
    _, drowsy = play(scene((LOOKING, 3), (SHUT, 0.8), (act, 0.1), (SHUT, 0.3)))
    assert drowsy[-1].metrics.drowsy


def test_baselines_do_not_learn_from_what_cannot_be_measured() -> None:
    state, _ = play(scene((LOOKING, 4)))
    dark = [replace(seen, seq=seen.seq + 40, captured_at_ms=seen.captured_at_ms + 4000) for seen in scene((DARK, 20))]
    after, _ = play(dark, state)
    assert (after.person.eyes.open_lids, after.person.centre) == (state.person.eyes.open_lids, state.person.centre)


def test_status_is_told_on_change_only() -> None:
    _, steps = play(scene((LOOKING, 20), fps=10))
    assert [(status.state, status.seq) for status in statuses(steps)] == [("unknown", 0), ("engaged", 10)]


def test_a_blink_does_not_flicker_the_status() -> None:
    _, steps = play(scene((LOOKING, 3), *[((0.2, 0.02, 0.0, 0.0, True, 120.0), 0.15), (LOOKING, 1.0)] * 5, fps=30))
    assert len(statuses(steps)) == 2


def test_without_a_start_metrics_come_and_status_waits_for_one() -> None:
    state, steps = play(scene((LOOKING, 2)), start=None)
    assert statuses(steps) == []
    assert steps[-1].metrics.state == "engaged"
    later = replace(scene((LOOKING, 0.1))[0], seq=20, captured_at_ms=5_002_000)
    _, told = play([later], begin(state, START))
    assert [status.state for status in statuses(told)] == ["engaged"]


def test_the_end_tells_the_totals_once() -> None:
    state, _ = play(scene((LOOKING, 3), (SHUT, 0.2), (LOOKING, 1)))
    state = refuse(skip(state, 50), 51)
    state, taken = end(state, NOW_MS, Skills())
    last = taken.status
    assert last is not None
    assert last.totals is not None
    assert (last.totals.frames, last.totals.analyzed, last.totals.skipped) == (44, 42, 1)
    assert (last.totals.blink_count, last.totals.last_seq, last.state) == (1, 51, "engaged")
    assert end(state, NOW_MS, Skills()) == (state, End())


def test_a_frame_after_the_end_goes_on_counting() -> None:
    state, _ = play(scene((LOOKING, 3), (SHUT, 0.2), (LOOKING, 1)))
    ended, _ = end(state, NOW_MS, Skills())
    late = replace(scene((LOOKING, 0.1))[0], seq=100, captured_at_ms=5_010_000)
    again, steps = play([late], ended)
    assert steps[0].metrics.blink_count == 1
    assert (again.ended, again.analyzed) == (False, 43)


def test_each_window_is_concluded_once_and_the_end_concludes_the_last() -> None:
    frames = scene((LOOKING, 5), (SHUT, 3), (LOOKING, 2), (GONE, 5), (LOOKING, 3))
    state, steps = play(frames)
    concluded = [taken.concluded for taken in steps if taken.concluded]
    assert [(each.window.index, each.window.from_ms) for each in concluded] == [(0, 5_000_000), (1, 5_005_000)]
    assert concluded[0].change_score is None
    assert (concluded[1].change_score or 0) > 0.3
    ended, last = end(state, NOW_MS, Skills())
    assert last.concluded is not None
    assert (last.concluded.window.index, last.concluded.window.to_ms) == (3, 5_017_900)
    assert end(ended, NOW_MS, Skills())[1].concluded is None
    late = [replace(seen, seq=200 + seen.seq) for seen in scene((LOOKING, 8), at_ms=5_018_000)]
    again = [taken.concluded.window for taken in play(late, ended)[1] if taken.concluded]
    assert [(window.index, window.from_ms) for window in again] == [(4, 5_020_000)]


def test_previews_are_due_once_a_second() -> None:
    _, steps = play(scene((LOOKING, 5), fps=30))
    assert sum(taken.preview for taken in steps) == 5


@pytest.mark.parametrize("jump_ms", [-3_600_000, -50, 3_600_000, 10_000])
def test_a_clock_that_jumps_is_bridged(jump_ms: int) -> None:
    before = scene((LOOKING, 4), (SHUT, 0.3))
    after = [
        replace(seen, seq=seen.seq + 43, captured_at_ms=seen.captured_at_ms + 4300 + jump_ms)
        for seen in scene((SHUT, 0.3), (LOOKING, 4))
    ]
    _, steps = play([*before, *after])
    last = steps[-1].metrics
    assert (last.blink_count, last.yawn_count, last.state) == (0, 0, "engaged")
    assert not any(taken.metrics.drowsy for taken in steps)


# -- properties ------------------------------------------------------------------------------------------

ACTS = st.sampled_from([LOOKING, SHUT, YAWNING, AWAY, NODDING, GONE, DARK])
SCENES = st.builds(
    lambda acts, fps: scene(*acts, fps=fps),
    st.lists(st.tuples(ACTS, st.sampled_from([0.1, 0.2, 0.5, 1.3, 2.5])), min_size=1, max_size=8),
    st.sampled_from([5.0, 10.0, 15.0]),
)


@settings(max_examples=40)
@given(SCENES, st.data())
def test_a_snapshot_anywhere_changes_nothing(frames: list[Observation], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(frames)))
    whole, steps = play(frames)
    half, first = play(frames[:cut])
    restored = snapshots.decode(snapshots.encode(half))
    assert restored == half
    end_state, second = play(frames[cut:], restored)
    assert [*first, *second] == steps
    assert end_state == whole


@settings(max_examples=40)
@given(SCENES, st.integers(-4_000_000, 10_000_000_000))
def test_shifting_the_clock_changes_nothing(frames: list[Observation], shift_ms: int) -> None:
    shifted = [replace(seen, captured_at_ms=seen.captured_at_ms + shift_ms) for seen in frames]

    def without_time(steps: list[Step]) -> list[FrameMetrics]:
        return [taken.metrics.model_copy(update={"captured_at_ms": 0}) for taken in steps]

    assert without_time(play(shifted)[1]) == without_time(play(frames)[1])


@settings(max_examples=40)
@given(SCENES)
def test_doubling_every_frame_counts_nothing_twice(frames: list[Observation]) -> None:
    doubled = [replace(seen, seq=2 * seen.seq + copy) for seen in frames for copy in (0, 1)]
    once, twice = play(frames)[1][-1].metrics, play(doubled)[1][-1].metrics
    assert (twice.blink_count, twice.yawn_count, twice.state) == (once.blink_count, once.yawn_count, once.state)
    assert twice.perclos == pytest.approx(once.perclos, abs=0.001) if once.perclos else not twice.perclos


@settings(max_examples=40)
@given(SCENES)
def test_counters_never_fall_and_numbers_stay_in_range(frames: list[Observation]) -> None:
    _, steps = play(frames)
    for before, after in pairwise(steps):
        assert before.metrics.blink_count <= after.metrics.blink_count <= before.metrics.blink_count + 1
        assert before.metrics.yawn_count <= after.metrics.yawn_count <= before.metrics.yawn_count + 1
    for taken in steps:
        metrics = taken.metrics
        assert metrics.insufficient_signal == (metrics.engagement is None) == (metrics.ear_left is None)
        assert FrameMetrics.decode(metrics.encode()) == metrics


def test_a_snapshot_of_another_version_is_read_as_far_as_it_goes() -> None:
    state, _ = play(scene((LOOKING, 3)))
    text = snapshots.encode(state).decode()
    newer = text.replace('"last_seq"', '"something_new": {"a": 1}, "last_seq"')
    assert snapshots.decode(newer.encode()) == state
    with pytest.raises(Malformed):
        snapshots.decode(b'{"last_seq": "many"}')
