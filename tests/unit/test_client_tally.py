"""What a client remembers of its session."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import SessionTotals
from schemas.examples import METRICS
from schemas.wire import ProcessingError
from services.client.pace import Pace
from services.client.tally import MAX_ERRORS, SeqSet, Tally, percentile


@given(st.sets(st.integers(0, 60)))
def test_a_set_of_numbers_keeps_them_all_in_few_ranges(numbers: set[int]) -> None:
    kept = SeqSet(sorted(numbers))
    assert list(kept) == sorted(numbers)
    assert len(kept) == len(numbers)
    assert all(after[0] > before[1] + 1 for before, after in zip(kept.ranges, kept.ranges[1:], strict=False))


def test_a_number_that_does_not_rise_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="2 is not above 3"):
        SeqSet([1, 3, 2])


def test_counts_are_those_of_the_newest_frame_until_the_totals_come() -> None:
    tally = Tally()
    assert (tally.blink_count, tally.yawn_count) == (None, None)
    tally.measured(METRICS.model_copy(update={"seq": 9, "blink_count": 3, "yawn_count": 1}), 12.0)
    tally.measured(METRICS.model_copy(update={"seq": 8, "blink_count": 2}), None)
    assert (tally.blink_count, tally.yawn_count) == (3, 1)
    assert list(tally.latencies_ms) == [12.0]
    tally.totals = SessionTotals(frames=9, analyzed=9, skipped=0, blink_count=4, yawn_count=2)
    assert (tally.blink_count, tally.yawn_count) == (4, 2)


def test_errors_are_counted_and_the_first_ones_kept() -> None:
    tally = Tally()
    for _ in range(MAX_ERRORS + 5):
        tally.failed(ProcessingError(code="not_a_jpeg", error="no"))
    assert tally.error_counts == {"not_a_jpeg": MAX_ERRORS + 5}
    assert len(tally.errors) == MAX_ERRORS


@given(st.lists(st.floats(0, 1000), min_size=1), st.floats(0, 1))
def test_a_percentile_has_its_share_at_or_below_it(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9


def test_a_percentile_by_example() -> None:
    assert percentile([], 0.5) is None
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile(list(range(1, 101)), 0.99) == 99


@given(st.integers(0, 1000), st.floats(0, 200), st.sampled_from([5.0, 10.0, 30.0]))
def test_the_next_frame_is_the_next_one_or_the_last_that_is_due(number: int, now_s: float, fps: float) -> None:
    pace = Pace(0.0, fps)
    following = pace.next(number, now_s)
    assert following > number
    if following > number + 1:
        assert pace.due_s(following) <= now_s + 1e-6
    assert pace.due_s(following + 1) > now_s - 1e-6
