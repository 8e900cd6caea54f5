"""Yawns are wide and slow; everything else that a mouth does is none."""

from collections.abc import Callable
from math import pi, sin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analyzer.domain.mouth import Mouth, lose, see

RATES = st.sampled_from([5, 10, 15, 30, 60])


def watch(mar: Callable[[float], float], fps: float, until_ms: float, *, phase: float = 0.0) -> list[Mouth]:
    mouth, seen = Mouth(), []
    at_ms, dt_ms = phase * 1000 / fps, 0.0
    while at_ms < until_ms:
        mouth = see(mouth, mar(at_ms), at_ms, dt_ms)
        seen.append(mouth)
        dt_ms = 1000 / fps
        at_ms += dt_ms
    return seen


def opening(start_ms: float, end_ms: float, wide: float = 0.8) -> Callable[[float], float]:
    return lambda at_ms: wide if start_ms <= at_ms < end_ms else 0.02


@given(RATES, st.floats(0, 1), st.floats(1500, 6000), st.floats(0.6, 1.2))
def test_a_yawn_counts_once(fps: int, phase: float, lasting_ms: float, wide: float) -> None:
    seen = watch(opening(1000, 1000 + lasting_ms, wide), fps, lasting_ms + 3000, phase=phase)
    assert seen[-1].yawn_count == 1
    assert any(mouth.yawning for mouth in seen)
    assert not seen[-1].yawning


@given(RATES, st.floats(0, 1), st.floats(0, 650))
def test_a_short_opening_is_no_yawn(fps: int, phase: float, lasting_ms: float) -> None:
    assert watch(opening(1000, 1000 + lasting_ms), fps, 4000, phase=phase)[-1].yawn_count == 0


@given(st.sampled_from([10, 15, 30, 60]), st.floats(2, 4))
def test_talking_is_no_yawn(fps: int, syllables_hz: float) -> None:
    seen = watch(lambda at_ms: 0.35 + 0.35 * sin(2 * pi * syllables_hz * at_ms / 1000), fps, 8000)
    assert seen[-1].yawn_count == 0


def test_surprise_and_laughing_are_not_that_wide() -> None:
    assert watch(opening(1000, 5000, 0.45), 30, 6000)[-1].yawn_count == 0


def test_the_moment_is_when_a_second_is_reached() -> None:
    seen = watch(opening(1000, 4000), 30, 5000)
    first = next(index for index, mouth in enumerate(seen) if mouth.yawning)
    assert first / 30 == pytest.approx(2.0, abs=0.07)


def test_out_of_sight_ends_a_yawn_and_keeps_the_count() -> None:
    yawning = watch(opening(0, 3000), 10, 2500)[-1]
    assert yawning.yawning
    lost = lose(yawning)
    assert (lost.yawning, lost.yawn_count, lost.wide_since_ms) == (False, 1, None)
