"""Waiting between tries."""

from hypothesis import given
from hypothesis import strategies as st

from services.runtime.backoff import backoff_s

limits = st.sampled_from([(0.1, 3.0), (0.1, 15.0), (1.0, 1.0)])


@given(st.integers(0, 1000), st.floats(0, 1), limits)
def test_waits_grow_within_bounds(attempt: int, draw: float, bounds: tuple[float, float]) -> None:
    first_s, longest_s = bounds

    def wait_s(attempt: int, draw: float) -> float:
        return backoff_s(attempt, draw, first_s=first_s, longest_s=longest_s)

    assert first_s / 2 <= wait_s(attempt, draw) <= longest_s
    assert wait_s(attempt, draw) <= wait_s(attempt + 1, draw)
    assert wait_s(attempt, 0.0) < wait_s(attempt, 1.0)


def test_waits_by_example() -> None:
    assert [backoff_s(attempt, 1.0, first_s=0.5, longest_s=3.0) for attempt in range(5)] == [0.5, 1, 2, 3, 3]
    assert backoff_s(1, 0.0, first_s=0.5, longest_s=3.0) == 0.5
