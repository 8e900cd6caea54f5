"""Yawns are wide and slow; everything else that a mouth does is none."""

from collections.abc import Callable
from math import pi, sin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analyzer.domain.mouth import WIDE_MAR, Mouth, lose, see

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


def opening(
    start_ms: float, end_ms: float, wide: float = 0.8, *, ramp_ms: float = 500.0, rest: float = 0.02
) -> Callable[[float], float]:
    """MAR of a mouth that is wide from start to end, and takes a while to open and to shut."""

    def mar(at_ms: float) -> float:
        outside = max(start_ms - at_ms, at_ms - end_ms, 0.0)
        return max(rest, wide * (1 - outside / ramp_ms))

    return mar


@given(RATES, st.floats(0, 1), st.floats(1500, 6000), st.floats(0.6, 1.2))
def test_a_yawn_counts_once(fps: int, phase: float, lasting_ms: float, wide: float) -> None:
    seen = watch(opening(1000, 1000 + lasting_ms, wide), fps, lasting_ms + 3000, phase=phase)
    assert seen[-1].yawn_count == 1
    assert any(mouth.yawning for mouth in seen)
    assert not seen[-1].yawning


@given(RATES, st.floats(0, 1), st.floats(0, 450))
def test_a_short_opening_is_no_yawn(fps: int, phase: float, lasting_ms: float) -> None:
    assert watch(opening(1000, 1000 + lasting_ms), fps, 4000, phase=phase)[-1].yawn_count == 0


@given(st.sampled_from([10, 15, 30, 60]), st.floats(2, 4))
def test_talking_is_no_yawn(fps: int, syllables_hz: float) -> None:
    seen = watch(lambda at_ms: 0.35 + 0.35 * sin(2 * pi * syllables_hz * at_ms / 1000), fps, 8000)
    assert seen[-1].yawn_count == 0


@given(st.sampled_from([10, 15, 30, 60]), st.floats(0, 1), st.floats(0, 1800), st.floats(0.6, 0.9))
def test_a_vowel_that_is_held_is_no_yawn(fps: int, phase: float, lasting_ms: float, wide: float) -> None:
    """Who sings opens the mouth within a tenth of a second."""
    sung = opening(1000, 1000 + lasting_ms, wide, ramp_ms=100)
    assert watch(sung, fps, lasting_ms + 2000, phase=phase)[-1].yawn_count == 0


@given(RATES, st.floats(0, 1))
def test_what_was_wide_when_it_came_into_sight_may_be_a_yawn(fps: int, phase: float) -> None:
    assert watch(opening(-1000, 1500), fps, 3000, phase=phase)[-1].yawn_count == 1


def test_an_open_mouth_moves_the_lids_unless_the_person_rests_with_it() -> None:
    talking = watch(lambda at_ms: 0.3 if at_ms > 5000 else 0.02, 10, 5500)
    assert (talking[10].moves_lids, talking[-1].moves_lids) == (False, True)
    assert not any(mouth.moves_lids for mouth in watch(lambda _: 0.3, 10, 10_000))
    yawning_first = watch(opening(-1000, 1000), 10, 8000)
    assert yawning_first[0].moves_lids
    assert yawning_first[-1].rest_mar == pytest.approx(0.02, abs=0.01)
    assert not Mouth().moves_lids


@given(RATES, st.floats(1e3, 1e9))
def test_the_clock_may_start_anywhere_and_frames_may_come_twice(fps: int, shift_ms: float) -> None:
    mar, mouth = opening(1000, 3500), Mouth()
    for number in range(int(5 * fps)):
        for again in range(2):
            at_ms = number * 1000 / fps
            mouth = see(mouth, mar(at_ms), at_ms + shift_ms, 0.0 if again or not number else 1000 / fps)
    assert (mouth.yawn_count, mouth.yawning) == (1, False)


def test_surprise_and_laughing_are_not_that_wide() -> None:
    assert watch(opening(1000, 5000, 0.45), 30, 6000)[-1].yawn_count == 0


def test_the_moment_is_when_a_second_is_reached() -> None:
    mar = opening(1000, 4000)
    seen = watch(mar, 30, 5000)
    first = next(index for index, mouth in enumerate(seen) if mouth.yawning)
    wide = next(index for index in range(100) if mar(index * 1000 / 30) >= WIDE_MAR)
    assert (first - wide) / 30 == pytest.approx(1.0, abs=0.07)


def test_out_of_sight_ends_a_yawn_and_keeps_the_count() -> None:
    yawning = watch(opening(0, 3000), 10, 2500)[-1]
    assert yawning.yawning
    lost = lose(yawning)
    assert (lost.yawning, lost.yawn_count, lost.wide_since_ms) == (False, 1, None)
