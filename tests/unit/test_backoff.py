"""Waiting between tries, and trying until it is taken."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.backoff import backoff_s, until_taken, waits_s

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


class Away(Exception):
    pass


class Receiver:
    """Refuses so many times, then takes."""

    def __init__(self, refusals: int, error: Exception | None = None) -> None:
        self._refusals = refusals
        self._error = error or Away("away")
        self.waits_s: list[float] = []
        self.told: list[tuple[str, int]] = []
        self.halted = False

    async def send(self) -> str:
        if self._refusals:
            self._refusals -= 1
            raise self._error
        return "taken"

    async def pause(self, wait_s: float) -> None:
        if self.halted:
            raise RuntimeError("the part stops")
        self.waits_s.append(wait_s)

    async def until_taken(self) -> str:
        def refused(error: Exception, number: int) -> None:
            self.told.append((str(error), number))

        return await until_taken(self.send, Away, refused, first_s=1.0, longest_s=4.0, pause=self.pause)


def test_the_waits_of_a_trouble_have_no_end_and_stay_within_bounds() -> None:
    waits = list(itertools.islice(waits_s(1.0, 4.0), 50))
    assert all(low <= wait <= high for wait, low, high in zip(waits, [0.5, 1.0], [1.0, 2.0], strict=False))
    assert all(2.0 <= wait <= 4.0 for wait in waits[2:])


async def test_what_is_refused_is_sent_again_until_it_is_taken() -> None:
    receiver = Receiver(3)
    assert await receiver.until_taken() == "taken"
    assert receiver.told == [("away", 1), ("away", 2), ("away", 3)]
    assert len(receiver.waits_s) == 3


async def test_what_is_taken_at_once_waits_for_nothing() -> None:
    receiver = Receiver(0)
    assert await receiver.until_taken() == "taken"
    assert not receiver.told
    assert not receiver.waits_s


async def test_another_exception_passes_through() -> None:
    with pytest.raises(KeyError):
        await Receiver(1, KeyError("a bug")).until_taken()


async def test_a_pause_that_raises_ends_the_trying() -> None:
    receiver = Receiver(1)
    receiver.halted = True
    with pytest.raises(RuntimeError, match="stops"):
        await receiver.until_taken()
    assert receiver.told == [("away", 1)]
