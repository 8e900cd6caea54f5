"""The recording's times are the capture times, and only move forward whatever the client's clock does."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from services.recorder.timeline import TOLERANCE_MS, Moment, place

EPOCH_MS = st.integers(0, 2**50)


def placed(times: list[tuple[int, int]]) -> list[int]:
    moments: list[Moment] = []
    for captured_at_ms, received_at_ms in times:
        moments.append(place(moments[-1] if moments else None, captured_at_ms, received_at_ms))
    return [moment.pts_ms for moment in moments]


@given(st.lists(st.tuples(EPOCH_MS, EPOCH_MS), min_size=1, max_size=30))
def test_times_rise_strictly_whatever_the_clocks_say(times: list[tuple[int, int]]) -> None:
    pts_ms = placed(times)
    assert pts_ms[0] == 0
    assert all(earlier < later for earlier, later in itertools.pairwise(pts_ms))


@given(st.lists(st.integers(1, TOLERANCE_MS), max_size=30), EPOCH_MS, st.integers(-(2**40), 2**40))
def test_a_sound_clock_is_kept_to_the_millisecond_however_far_off(gaps_ms: list[int], began: int, off_ms: int) -> None:
    captured = [began + 2**40 + sum(gaps_ms[:count]) for count in range(len(gaps_ms) + 1)]
    assert placed([(at_ms, at_ms + off_ms) for at_ms in captured]) == [at_ms - captured[0] for at_ms in captured]


def test_frames_buffered_while_offline_keep_their_own_times() -> None:
    assert placed([(0, 5_000), (100, 9_000), (200, 9_001), (300, 9_001)]) == [0, 100, 200, 300]


def test_a_pause_stays_a_pause() -> None:
    assert placed([(0, 50), (600_000, 600_050)]) == [0, 600_000]


def test_a_clock_set_back_is_bridged_by_the_time_of_arrival() -> None:
    assert placed([(50_000, 0), (50_100, 100), (10_000, 210), (10_100, 310)]) == [0, 100, 210, 310]


def test_a_clock_that_leaps_ahead_is_bridged_by_the_time_of_arrival() -> None:
    assert placed([(0, 0), (100, 100), (86_400_000, 200), (86_400_100, 300)]) == [0, 100, 200, 300]
