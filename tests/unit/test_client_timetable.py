"""The timetable of a drawn student: what it promises, whatever the seed."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from services.client.timetable import FIRST_BLINK_S, GUARD_S, LAST_S, Event, Timetable, Truth

seeds = st.integers(0, 10_000)
durations = st.floats(0, 300)


@given(seeds, durations)
def test_the_same_seed_gives_the_same_student(seed: int, duration_s: float) -> None:
    assert Timetable(seed, duration_s).events == Timetable(seed, duration_s).events


def test_students_differ() -> None:
    assert len({Timetable(seed, 60).events for seed in range(20)}) == 20


@given(seeds, durations)
def test_blinks_are_blinks_and_keep_away_from_all_else(seed: int, duration_s: float) -> None:
    events = Timetable(seed, duration_s).events
    for event in events:
        assert 0 < event.start_s < event.full_from_s < event.full_to_s < event.end_s <= duration_s - LAST_S
        if event.kind == "blink":
            assert 0.15 <= event.end_s - event.start_s <= 0.35
            assert event.start_s >= FIRST_BLINK_S
        if event.kind == "yawn":
            assert event.full_to_s - event.full_from_s >= 1.0
    for before, after in itertools.pairwise(events):
        assert after.start_s - before.end_s >= GUARD_S - 1e-9


@given(seeds, st.floats(0, 60))
def test_poses_stay_in_range(seed: int, t_s: float) -> None:
    pose = Timetable(seed, 60).pose_at(t_s)
    assert 0 <= pose.eyes <= 1
    assert 0 <= pose.mouth <= 1
    assert abs(pose.look_x) <= 1
    assert abs(pose.look_y) <= 1
    assert abs(pose.yaw_deg) <= 35
    assert 0 <= pose.hand_raised <= 1


@given(seeds)
def test_a_full_event_is_all_there(seed: int) -> None:
    timetable = Timetable(seed, 120)
    for event in timetable.events:
        pose = timetable.pose_at((event.full_from_s + event.full_to_s) / 2)
        match event.kind:
            case "blink":
                assert pose.eyes == 0
            case "yawn":
                assert pose.mouth == 1
            case "look_away":
                assert pose.yaw_deg * event.side > 25
            case "raise_hand":
                assert (pose.hand_raised, pose.hand_side) == (1, event.side)
            case "leave":
                assert not pose.present
        after = timetable.pose_at(event.end_s + GUARD_S / 2)
        assert (after.eyes, after.mouth, after.hand_raised, after.present) == (1, 0, 0, True)


@given(seeds, st.floats(0, 0.0999), st.sampled_from([10, 15, 30]))
def test_ten_frames_a_second_see_everything(seed: int, phase_s: float, fps: int) -> None:
    timetable = Timetable(seed, 60)
    captured_s = [phase_s + number / fps for number in range(60 * fps)]
    assert timetable.drawn(captured_s) == timetable.truth(60)


@given(seeds, st.floats(0, 120), st.floats(0, 120))
def test_the_truth_only_grows(seed: int, one_s: float, other_s: float) -> None:
    timetable = Timetable(seed, 120)
    early, late = timetable.truth(min(one_s, other_s)), timetable.truth(max(one_s, other_s))
    assert early.blinks <= late.blinks
    assert early.yawns <= late.yawns
    assert early.looks_away <= late.looks_away
    assert early.hands_raised <= late.hands_raised
    assert early.absences <= late.absences


def test_the_truth_counts_what_ended() -> None:
    timetable = Timetable(3, 60)
    blink = next(event for event in timetable.events if event.kind == "blink")
    assert timetable.truth(blink.end_s - 0.001).blinks == 0
    assert timetable.truth(blink.end_s).blinks == 1


def test_a_blink_between_two_captures_was_not_drawn() -> None:
    timetable = Timetable(3, 60)
    blink = next(event for event in timetable.events if event.kind == "blink")
    assert timetable.drawn([blink.start_s, blink.end_s]) == Truth()
    assert timetable.drawn([blink.full_from_s + 0.01, blink.end_s]) == Truth(blinks=1)
    assert timetable.drawn([blink.full_from_s + 0.01]) == Truth()
    assert timetable.drawn([]) == Truth()


@given(st.floats(-1, 2))
def test_an_event_rises_stays_and_falls(at_s: float) -> None:
    blink = Event("blink", 0.0, 0.3)
    amount = blink.amount(at_s)
    assert 0 <= amount <= 1
    assert (amount == 1) == (blink.full_from_s <= at_s <= blink.full_to_s)
