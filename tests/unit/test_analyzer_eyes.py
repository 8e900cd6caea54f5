"""Blinks, closures, PERCLOS and the person's own open eyes, from the lids alone."""

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from services.analyzer.domain.eyes import DROWSY_MS, Eyes, lose, see
from services.analyzer.domain.geometry import Lids
from services.analyzer.domain.perclos import Perclos, account

RATES = st.sampled_from([10, 15, 24, 25, 30, 60])
PHASES = st.floats(0, 0.999)
OPEN, SHUT = 0.32, 0.08
AT_FIRST = Eyes()
FLANK_MS = 60.0  # the lids take so long each way

Act = Callable[[float], Lids]


def both(opening: float) -> Lids:
    """Lids that are so far open, each moved by its share."""
    return Lids(0.57 * opening, 0.43 * opening)


def lids(closings: Iterable[tuple[float, float]], *, opened: float = OPEN, shut: float = SHUT) -> Act:
    """Lids over time (ms) that are shut within each (start, end), with flanks before and after."""
    spans = list(closings)

    def act(at_ms: float) -> Lids:
        openness = 1.0
        for start, end in spans:
            outside = max(start - at_ms, at_ms - end, 0.0)
            openness = min(openness, min(1.0, outside / FLANK_MS))
        return both(shut + (opened - shut) * openness)

    return act


def times(fps: float, until_ms: float, phase: float = 0.0) -> list[float]:
    return [(number + phase) * 1000 / fps for number in range(int(until_ms * fps / 1000 - phase) + 1)]


def watch(
    act: Act, at_ms: Iterable[float], *, mouth_wide: Callable[[float], bool] = lambda _: False, eyes: Eyes = AT_FIRST
) -> tuple[list[Eyes], Perclos]:
    """The eyes after each sample."""
    perclos, seen, before_ms = Perclos(), [], None
    for now_ms in at_ms:
        dt_ms = 0.0 if before_ms is None else now_ms - before_ms
        before, before_ms = eyes, now_ms
        eyes = see(eyes, act(now_ms), now_ms, dt_ms, frontal=True, mouth_wide=mouth_wide(now_ms))
        perclos = account(perclos, before, eyes, dt_ms)
        seen.append(eyes)
    return seen, perclos


def blinks(act: Act, fps: float, until_ms: float, phase: float = 0.0) -> int:
    return watch(act, times(fps, until_ms, phase))[0][-1].blink_count


def drowsy_at(act: Act, at_ms: list[float], mouth_wide: Callable[[float], bool] = lambda _: False) -> list[float]:
    """When the eyes were told to be closed for long."""
    seen, _ = watch(act, at_ms, mouth_wide=mouth_wide)
    return [now_ms for eyes, now_ms in zip(seen, at_ms, strict=True) if eyes.closed_ms(now_ms) >= DROWSY_MS]


@st.composite
def winking(draw: st.DrawFn) -> tuple[list[tuple[float, float]], float]:
    """Blinks of all lengths and when they are over."""
    spans, at_ms = [], 1500.0
    for pause_ms, shut_ms in draw(
        st.lists(st.tuples(st.floats(300, 1500), st.floats(40, 300)), min_size=1, max_size=8)
    ):
        spans.append((at_ms, at_ms + shut_ms))
        at_ms += shut_ms + 2 * FLANK_MS + pause_ms
    return spans, at_ms + 500


@given(RATES, PHASES, winking())
def test_blinks_are_counted_at_every_rate(
    fps: int, phase: float, spans_until: tuple[list[tuple[float, float]], float]
) -> None:
    spans, until_ms = spans_until
    assert blinks(lids(spans), fps, until_ms, phase) == len(spans)


@given(PHASES, winking())
def test_five_frames_a_second_see_no_blink_that_is_none(
    phase: float, spans_until: tuple[list[tuple[float, float]], float]
) -> None:
    spans, until_ms = spans_until
    assert blinks(lids(spans), 5, until_ms, phase) <= len(spans)


@given(PHASES, st.floats(330, 380))
def test_a_slow_blink_is_timed_between_the_samples(phase: float, shut_ms: float) -> None:
    assert blinks(lids([(2000, 2000 + shut_ms)]), 10, 4000, phase) == 1


@given(RATES, PHASES, st.floats(0.75, 0.9), st.floats(60, 200))
def test_lids_that_are_low_already_blink_too(fps: int, phase: float, openness: float, shut_ms: float) -> None:
    low, blink = lids([], opened=OPEN * openness), lids([(3000, 3000 + shut_ms)], opened=OPEN * openness)
    assert blinks(lambda at_ms: (blink if at_ms > 1500 else lids([]))(at_ms), fps, 5000, phase) == 1
    assert blinks(lambda at_ms: (low if at_ms > 1500 else lids([]))(at_ms), fps, 5000, phase) == 0


