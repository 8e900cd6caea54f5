"""The camera's clock, bridged."""

from hypothesis import given
from hypothesis import strategies as st

from services.ingest.clocks import AHEAD_LIMIT_MS, PLAUSIBLE_OFFSET_MS, CaptureClock

NOW_MS = 1_760_000_000_000
HOUR_MS = 3_600_000


def test_a_clock_that_is_hours_off_is_left_alone() -> None:
    clock = CaptureClock()
    for step in range(5):
        captured = NOW_MS - 5 * HOUR_MS + step * 100
        assert clock.stamp(captured, NOW_MS + step * 100 + 7) == (captured, 0)
    assert clock.offset_ms == 5 * HOUR_MS + 7


def test_jumps_are_bridged_and_told_once() -> None:
    clock = CaptureClock()
    assert clock.stamp(NOW_MS, NOW_MS) == (NOW_MS, 0)
    assert clock.stamp(NOW_MS + 100 - HOUR_MS, NOW_MS + 100) == (NOW_MS + 100, -HOUR_MS)
    assert clock.stamp(NOW_MS + 200 - HOUR_MS, NOW_MS + 200) == (NOW_MS + 200, 0)
    assert clock.stamp(NOW_MS + 300 + HOUR_MS, NOW_MS + 300) == (NOW_MS + 300, 2 * HOUR_MS)
    assert clock.stamp(NOW_MS + 400 + HOUR_MS, NOW_MS + 400) == (NOW_MS + 400, 0)


def test_small_corrections_are_no_jumps() -> None:
    clock = CaptureClock()
    clock.stamp(NOW_MS, NOW_MS)
    assert clock.stamp(NOW_MS - 200, NOW_MS + 50) == (NOW_MS + 1, 0)


def test_frames_that_queued_for_minutes_are_no_jump() -> None:
    clock = CaptureClock()
    clock.stamp(NOW_MS, NOW_MS + 10)
    # The connection was lost for two minutes; what waited comes at once, then live frames.
    for step in range(1, 4):
        assert clock.stamp(NOW_MS + step * 100, NOW_MS + 120_000 + step) == (NOW_MS + step * 100, 0)
    assert clock.stamp(NOW_MS + 120_000, NOW_MS + 120_012) == (NOW_MS + 120_000, 0)


def test_a_first_time_that_is_no_time_of_day() -> None:
    for nonsense in (0, 12_345, 2**64 - 1):
        published, jumped = CaptureClock().stamp(nonsense, NOW_MS)
        assert published == NOW_MS
        assert jumped != 0


@given(
    st.lists(
        st.tuples(st.integers(0, 2**64 - 1) | st.integers(NOW_MS - HOUR_MS, NOW_MS + HOUR_MS), st.integers(0, 100_000)),
        min_size=1,
        max_size=50,
    )
)
def test_published_times_rise_and_stay_near_the_servers(frames: list[tuple[int, int]]) -> None:
    clock, now_ms, last = CaptureClock(), NOW_MS, -1
    for number, (captured, after_ms) in enumerate(frames):
        now_ms += after_ms
        published, _ = clock.stamp(captured, now_ms)
        assert published > last
        last = published
        # No clock takes a session far into the future: at most the first offset, and a limit per small step ahead.
        assert published <= now_ms + PLAUSIBLE_OFFSET_MS + (AHEAD_LIMIT_MS + 1) * (number + 1)
