"""Engagement's parts and the state's hysteresis; labels of head and gaze; reasons to refuse."""

from itertools import pairwise
from math import hypot
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import State
from services.analyzer.domain.attention import (
    WEIGHTS,
    Attention,
    engagement_parts,
    interrupted,
    line_of_sight_deg,
    observed_state,
    settle,
)
from services.analyzer.domain.quality import Clarity, insufficient

GOOD = Clarity(blur=40, contrast=100, brightness=120)
SIGNALS = {
    "head_deg": st.floats(0, 80),
    "look_deg": st.floats(0, 80),
    "perclos": st.none() | st.floats(0, 1),
    "closed_ms": st.floats(0, 5000),
}
ANY = st.fixed_dictionaries(SIGNALS)
ATTENTIVE: dict[str, Any] = {"head_deg": 0.0, "look_deg": 0.0, "perclos": 0.02, "closed_ms": 0.0}


def engagement(**signals: Any) -> float:
    return sum(engagement_parts(**{**ATTENTIVE, **signals}).values())


@given(ANY)
def test_every_part_is_within_its_weight(signals: dict[str, Any]) -> None:
    parts = engagement_parts(**signals)
    assert parts.keys() == WEIGHTS.keys()
    assert all(0 <= parts[name] <= WEIGHTS[name] for name in parts)


def test_the_weights_make_one() -> None:
    assert sum(WEIGHTS.values()) == pytest.approx(1)
    assert engagement(perclos=0.0) == pytest.approx(1)


@pytest.mark.parametrize(
    ("signal", "part"), [("head_deg", "head"), ("look_deg", "gaze"), ("perclos", "eyes"), ("closed_ms", "eyes")]
)
@given(others=ANY, values=st.data())
def test_what_gets_worse_lowers_its_own_part_or_nothing(
    signal: str, part: str, others: dict[str, Any], values: st.DataObject
) -> None:
    better, worse = sorted(values.draw(st.floats(0, 1 if signal == "perclos" else 5000)) for _ in range(2))
    before, after = (engagement_parts(**{**others, signal: value}) for value in (better, worse))
    assert after[part] <= before[part]
    assert {name: share for name, share in after.items() if name != part} == {
        name: share for name, share in before.items() if name != part
    }


@given(st.floats(0, 1), st.floats(0, 1), st.floats(-60, 60), st.floats(-40, 40))
def test_turning_towards_the_camera_never_lowers_it(less: float, more: float, yaw: float, pitch: float) -> None:
    less, more = sorted((less, more))

    def turned(share: float) -> float:
        head, look = (
            hypot(share * yaw, share * pitch),
            line_of_sight_deg(share * yaw, share * pitch, eyes_deg=0.0),
        )
        return engagement(head_deg=head, look_deg=look)

    assert turned(less) >= turned(more) - 1e-9


@given(st.floats(0, 1), st.floats(0, 1), st.floats(-40, 40))
def test_eyes_that_turn_from_the_camera_never_raise_it(less: float, more: float, eyes: float) -> None:
    less, more = sorted((less, more))
    sights = [line_of_sight_deg(0.0, 10.0, share * eyes) for share in (less, more)]
    assert engagement(look_deg=sights[0]) >= engagement(look_deg=sights[1]) - 1e-9


def test_each_signal_matters() -> None:
    attentive = engagement()
    for signals in ({"head_deg": 45.0}, {"look_deg": 45.0}, {"perclos": 0.3}, {"closed_ms": 900.0}):
        assert engagement(**signals) < attentive - 0.1


def test_eyes_that_turn_back_make_up_for_a_turned_head() -> None:
    assert line_of_sight_deg(20.0, 0.0, -15.0) == pytest.approx(5)
    assert line_of_sight_deg(20.0, 0.0, 15.0) == pytest.approx(35)


@pytest.mark.parametrize("pitch", [0.0, 12.0])
@given(eyes=st.floats(-30, 30))
def test_where_eyes_cannot_be_measured_any_more_nothing_jumps(pitch: float, eyes: float) -> None:
    yaws = [tenths / 10 for tenths in range(600)]
    sights = [line_of_sight_deg(yaw, pitch, eyes) for yaw in yaws]
    assert max(abs(after - before) for before, after in pairwise(sights)) <= 0.1 * (1 + 30 / 15) + 1e-9
    assert sights[350:] == pytest.approx([hypot(yaw, pitch) for yaw in yaws[350:]])