@pytest.mark.parametrize("fps", [5, 10, 30])
@pytest.mark.parametrize("shut_ms", [700, 1500, 4000])
def test_a_long_closure_is_no_blink(fps: int, shut_ms: float) -> None:
    seen, _ = watch(lids([(2000, 2000 + shut_ms)]), times(fps, 3500 + shut_ms))
    assert seen[-1].blink_count == 0
    assert seen[-1].closure is None


@given(RATES, PHASES, st.floats(0.7, 0.9), st.floats(300, 5000))
def test_a_squint_is_no_blink_and_no_closure(fps: int, phase: float, openness: float, lasting_ms: float) -> None:
    squint = lids([(3000, 3000 + lasting_ms)], shut=OPEN * openness)
    seen, perclos = watch(squint, times(fps, 5000 + lasting_ms, phase))
    assert seen[-1].blink_count == 0
    assert perclos.closed_ms == 0


@given(RATES, PHASES, st.floats(0.1, 0.9), st.floats(60, 5000), st.booleans())
def test_one_lid_alone_closes_no_eye(
    fps: int, phase: float, remaining: float, lasting_ms: float, upper_moves: bool
) -> None:
    """Looking down moves the upper lid, a smile the lower one."""
    moved = lids([(3000, 3000 + lasting_ms)], shut=OPEN * remaining)

    def act(at_ms: float) -> Lids:
        lid, rest = moved(at_ms), both(OPEN)
        return Lids(lid.upper, rest.lower) if upper_moves else Lids(rest.upper, lid.lower)

    seen, perclos = watch(act, times(fps, 5000 + lasting_ms, phase))
    assert seen[-1].blink_count == 0
    assert perclos.closed_ms == 0
    assert all(eyes.open for eyes in seen)


@pytest.mark.parametrize(("shut", "counted"), [(0.24, 0), (SHUT, 1)])
def test_a_wide_mouth_moves_the_lids_but_does_not_shut_them(shut: float, counted: int) -> None:
    seen, _ = watch(lids([(2000, 2100)], shut=shut), times(30, 4000), mouth_wide=lambda _: True)
    assert seen[-1].blink_count == counted
    assert blinks(lids([(2000, 2100)], shut=shut), 30, 4000) == 1


def test_a_single_odd_frame_at_30_fps_is_no_blink() -> None:
    assert blinks(lambda at_ms: both(SHUT if 2000 <= at_ms < 2030 else OPEN), 30, 4000) == 0


def test_a_bottom_that_is_noisy_is_one_blink() -> None:
    noisy = {2000: 0.1, 2033: 0.24, 2067: 0.1, 2100: 0.12}
    seen, _ = watch(lambda at_ms: both(noisy.get(round(at_ms), OPEN)), [number * 100 / 3 for number in range(150)])
    assert seen[-1].blink_count == 1


def test_eyes_first_seen_closed_opening_is_no_blink() -> None:
    seen, _ = watch(lids([(-1000, 150)]), times(30, 2000))
    assert seen[-1].blink_count == 0
    assert seen[-1].ratio == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("since_ms", "counted"), [(1950, 0), (1600, 1)])
def test_what_just_came_into_sight_does_not_blink(since_ms: float, counted: int) -> None:
    assert watch(lids([(2060, 2120)]), [since_ms + at for at in times(30, 3000)])[0][-1].blink_count == counted


def test_a_closing_that_is_lost_from_sight_is_no_blink() -> None:
    act, eyes = lids([(2000, 2120)]), Eyes()
    for at_ms in times(30, 3000):
        eyes = see(eyes, act(at_ms), at_ms, 1000 / 30, frontal=True, mouth_wide=False)
        if 2050 < at_ms < 2090:
            eyes = lose(eyes)
    assert eyes.blink_count == 0


def test_between_sparse_samples_nobody_can_tell_a_blink() -> None:
    assert blinks(lambda at_ms: both(SHUT if at_ms == 2000 else OPEN), 2, 5000) == 0


@given(st.sampled_from([5, 10, 15, 25, 30, 60]), PHASES)
def test_a_second_of_closed_eyes_is_told_in_time(fps: int, phase: float) -> None:
    told_ms = drowsy_at(lids([(3000, 8000)]), times(fps, 8000, phase))
    assert 3950 <= told_ms[0] <= 4250
    assert told_ms == [at_ms for at_ms in times(fps, 8000, phase) if at_ms >= told_ms[0]]


@pytest.mark.parametrize("fps", [1, 2, 5, 10, 30])
def test_less_than_a_second_is_not_long(fps: float) -> None:
    for phase in range(10):
        assert not drowsy_at(lids([(3000, 3800)]), times(fps, 6000, phase / 10))


