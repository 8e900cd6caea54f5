"""When the body is looked at, and what a look says of the hands."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analyzer.domain.body import Arm, Body, Joint
from services.analyzer.domain.hands import Hands, lift, look_due, see

FACE_PX = 100.0
EVERY_MS = 500.0
RATES = st.sampled_from([2, 3, 5, 10, 15, 30, 60])
LIFTS = st.floats(-3, 2)


def arm(
    height: float,
    *,
    seen: float = 0.9,
    x_px: float = 80.0,
    elbow: float = -1.0,
    elbow_seen: float = 0.9,
    px: float = 1.0,
) -> Arm:
    """An arm whose wrist is so many faces above the shoulder."""
    return Arm(
        Joint(x_px * px, 300.0 * px, 1.0),
        Joint(x_px * px, (300.0 - elbow * FACE_PX) * px, elbow_seen),
        Joint(x_px * px, (300.0 - height * FACE_PX) * px, seen),
    )


DOWN = arm(-2.0, seen=0.05, elbow_seen=0.1)


def body(height: float, **other: float) -> Body:
    return Body(arm(height, **other), replace(DOWN, shoulder=Joint(240.0, 300.0, 1.0)))


def mirrored(body: Body, width_px: float = 320.0) -> Body:
    def turned(arm: Arm) -> Arm:
        return Arm(*(replace(joint, x_px=width_px - joint.x_px) for joint in (arm.shoulder, arm.elbow, arm.wrist)))

    return Body(turned(body.right), turned(body.left))


def looked(bodies: list[Body | None], every_ms: float = EVERY_MS, hands: Hands | None = None) -> list[bool | None]:
    """What is told after each of these looks."""
    hands, told = hands or Hands(), []
    for number, found in enumerate(bodies):
        hands = see(hands, found, FACE_PX, number * every_ms)
        told.append(hands.raised)
    return told


def watch(
    height: Callable[[float], float], times_ms: list[float], start_ms: float = 0.0, *, motion: bool = True
) -> tuple[list[bool | None], list[float]]:
    """Frames of a hand at a height over time: what each frame tells, and when the body was looked at. Something moved
    when the hand is elsewhere than at the last look."""
    hands = Hands()
    told: list[bool | None] = []
    looks: list[float] = []
    for before_ms, at_ms in pairwise([times_ms[0], *times_ms]):
        due = look_due(hands, start_ms + at_ms, at_ms - before_ms, EVERY_MS)
        if due == "now" or (due == "if_moved" and motion and abs(height(at_ms) - height(looks[-1])) > 0.3):
            hands = see(hands, body(height(at_ms)), FACE_PX, start_ms + at_ms)
            looks.append(at_ms)
        told.append(hands.raised)
    return told, looks


def raising(up_ms: float, down_ms: float, takes_ms: float = 400.0) -> Callable[[float], float]:
    """The height of a hand that crosses the shoulder at these times, from the lap to above the head and back."""

    def height(at_ms: float) -> float:
        rising = (at_ms - up_ms) / takes_ms * 2
        falling = (down_ms - at_ms) / takes_ms * 2
        return max(-2.0, min(1.0, rising, falling))

    return height


def frames(fps: float, phase: float, until_ms: float) -> list[float]:
    return [(number + phase) * 1000 / fps for number in range(int(until_ms * fps / 1000))]


@given(RATES, st.floats(0, 1), st.floats(4000, 30_000), st.floats(1500, 20_000))
def test_raised_within_a_second_and_lowered_within_two(fps: int, phase: float, up_ms: float, up_for_ms: float) -> None:
    down_ms = up_ms + up_for_ms
    times_ms = frames(fps, phase, down_ms + 6000)
    told, _ = watch(raising(up_ms, down_ms), times_ms)
    raised = [at_ms for at_ms, is_up in zip(times_ms, told, strict=True) if is_up]
    assert raised
    assert up_ms <= raised[0] <= up_ms + 1000
    assert down_ms - 1000 / fps <= raised[-1] <= down_ms + 2000
    assert told[-1] is False
    assert raised == [at_ms for at_ms in times_ms if raised[0] <= at_ms <= raised[-1]], "it does not flicker"


@given(st.floats(0, 1), st.floats(4000, 15_000))
def test_lowering_is_seen_although_no_motion_was(phase: float, up_ms: float) -> None:
    times_ms = frames(10, phase, up_ms + 60_000)
    down_ms = up_ms + 25_000
    told, _ = watch(raising(up_ms, down_ms), times_ms, motion=False)
    raised = [at_ms for at_ms, is_up in zip(times_ms, told, strict=True) if is_up]
    assert raised
    assert raised[0] <= up_ms + 20_100, "the heartbeat finds it"
    assert raised[-1] <= down_ms + 2000


@given(RATES, st.floats(0, 1))
def test_looks_are_rare_at_rest_and_never_too_frequent(fps: int, phase: float) -> None:
    _, looks = watch(lambda at_ms: -2.0, frames(fps, phase, 120_000))
    assert len(looks) == 12, "a hand in the lap: two looks each time"
    _, looks = watch(raising(1000, 30_000), frames(fps, phase, 60_000))
    assert all(b - a >= 0.95 * EVERY_MS for a, b in pairwise(looks))


@given(RATES, st.floats(0, 1), st.floats(4000, 10_000), st.sampled_from([-1e9, -7.5e6, 3.6e6, 1e9]))
def test_the_clock_does_not_matter(fps: int, phase: float, up_ms: float, start_ms: float) -> None:
    times_ms = [float(round(at_ms)) for at_ms in frames(fps, phase, 20_000)]
    assert watch(raising(up_ms, up_ms + 4000), times_ms) == watch(raising(up_ms, up_ms + 4000), times_ms, start_ms)


@given(RATES, st.floats(0, 1), st.floats(4000, 10_000))
def test_every_frame_twice_tells_the_same(fps: int, phase: float, up_ms: float) -> None:
    times_ms = frames(fps, phase, 20_000)
    once, looks = watch(raising(up_ms, up_ms + 4000), times_ms)
    twice, as_many = watch(raising(up_ms, up_ms + 4000), [at_ms for at_ms in times_ms for _ in range(2)])
    assert (twice[::2], twice[1::2], as_many) == (once, once, looks)


@given(st.lists(LIFTS, max_size=20))
def test_in_a_mirror_the_verdict_is_the_same(heights: list[float]) -> None:
    bodies = [body(height) for height in heights]
    assert looked([mirrored(found) for found in bodies]) == looked(list(bodies))


@given(st.lists(LIFTS, max_size=20), st.floats(0.1, 10))
def test_the_size_of_the_picture_does_not_matter(heights: list[float], px: float) -> None:
    for height in heights:
        assert lift(arm(height, px=px), FACE_PX * px) == pytest.approx(height, abs=1e-6)


@given(st.lists(st.floats(0.01, 0.14), min_size=1, max_size=20), st.booleans())
def test_between_the_thresholds_nothing_changes(heights: list[float], raised: bool) -> None:
    assert set(looked([body(height) for height in heights], hands=Hands(raised, looked_at_ms=-1.0))) == {raised}


def test_one_look_raises_and_two_in_a_row_lower() -> None:
    up, down = body(0.5), body(-1.0)
    assert looked([down, up, down, up, down, down]) == [False, True, True, True, True, False]


def test_a_doubted_hand_is_looked_at_again_although_nothing_moved() -> None:
    hands = see(Hands(raised=True, looked_at_ms=0.0), body(-1.0), FACE_PX, 1000.0)
    assert (hands.raised, hands.doubted) == (True, True)
    assert look_due(hands, 1000.0 + EVERY_MS - 30, 33.0, EVERY_MS) == "no"
    assert look_due(hands, 1000.0 + EVERY_MS, 33.0, EVERY_MS) == "now"


def test_half_a_wrist_is_looked_at_once_more() -> None:
    for seen, doubted in ((0.1, False), (0.2, True), (0.9, True)):
        hands = see(Hands(False, looked_at_ms=0.0), body(-1.0, seen=seen), FACE_PX, 1000.0)
        assert (hands.raised, hands.doubted) == (False, doubted)
        again = see(hands, body(-1.0, seen=seen), FACE_PX, 1500.0)
        assert (again.raised, again.doubted) == (False, False)


def test_no_body_is_no_answer() -> None:
    assert looked([None, None]) == [None, None]
    assert looked([body(-1.0), None, body(-1.0)]) == [False, None, False]
    assert looked([body(0.5), None, body(0.5), None, None]) == [True, True, True, True, None]
    assert look_due(see(Hands(), None, FACE_PX, 0.0), EVERY_MS, 33.0, EVERY_MS) == "if_moved"


@given(LIFTS, st.floats(0, 0.34))
def test_a_wrist_that_is_not_seen_is_not_up(height: float, seen: float) -> None:
    assert looked([body(height, seen=seen, elbow_seen=0.2)]) == [False]
    assert looked([body(height, seen=seen, elbow=-1.0)]) == [False]


def test_a_hand_above_the_picture_is_up_by_its_elbow() -> None:
    assert looked([body(2.5, seen=0.1, elbow=0.6)]) == [True]
    assert looked([body(0.2, seen=0.1, elbow=0.6)]) == [False], "the forearm hangs down"


@given(LIFTS, LIFTS)
def test_either_hand_counts(left: float, right: float) -> None:
    both = Body(arm(left), arm(right, x_px=240.0))
    assert looked([both]) == [max(left, right) >= 0.15]


@given(st.floats(-1e6, 1e6))
def test_whoever_was_never_looked_at_is(now_ms: float) -> None:
    assert look_due(Hands(), now_ms, 33.0, EVERY_MS) == "now"


@given(RATES, st.floats(0, 1))
def test_motion_is_looked_for_five_times_a_second_at_most(fps: int, phase: float) -> None:
    times_ms = [float(round(at_ms)) for at_ms in frames(fps, phase, 15_000)]  # as cameras tell them
    hands = Hands(False, looked_at_ms=times_ms[0])
    dues = [look_due(hands, b, b - a, EVERY_MS) for a, b in pairwise(times_ms)]
    checks = [at_ms for at_ms, due in zip(times_ms[1:], dues, strict=True) if due == "if_moved"]
    assert checks[0] <= times_ms[0] + EVERY_MS + 1000 / fps + 1
    assert all(b - a <= 200 + 1000 / fps + 1 for a, b in pairwise(checks))
    assert len(checks) <= 15 * min(fps, 5) + 1