@pytest.mark.parametrize(
    ("engaged", "present", "drowsy", "told", "state"),
    [
        (None, False, False, "engaged", "absent"),
        (None, True, False, "engaged", "unknown"),
        (0.9, True, True, "engaged", "drowsy"),
        (0.9, True, False, "unknown", "engaged"),
        (0.5, True, False, "engaged", "distracted"),
        (0.72, True, False, "engaged", "engaged"),
        (0.72, True, False, "distracted", "distracted"),
    ],
)
def test_what_a_moment_says(engaged: float | None, present: bool, drowsy: bool, told: State, state: State) -> None:
    assert observed_state(engaged, face_present=present, drowsy=drowsy, told=told) == state


def run(*observed: tuple[State, int]) -> list[State]:
    """States told at 10 fps, given what is observed and for how many frames."""
    attention, told, now_ms = Attention("engaged", "engaged"), [], 0.0
    for state, frames in observed:
        for _ in range(frames):
            now_ms += 100
            attention = settle(attention, state, now_ms)
            told.append(attention.state)
    return told


def test_a_state_must_hold_to_be_told() -> None:
    assert set(run(("distracted", 15), ("engaged", 5))) == {"engaged"}
    assert run(("distracted", 17))[-1] == "distracted"
    assert set(run(("distracted", 12), ("engaged", 1), ("distracted", 12))) == {"engaged"}
    assert run(("absent", 12))[-1] == "absent"


def test_what_was_about_to_be_told_does_not_go_on_over_a_jump_of_the_clock() -> None:
    attention = settle(Attention("engaged", "engaged"), "distracted", 1000)
    assert settle(interrupted(attention), "distracted", 2600).state == "engaged"
    assert settle(attention, "distracted", 2600).state == "distracted"


@given(
    st.lists(st.sampled_from(["engaged", "distracted", "unknown", "absent"]), min_size=1, max_size=60),
    st.floats(20, 400),
)
def test_a_state_is_told_only_after_it_was_observed_for_its_time(observed: list[State], every_ms: float) -> None:
    attention, now_ms, since_ms = Attention("engaged", "engaged"), 0.0, 0.0
    for before, state in zip(["engaged", *observed], observed, strict=False):
        now_ms += every_ms
        since_ms = since_ms if state == before else now_ms
        told = settle(attention, state, now_ms)
        if told.state != attention.state:
            assert told.state == state
            assert now_ms - since_ms >= 700
        attention = told


def test_after_a_jump_of_the_clock_the_state_told_stays_and_nothing_else_is_on_its_way() -> None:
    assert interrupted(Attention("engaged", "absent", 5_000)) == Attention("engaged", "engaged")


def test_drowsy_is_told_at_once() -> None:
    assert run(("drowsy", 1)) == ["drowsy"]


@pytest.mark.parametrize(
    ("face_px", "clarity", "yaw", "pitch", "reason"),
    [
        (120, GOOD, 0, 0, None),
        (120, Clarity(blur=40, contrast=60, brightness=35), 0, 0, None),  # dark skin in good light
        (120, Clarity(blur=40, contrast=30, brightness=30), 0, 0, None),  # dim
        (30, GOOD, 0, 0, "face_small"),
        (120, Clarity(blur=40, contrast=8, brightness=10), 0, 0, "dark"),
        (120, Clarity(blur=40, contrast=8, brightness=200), 0, 0, "blurred"),  # dazzled
        (120, Clarity(blur=2, contrast=100, brightness=120), 0, 0, "blurred"),
        (120, GOOD, -70, 0, "turned_away"),
        (120, GOOD, 0, 50, "turned_away"),
        (120, None, 0, 0, "no_face"),  # cut by the picture's edge
    ],
)
def test_reasons_to_refuse(
    face_px: float, clarity: Clarity | None, yaw: float, pitch: float, reason: str | None
) -> None:
    assert insufficient(face_px, clarity, yaw, pitch) == reason
