"""Matching events in time, and figures that add up."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analyzer.evaluation.figures import Delays, Labels, Mean, Share, Tally, during, match
from services.analyzer.evaluation.truth import Span

# Small whole numbers, so that windows overlap and share their ends.
TIMES = st.lists(st.integers(0, 9).map(float), max_size=5)
WINDOWS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)).map(lambda it: (it[0], it[0] + it[1])), max_size=5)
LEFT_OVER = st.lists(st.integers(0, 9).map(float), max_size=9).map(tuple)
TALLIES = st.builds(Tally, st.integers(0, 9), LEFT_OVER, LEFT_OVER)


@given(WINDOWS, TIMES)
def test_each_window_and_each_time_is_used_once(windows: list[tuple[float, float]], times: list[float]) -> None:
    matched = match(windows, times)
    assert sorted([*matched.hits, *matched.missed]) == list(range(len(windows)))
    assert sorted([*matched.hits.values(), *matched.false_s]) == sorted(times)
    assert all(windows[i][0] <= at_s <= windows[i][1] for i, at_s in matched.hits.items())


@given(WINDOWS, TIMES)
def test_no_other_pairing_has_more_pairs(windows: list[tuple[float, float]], times: list[float]) -> None:
    def most(times: list[float], free: list[tuple[float, float]]) -> int:
        if not times:
            return 0
        taken = [most(times[1:], free[:i] + free[i + 1 :]) + 1 for i, w in enumerate(free) if w[0] <= times[0] <= w[1]]
        return max([most(times[1:], free), *taken])

    assert len(match(windows, times).hits) == most(times, windows)


def test_what_was_going_on() -> None:
    spans = [Span("talking", 1, 3), Span("gaze_down", 2, 4)]
    assert during([2.5, 4.2, 9], spans, 0.3) == Counter(talking=1, gaze_down=2, nothing=1)


@given(TALLIES)
def test_rates_follow_from_the_counts(tally: Tally) -> None:
    assert tally.truth == tally.hits + tally.missed
    assert tally.told == tally.hits + tally.false
    if tally.precision and tally.recall and tally.f1:
        assert tally.f1 == pytest.approx(2 / (1 / tally.precision + 1 / tally.recall))


def test_a_share_of_nothing_is_not_known() -> None:
    assert (Tally().f1, Share().value, Mean().value, Delays().mean_s, Delays().longest_s, Labels().accuracy) == (
        None,
    ) * 6


@given(TALLIES, TALLIES)
def test_counts_of_clips_add_up(one: Tally, other: Tally) -> None:
    both = one + other
    assert (both.truth, both.told) == (one.truth + other.truth, one.told + other.told)


def test_labels_of_clips_add_up() -> None:
    one = Labels(Counter({("happy", "happy"): 3, ("happy", "sad"): 1}), Share(4, 5), Share(1, 1))
    both = one + Labels(Counter({("happy", "happy"): 4}), Share(4, 4), Share(1, 1))
    assert (both.accuracy, both.measured.value, both.segments) == (7 / 8, 8 / 9, Share(2, 2))
    assert both.wrong == Counter({"happy→sad": 1})


def test_what_was_never_told_has_no_longest_delay() -> None:
    assert (Delays((0.1, 0.3)) + Delays((0.2,))).longest_s == 0.3
    assert (Delays((0.1,)) + Delays(never=1)).longest_s == float("inf")
