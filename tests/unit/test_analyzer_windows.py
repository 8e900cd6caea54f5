"""Windows of five seconds: their times, their features, gaps, restarts and frame rates."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from math import cos, hypot, pi, sin, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from schemas.examples import METRICS
from services.analyzer.domain.windows import BEHAVIOUR, EXPRESSIONS, FEATURES, Sample, Window, Windows, end, sample, see

FIRST_MS = 1_760_000_000_000
SNAPSHOT = TypeAdapter(Windows)
LONGEST_STEP_MS = 2000

Frame = tuple[int, Sample | None]  # ms since the first frame


def person(
    *,
    closed: float = 0,
    away: float | None = 0,
    yaw: float = 0.0,
    pitch: float = 0.0,
    mar: float = 0.0,
    blinks: int = 0,
) -> Sample:
    shares = (0.9, closed, away, None, *(0.0 for _ in EXPRESSIONS))
    return Sample(shares, (yaw, pitch, mar), (yaw, pitch, 0.0), blinks)


def frames(seconds: float, fps: float, at: Callable[[float], Sample | None], from_ms: int = 0) -> list[Frame]:
    """Frames of a person who is `at(s)`; the last one is at the end of the time."""
    times_ms = [round(number * 1000 / fps) for number in range(round(seconds * fps) + 1)]
    return [(from_ms + at_ms, at(at_ms / 1000)) for at_ms in times_ms]


def play(
    shown: Iterable[Frame], windows: Windows | None = None, last_ms: int | None = None
) -> tuple[Windows, list[Window]]:
    windows, ended = windows or Windows(), []
    for at_ms, seen in shown:
        since_ms = 0 if last_ms is None else at_ms - last_ms
        joined = last_ms is not None and 0 <= since_ms <= LONGEST_STEP_MS
        windows, window = see(windows, seen, FIRST_MS + at_ms, since_ms, joined=joined)
        ended += [window] if window else []
        last_ms = at_ms
    return windows, ended


def feature(window: Window, name: str) -> float | None:
    return dict(zip(FEATURES, window.features, strict=True))[name]


def still(_: float) -> Sample:
    return person()


def test_windows_follow_the_capture_times_and_come_with_the_first_frame_beyond_them() -> None:
    state, ended = play(frames(14.9, 10, still))
    assert [(each.index, each.from_ms - FIRST_MS, each.to_ms - FIRST_MS) for each in ended] == [
        (0, 0, 5000),
        (1, 5000, 10_000),
    ]
    assert [each.index for each in play([(15_000, person())], state, 14_900)[1]] == [2]


@pytest.mark.parametrize("fps", [4, 5, 7.5, 10, 15, 30, 60])
def test_features_are_the_integrals_whatever_the_frame_rate(fps: float) -> None:
    def moving(s: float) -> Sample:
        yaw = 12 * sin(2 * pi * 0.2 * s)  # one slow turn to and fro in a window
        return person(yaw=yaw, pitch=2 * s, mar=0.1 * s, closed=float(1 <= s < 2), away=float(s >= 2.5))

    (window,) = play(frames(5, fps, moving))[1]
    step_s = 1 / fps
    speeds = [hypot(12 * 0.4 * pi * cos(0.4 * pi * s / 1000), 2) for s in range(5000)]
    assert feature(window, "engagement") == 0.9
    assert feature(window, "eyes_closed") == pytest.approx(0.2, abs=step_s / 5)
    assert feature(window, "gaze_away") == pytest.approx(0.5, abs=step_s / 5)
    assert feature(window, "yaw_spread_deg") == pytest.approx(12 / sqrt(2), rel=0.05)
    assert feature(window, "pitch_spread_deg") == pytest.approx(10 / sqrt(12), rel=1e-3)  # of what rises evenly by 10
    assert feature(window, "mouth_activity") == pytest.approx(0.5 / sqrt(12), rel=1e-3)
    assert feature(window, "head_motion_deg_s") == pytest.approx(sum(speeds) / 5000, rel=0.05)
    assert feature(window, "hand_raised") is None


def test_a_head_at_rest_trembles_alike_at_any_frame_rate() -> None:
    """Noise of the measurement, from frame to frame, must not look like motion at 30 fps and like rest at 5."""

    def motion(fps: float) -> float:
        noise = iter([0.3 * sin(number * number) for number in range(10_000)])
        ended = play(frames(60, fps, lambda _: person(yaw=next(noise))))[1]
        found = [feature(window, "head_motion_deg_s") or 0.0 for window in ended]
        return sum(found) / len(found)

    assert motion(30) == pytest.approx(motion(8), rel=0.3)


def test_blinks_per_minute_are_counted_where_they_end_once() -> None:
    shown = frames(10, 10, lambda s: person(blinks=int(s >= 2) + int(s >= 5.05) + int(s >= 7)))
    assert [feature(window, "blinks_per_min") for window in play(shown)[1]] == [12, 24]


def test_a_blink_that_ends_in_a_step_across_windows_belongs_to_the_later_one() -> None:
    shown = frames(10, 10, lambda s: person(blinks=int(s >= 5)), from_ms=50)
    shown = [(0, person()), *((at_ms, seen) for at_ms, seen in shown)]
    assert [feature(window, "blinks_per_min") for window in play(shown)[1]] == [0, 12]


def test_a_step_between_frames_is_split_where_the_window_ends() -> None:
    shown: list[Frame] = [(at_ms, person(pitch=float(at_ms))) for at_ms in (0, 1900, 3800, 5700, 7600, 9500, 11_400)]
    whole = 5000 / sqrt(12)
    for window in play(shown)[1]:
        assert feature(window, "pitch_spread_deg") == pytest.approx(whole, rel=1e-6)


def test_a_window_with_too_little_to_measure_is_left_out() -> None:
    def until(until_s: float) -> list[Frame]:
        return frames(10, 10, lambda s: person() if s <= until_s else None)

    assert [window.index for window in play(until(2.5))[1]] == [0]
    assert play(until(2.4))[1] == []


def test_a_frame_or_two_that_cannot_be_measured_leave_no_hole() -> None:
    def seen(s: float) -> Sample:
        return person(pitch=2 * s)

    (whole,) = play(frames(5, 10, seen))[1]
    (blurred,) = play(frames(5, 10, lambda s: seen(s) if round(10 * s) % 3 == 0 else None))[1]
    for one, other in zip(blurred.features, whole.features, strict=True):
        assert one == other if other is None else one == pytest.approx(other, rel=0.05)
    assert play(frames(5, 10, lambda s: seen(s) if round(10 * s) % 5 == 0 else None))[1] == []


def test_a_feature_with_too_little_to_measure_is_none() -> None:
    def closing(s: float) -> Sample:
        return person(away=0 if s < 0.9 else None)

    (window,) = play(frames(5, 10, closing))[1]
    assert feature(window, "gaze_away") is None
    assert feature(window, "eyes_closed") == 0


@pytest.mark.parametrize("gap_ms", [2001, 10_000, 3_600_000])
def test_a_gap_ends_the_window_under_way_and_invents_none(gap_ms: int) -> None:
    after_ms = 8000 + gap_ms
    ended = play([*frames(8, 10, still), *frames(10, 10, still, from_ms=after_ms)])[1]
    assert [window.index for window in ended[:2]] == [0, 1]  # 1 held three seconds
    later = [window.index for window in ended[2:]]
    assert later == sorted(set(later))
    assert all(after_ms - 2500 <= window.from_ms - FIRST_MS for window in ended[2:])
    assert len(ended) <= 4


@pytest.mark.parametrize("jump_ms", [-1, -4000, -3_600_000])
def test_a_clock_that_goes_back_stands_still_and_no_window_comes_twice(jump_ms: int) -> None:
    first = frames(8, 10, still)
    again = [(at_ms + jump_ms, seen) for at_ms, seen in frames(12, 10, still, from_ms=8000)]
    ended = play([*first, *again])[1]
    assert [window.index for window in ended] == [0, 1, 2, 3]
    assert [window.from_ms - FIRST_MS for window in ended] == [0, 5000, 10_000, 15_000]


def test_the_end_closes_a_window_that_holds_enough_and_only_once() -> None:
    state, _ = play(frames(8, 10, still))
    state, window = end(state)
    assert window is not None
    assert (window.index, window.from_ms - FIRST_MS, window.to_ms - FIRST_MS) == (1, 5000, 8000)
    assert end(state)[1] is None
    late = play(frames(7, 10, still, from_ms=8100), state, 8000)[1]  # somebody streams on
    assert [each.index for each in late] == [2]
    early, _ = end(play(frames(5.5, 10, still))[0])  # what comes before 10 s belongs to the window that was closed
    assert end(play(frames(4.4, 10, still, from_ms=5600), early, 5500)[0])[1] is None
    assert end(play(frames(7, 10, still)[:70])[0])[1] is None  # 1.9 s of the second window
    assert end(Windows()) == (replace(Windows(), index=1), None)


shown_frames = st.lists(
    st.tuples(
        st.sampled_from([0, 30, 100, 200, 700, 1900, 2100, 9000, -50]),
        st.none()
        | st.builds(
            person,
            closed=st.sampled_from([0, 1]),
            away=st.sampled_from([None, 0, 1]),
            yaw=st.floats(-40, 40),
            mar=st.floats(0, 1),
        ),
    ),
    max_size=80,
).map(lambda steps: [(sum(step for step, _ in steps[: n + 1]), seen) for n, (_, seen) in enumerate(steps)])


@given(shown_frames, st.data())
def test_a_restart_anywhere_changes_nothing(shown: list[Frame], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(shown)))
    whole_state, whole = play(shown)
    before, first = play(shown[:cut])
    restored = SNAPSHOT.validate_json(SNAPSHOT.dump_json(before))
    assert restored == before
    after, second = play(shown[cut:], restored, shown[cut - 1][0] if cut else None)
    assert (after, first + second) == (whole_state, whole)


@given(shown_frames)
def test_windows_rise_lie_in_their_time_and_doubled_frames_add_nothing(shown: list[Frame]) -> None:
    ended = play(shown)[1]
    assert [window.index for window in ended] == sorted({window.index for window in ended})
    for window in ended:
        assert window.from_ms - FIRST_MS - (shown[0][0]) == window.index * 5000
        assert window.to_ms == window.from_ms + 5000
        for name in ("engagement", "eyes_closed", "gaze_away", *EXPRESSIONS):
            assert 0 <= (feature(window, name) or 0) <= 1
    assert play([each for each in shown for _ in range(2)])[1] == ended


@given(shown_frames)
def test_a_mirrored_face_has_the_same_features(shown: list[Frame]) -> None:
    def mirrored(seen: Sample | None) -> Sample | None:
        if seen is None or seen.spreading[0] is None:
            return seen
        yaw, pitch, roll = seen.head_deg
        return replace(seen, head_deg=(-yaw, pitch, -roll), spreading=(-yaw, *seen.spreading[1:]))

    assert play([(at_ms, mirrored(seen)) for at_ms, seen in shown])[1] == play(shown)[1]


def test_a_sample_follows_from_the_published_metrics() -> None:
    seen = sample(METRICS)
    assert seen is not None
    assert seen.shares[:4] == (METRICS.engagement, METRICS.eyes_closed, False, None)
    assert seen.head_deg == (METRICS.yaw_deg, METRICS.pitch_deg, METRICS.roll_deg)
    assert sample(METRICS.model_copy(update={"gaze": "left"})).shares[2] is True  # type: ignore[union-attr]
    scores = {"neutral": 0.2, "happy": 0.8, "sad": 0.0, "angry": 0.0, "surprised": 0.0}
    assert sample(METRICS.model_copy(update={"emotion_scores": scores})).shares[4:] == (0.2, 0.8, 0, 0, 0)  # type: ignore[union-attr]
    assert sample(METRICS.model_copy(update={"engagement": None})) is None  # refused, or a still
    assert len(BEHAVIOUR) + len(EXPRESSIONS) == len(FEATURES)
