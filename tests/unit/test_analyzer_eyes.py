"""Blinks, closures, PERCLOS and the personal baseline, from EAR alone."""

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analyzer.domain.eyes import DROWSY_MS, Eyes, Perclos, account, lose, see

RATES = st.sampled_from([10, 15, 24, 30, 60])
OPEN, SHUT = 0.32, 0.08
FLANK_MS = 60.0  # the lids take so long each way


def lids(
    closings: Iterable[tuple[float, float]], *, opened: float = OPEN, shut: float = SHUT
) -> Callable[[float], float]:
    """EAR over time (ms) of eyes that are shut within each (start, end), with flanks before and after."""
    spans = list(closings)

    def ear(at_ms: float) -> float:
        openness = 1.0
        for start, end in spans:
            outside = max(start - at_ms, at_ms - end, 0.0)
            openness = min(openness, min(1.0, outside / FLANK_MS))
        return shut + (opened - shut) * openness

    return ear


def watch(
    ear: Callable[[float], float], fps: float, until_ms: float, *, phase: float = 0.0, mouth_wide: bool = False
) -> tuple[Eyes, Perclos]:
    eyes, perclos = Eyes(), Perclos()
    dt_ms = 0.0
    at_ms = phase * 1000 / fps
    while at_ms < until_ms:
        before = eyes.ratio
        eyes = see(eyes, ear(at_ms), at_ms, dt_ms, frontal=True, mouth_wide=mouth_wide)
        perclos = account(perclos, before, eyes.ratio or 0.0, dt_ms)
        dt_ms = 1000 / fps
        at_ms += dt_ms
    return eyes, perclos


@given(RATES, st.floats(0, 1), st.lists(st.floats(400, 1500), min_size=1, max_size=8), st.floats(60, 250))
def test_blinks_are_counted_at_every_rate(fps: int, phase: float, pauses_ms: list[float], shut_ms: float) -> None:
    spans, at_ms = [], 1500.0
    for pause_ms in pauses_ms:
        spans.append((at_ms, at_ms + shut_ms))
        at_ms += shut_ms + 2 * FLANK_MS + pause_ms
    eyes, _ = watch(lids(spans), fps, at_ms + 500, phase=phase)
    assert eyes.blink_count == len(spans)


@given(st.floats(0, 1), st.floats(330, 380))
def test_a_slow_blink_is_timed_between_the_samples(phase: float, shut_ms: float) -> None:
    eyes, _ = watch(lids([(2000, 2000 + shut_ms)]), 10, 4000, phase=phase)
    assert eyes.blink_count == 1


@pytest.mark.parametrize("fps", [10, 30])
@pytest.mark.parametrize("shut_ms", [700, 1500, 4000])
def test_a_long_closure_is_no_blink(fps: int, shut_ms: float) -> None:
    eyes, _ = watch(lids([(2000, 2000 + shut_ms)]), fps, 3500 + shut_ms)
    assert eyes.blink_count == 0
    assert eyes.closed_since_ms is None


@given(RATES, st.floats(0.65, 0.9), st.floats(100, 5000))
def test_a_squint_or_lowered_lids_are_no_blink(fps: int, openness: float, lasting_ms: float) -> None:
    squint = lids([(3000, 3000 + lasting_ms)], shut=OPEN * openness)
    eyes, perclos = watch(squint, fps, 5000 + lasting_ms)
    assert eyes.blink_count == 0
    assert perclos.closed_ms == 0


def test_lids_that_a_wide_mouth_moves_are_no_blink() -> None:
    eyes, _ = watch(lids([(2000, 2150)]), 30, 4000, mouth_wide=True)
    assert eyes.blink_count == 0


def test_a_single_odd_frame_at_30_fps_is_no_blink() -> None:
    eyes, _ = watch(lambda at_ms: SHUT if 2000 <= at_ms < 2030 else OPEN, 30, 4000)
    assert eyes.blink_count == 0


def test_eyes_first_seen_closed_opening_is_no_blink() -> None:
    eyes, _ = watch(lids([(-1000, 150)]), 30, 2000)
    assert eyes.blink_count == 0
    assert eyes.ratio == pytest.approx(1, abs=0.1)