@pytest.mark.parametrize("fps", [5, 10, 30])
def test_open_eyes_end_a_closure(fps: int) -> None:
    assert drowsy_at(lids([(3000, 8000)]), times(fps, 12_000))[-1] <= 8000 + FLANK_MS + 250


@given(PHASES, st.floats(0.68, 1.0))
def test_flutter_does_not_end_a_closure_and_blinks_are_none(phase: float, opening: float) -> None:
    """Lids that part for a moment, the further the shorter."""
    part_ms = 60 if opening > 0.79 else 200

    def act(at_ms: float) -> Lids:
        parted = 5000 <= at_ms < 5000 + part_ms or 6000 <= at_ms < 6000 + part_ms
        return both(OPEN * opening) if parted else lids([(3000, 8000)])(at_ms)

    at_ms = times(30, 8000, phase)
    assert len(drowsy_at(act, at_ms)) >= len([at for at in at_ms if at >= 4050])
    assert watch(act, at_ms)[0][-1].blink_count == 0


def test_blinks_in_a_row_are_no_closure() -> None:
    row = [(3000 + 400 * number, 3100 + 400 * number) for number in range(6)]
    assert not drowsy_at(lids(row), times(30, 7000))
    assert blinks(lids(row), 30, 7000) == 6


def test_who_yawns_with_shut_eyes_is_not_asleep() -> None:
    assert not drowsy_at(lids([(3000, 6000)]), times(10, 7000), lambda at_ms: 2800 <= at_ms <= 6200)
    assert not drowsy_at(lids([(3000, 6000)]), times(10, 7000), lambda at_ms: 3500 <= at_ms <= 6200)


def test_who_sleeps_may_open_the_mouth() -> None:
    assert drowsy_at(lids([(3000, 9000)]), times(10, 9000), lambda at_ms: at_ms >= 5000)[-1] == 9000


def test_after_a_loss_a_closure_counts_anew() -> None:
    seen, _ = watch(lids([(3000, 8000)]), times(10, 5000))
    after, _ = watch(lids([(3000, 8000)]), [5500.0, 6000.0, 6600.0], eyes=lose(seen[-1]))
    assert [eyes.closed_ms(now_ms) for eyes, now_ms in zip(after, [5500.0, 6000.0, 6600.0], strict=True)] == [
        0,
        500,
        1100,
    ]


@given(st.floats(0.14, 0.45), st.sampled_from([10, 15, 30]))
def test_the_open_lids_become_the_persons_own(opened: float, fps: int) -> None:
    seen, _ = watch(lids([(9000, 9120)], opened=opened, shut=opened / 4), times(fps, 10_000))
    assert seen[-1].open_lids is not None
    assert seen[-1].open_lids.opening == pytest.approx(opened, rel=0.2)
    assert seen[-1].blink_count == 1


@pytest.mark.parametrize("begins", [both(0.75 * OPEN), Lids(0.05, 0.137), both(SHUT), both(1.3 * OPEN)])
def test_however_a_session_begins_the_open_lids_are_learned(begins: Lids) -> None:
    """Squinting, looking down, in the middle of a blink or surprised."""
    usual = lids([(number * 4000.0, number * 4000.0 + 120) for number in range(2, 5)])
    seen, _ = watch(lambda at_ms: begins if at_ms < 700 else usual(at_ms), times(15, 20_000))
    assert seen[-1].blink_count == 3
    assert seen[-1].ratio == pytest.approx(1, abs=0.12)


def test_open_lids_are_not_learned_from_closed_ones_nor_from_the_side() -> None:
    awake, asleep = (watch(lids([(3000, 20_000)]), times(10, until_ms))[0][-1] for until_ms in (2900, 20_000))
    assert asleep.open_lids == awake.open_lids
    aside = see(awake, both(0.25), 3000, 100, frontal=False, mouth_wide=False)
    assert aside.open_lids == awake.open_lids


def test_the_lids_shares_follow_the_head() -> None:
    """A nod moves both lids to one side of the line between the corners, and closing brings them together as before."""
    act = lids([(9000, 9120), (12_000, 15_000)])

    def nodded(at_ms: float) -> Lids:
        opening = act(at_ms).opening
        return Lids(0.3 * opening, 0.7 * opening) if at_ms > 4000 else act(at_ms)

    seen, _ = watch(nodded, times(15, 15_000))
    assert seen[-1].blink_count == 1
    assert seen[-1].closed
    assert [eyes.lid for eyes in seen if eyes.ratio is not None and eyes.ratio > 0.9][-1] == pytest.approx(1, abs=0.05)


def test_looking_down_teaches_nothing_of_the_lids_shares() -> None:
    down = Lids(0.2 * OPEN, 0.43 * OPEN)
    seen, _ = watch(lambda at_ms: down if at_ms > 6000 else both(OPEN), times(10, 20_000))
    assert seen[-1].open


