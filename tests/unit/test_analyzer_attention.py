"""Engagement's parts and the state's hysteresis; labels of head and gaze; reasons to refuse."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import State
from services.analyzer.domain.attention import WEIGHTS, Attention, engagement_parts, observed_state, settle
from services.analyzer.domain.directions import GazeCentre, gaze_label, head_label, learn_centre
from services.analyzer.domain.quality import Clarity, insufficient

SIGNALS = st.fixed_dictionaries(
    {
        "yaw_deg": st.floats(-55, 55),
        "pitch_deg": st.floats(-40, 40),
        "gaze_h": st.none() | st.floats(-0.6, 0.6),
        "perclos": st.none() | st.floats(0, 1),
        "closed_ms": st.floats(0, 5000),
    }
)
GOOD = Clarity(blur=40, contrast=100, brightness=120)
ATTENTIVE: dict[str, Any] = {"yaw_deg": 0.0, "pitch_deg": 0.0, "gaze_h": 0.0, "perclos": 0.02, "closed_ms": 0.0}


def engagement(**signals: Any) -> float:
    return sum(engagement_parts(**{**ATTENTIVE, **signals}).values())


@given(SIGNALS)
def test_every_part_is_within_its_weight(signals: dict[str, Any]) -> None:
    parts = engagement_parts(**signals)
    assert parts.keys() == WEIGHTS.keys()
    assert all(0 <= parts[name] <= WEIGHTS[name] for name in parts)


def test_the_weights_make_one() -> None:
    assert sum(WEIGHTS.values()) == pytest.approx(1)
    assert engagement(perclos=0.0) == pytest.approx(1)


@pytest.mark.parametrize(("signal", "worst"), [("yaw_deg", 60), ("pitch_deg", 45), ("perclos", 1), ("closed_ms", 2000)])
@given(shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_engagement_falls_with_each_signal(signal: str, worst: float, shares: tuple[float, float]) -> None:
    less, more = (share * worst for share in sorted(shares))
    assert engagement(**{signal: less}) >= engagement(**{signal: more}) - 1e-9


def test_each_signal_matters() -> None:
    attentive = engagement()
    for signals in ({"yaw_deg": 45.0}, {"pitch_deg": 40.0}, {"perclos": 0.3}, {"closed_ms": 900.0}, {"gaze_h": 0.45}):
        assert engagement(**signals) < attentive - 0.1


def test_eyes_that_turn_back_make_up_for_a_turned_head() -> None:
    assert engagement(yaw_deg=25.0, gaze_h=-0.2) > engagement(yaw_deg=25.0, gaze_h=0.0)


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


def test_drowsy_is_told_at_once() -> None:
    assert run(("drowsy", 1)) == ["drowsy"]


@pytest.mark.parametrize(
    ("yaw", "pitch", "roll", "label"),
    [
        (0, 0, 0, "forward"),
        (30, 0, 0, "right"),
        (-30, 0, 0, "left"),
        (0, 20, 0, "down"),
        (5, -20, 0, "up"),
        (0, 0, 25, "tilted"),
        (22, 30, 0, "down"),
    ],
)
def test_head_labels(yaw: float, pitch: float, roll: float, label: str) -> None:
    assert head_label(yaw, pitch, roll) == label


@pytest.mark.parametrize(
    ("h", "v", "label"),
    [(0, 0, "center"), (0.24, 0, "right"), (-0.24, 0.03, "left"), (0, 0.12, "up"), (0, -0.09, "down")],
)
def test_gaze_labels(h: float, v: float, label: str) -> None:
    assert gaze_label(h, v, pitch_deg=0) == label


def test_the_gaze_centre_is_the_persons_own_and_does_not_follow_a_glance() -> None:
    centre = GazeCentre()
    for _ in range(50):
        centre = learn_centre(centre, 0.05, 0.06, 100)
    assert (centre.h, centre.v) == pytest.approx((0.05, 0.06), abs=0.005)
    for _ in range(100):
        centre = learn_centre(centre, 0.3, 0.06, 100)
    assert centre.h == pytest.approx(0.05, abs=0.005)


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