def test_a_closing_that_is_lost_from_sight_is_no_blink() -> None:
    ear = lids([(2000, 2120)])
    eyes = Eyes()
    for frame in range(90):
        at_ms = frame * 1000 / 30
        eyes = see(eyes, ear(at_ms), at_ms, 1000 / 30 if frame else 0, frontal=True, mouth_wide=False)
        if 2050 < at_ms < 2090:
            eyes = lose(eyes)
    assert eyes.blink_count == 0


def test_between_sparse_samples_nobody_can_tell_a_blink() -> None:
    eyes, _ = watch(lambda at_ms: SHUT if at_ms == 2000 else OPEN, 2, 5000)
    assert eyes.blink_count == 0


@given(st.sampled_from([5, 10, 15, 30, 60]), st.floats(0, 1))
def test_a_second_of_closed_eyes_is_seen_in_time(fps: int, phase: float) -> None:
    ear = lids([(3000, 8000)])
    eyes, at_ms, dt_ms = Eyes(), phase * 1000 / fps, 0.0
    while eyes.closed_ms(at_ms - dt_ms) < DROWSY_MS:
        eyes = see(eyes, ear(at_ms), at_ms, dt_ms, frontal=True, mouth_wide=False)
        dt_ms = 1000 / fps
        at_ms += dt_ms
    told_ms = at_ms - dt_ms
    assert 3900 <= told_ms <= 4500


@given(st.floats(0.16, 0.42), st.sampled_from([10, 15, 30]))
def test_the_baseline_becomes_the_persons_own(opened: float, fps: int) -> None:
    eyes, _ = watch(lids([(9000, 9120)], opened=opened, shut=opened / 4), fps, 10_000)
    assert eyes.baseline == pytest.approx(opened, rel=0.25)
    assert eyes.blink_count == 1


def test_the_baseline_does_not_learn_from_closed_eyes_nor_from_the_side() -> None:
    eyes, _ = watch(lids([(3000, 20_000)]), 10, 20_000)
    assert eyes.baseline == pytest.approx(OPEN, rel=0.02)
    awake, _ = watch(lids([]), 10, 10_000)
    aside = see(awake, 0.25, 10_100, 100, frontal=False, mouth_wide=False)
    assert aside.baseline == awake.baseline


def test_waking_slowly_is_no_new_baseline() -> None:
    asleep, _ = watch(lids([(3000, 20_000)]), 10, 20_000)
    assert see(asleep, 0.18, 20_100, 100, frontal=True, mouth_wide=False).baseline == asleep.baseline


def test_a_mistaken_baseline_is_corrected() -> None:
    eyes = Eyes(baseline=0.5, learned_ms=10_000)
    for frame in range(80):
        eyes = see(eyes, 0.2, frame * 100.0, 100.0 if frame else 0.0, frontal=True, mouth_wide=False)
    assert eyes.baseline == pytest.approx(0.2)
    assert eyes.closed_since_ms is None


def test_perclos_is_the_share_of_closed_time() -> None:
    _, perclos = watch(lids([(5000, 11_000)]), 10, 20_000)
    assert perclos.value() == pytest.approx(6 / 20, abs=0.02)


def test_perclos_says_nothing_before_five_seconds() -> None:
    assert watch(lids([]), 10, 4900)[1].value() is None
    assert watch(lids([]), 10, 5300)[1].value() == 0


def test_perclos_forgets_after_a_minute() -> None:
    ear = lids([(2000, 8000)])
    assert watch(ear, 10, 60_000)[1].value() == pytest.approx(0.1, abs=0.01)
    assert watch(ear, 10, 70_000)[1].value() == pytest.approx(0, abs=0.01)


@given(st.lists(st.tuples(st.floats(300, 3000), st.floats(80, 2500)), min_size=1, max_size=12))
def test_perclos_agrees_across_rates(closings: list[tuple[float, float]]) -> None:
    spans, at_ms = [], 1000.0
    for pause_ms, shut_ms in closings:
        spans.append((at_ms + pause_ms, at_ms + pause_ms + shut_ms))
        at_ms = spans[-1][1] + 2 * FLANK_MS
    ear, until_ms = lids(spans), max(at_ms, 12_000)
    values = [watch(ear, fps, until_ms)[1].value() or 0 for fps in (10, 15, 30, 60)]
    assert max(values) - min(values) <= 0.03