def test_waking_slowly_is_no_new_way_to_be_open() -> None:
    asleep = watch(lids([(3000, 20_000)]), times(10, 20_000))[0][-1]
    assert see(asleep, both(0.18), 20_100, 100, frontal=True, mouth_wide=False).open_lids == asleep.open_lids


@given(st.floats(0.45, 0.55))
def test_lids_that_were_never_seen_to_close_are_somebody_elses(share: float) -> None:
    before = Eyes(both(0.4), learned_ms=10_000)
    seen, _ = watch(lambda _: both(0.4 * share), times(10, 8000), eyes=before)
    assert seen[-1].open_lids is not None
    assert seen[-1].open_lids.opening == pytest.approx(0.4 * share)
    assert seen[-1].open


@pytest.mark.parametrize(("away_ms", "learned"), [(1000.0, False), (4000.0, True)])
def test_whoever_comes_after_an_absence_is_learned_anew(away_ms: float, learned: bool) -> None:
    before = watch(lids([]), times(10, 10_000))[0][-1]
    back_ms = [10_000 + away_ms + at for at in times(10, 5000)]
    seen, _ = watch(lids([], opened=0.7 * OPEN), back_ms, eyes=lose(before))
    assert ((seen[-1].ratio or 0) > 0.9) == learned


def test_perclos_is_the_share_of_closed_time() -> None:
    _, perclos = watch(lids([(5000, 11_000)]), times(10, 20_000))
    assert perclos.value() == pytest.approx(6 / 20, abs=0.02)


def test_perclos_says_nothing_before_five_seconds() -> None:
    assert watch(lids([]), times(10, 4900))[1].value() is None
    assert watch(lids([]), times(10, 5300))[1].value() == 0


def test_perclos_forgets_after_a_minute() -> None:
    act = lids([(2000, 8000)])
    assert watch(act, times(10, 60_000))[1].value() == pytest.approx(0.1, abs=0.01)
    assert watch(act, times(10, 70_000))[1].value() == pytest.approx(0, abs=0.01)


@given(st.lists(st.tuples(st.floats(2000, 5000), st.floats(60, 2500)), min_size=6, max_size=12))
@settings(max_examples=30)
def test_perclos_agrees_across_rates(closings: list[tuple[float, float]]) -> None:
    spans, at_ms = [], 1000.0
    for pause_ms, shut_ms in closings:
        spans.append((at_ms + pause_ms, at_ms + pause_ms + shut_ms))
        at_ms = spans[-1][1] + 2 * FLANK_MS
    values = [watch(lids(spans), times(fps, at_ms))[1].value() or 0 for fps in (10, 15, 30)]
    assert max(values) - min(values) <= 0.02


@given(RATES, winking(), st.floats(1e3, 1e9))
def test_the_clock_may_start_anywhere(
    fps: int, spans_until: tuple[list[tuple[float, float]], float], shift_ms: float
) -> None:
    spans, until_ms = spans_until
    shifted = [(start + shift_ms, end + shift_ms) for start, end in spans]
    assert watch(lids(shifted), [shift_ms + at for at in times(fps, until_ms)])[0][-1].blink_count == len(spans)


@given(RATES, winking())
def test_a_frame_that_comes_twice_changes_nothing(
    fps: int, spans_until: tuple[list[tuple[float, float]], float]
) -> None:
    spans, until_ms = spans_until
    once = times(fps, until_ms)
    (*_, single), perclos = watch(lids(spans), once)
    (*_, double), doubled = watch(lids(spans), [at_ms for at_ms in once for _ in range(2)])
    assert (double.blink_count, double.closure) == (single.blink_count, single.closure)
    assert (double.ratio, doubled.closed_ms) == pytest.approx((single.ratio, perclos.closed_ms), rel=0.01, abs=0.5)


@given(RATES, winking(), st.floats(0, 1))
def test_a_snapshot_goes_on_as_if_nothing_had_happened(
    fps: int, spans_until: tuple[list[tuple[float, float]], float], share: float
) -> None:
    spans, until_ms = spans_until
    whole = times(fps, until_ms)
    at, adapter = int(share * (len(whole) - 1)) + 1, TypeAdapter(Eyes)
    (*_, expected), _ = watch(lids(spans), whole)
    eyes = Eyes()
    for part in (whole[:at], whole[at:]):
        for now_ms in part:
            dt_ms = 0.0 if now_ms == whole[0] else 1000 / fps
            eyes = see(eyes, lids(spans)(now_ms), now_ms, dt_ms, frontal=True, mouth_wide=False)
        eyes = adapter.validate_json(adapter.dump_json(eyes))
    assert eyes.blink_count == expected.blink_count == len(spans)
