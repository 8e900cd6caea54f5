"""Whether a face moves by itself: photos that are noisy, carried and frozen, and people who hardly move."""

from collections.abc import Callable
from itertools import pairwise
from math import sin
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.analyzer.domain import stillness
from services.analyzer.domain.faces import Region
from services.analyzer.domain.geometry import measure
from services.analyzer.domain.stillness import Stillness
from tests.support.faces import face

Told = list[bool | None]
Acts = Callable[[float], dict[str, Any]]  # what `face` is given at a time in seconds


def photo(_: float) -> dict[str, Any]:
    return {}


def watch(
    acts: Acts,
    seconds: float,
    *,
    fps: float = 10.0,
    noise_px: float = 0.0,
    carried: Callable[[float], float] = lambda _: 0.0,
    closed: bool = False,
    state: Stillness = Stillness(),  # noqa: B008
    from_s: float = 0.0,
) -> tuple[Stillness, Told]:
    """`carried`: how far the face is moved to image right, in faces, at a time in seconds."""
    chance, told = np.random.default_rng(1), []
    for number in range(round(seconds * fps)):
        at_s = from_s + number / fps
        x_px = 160 + 140 * carried(at_s)
        seen = face(**acts(at_s), centre=(x_px, 120.0))
        seen += chance.normal(0, noise_px, seen.shape).astype(np.float32)
        dt_ms = 1000 / fps if number or from_s else 0.0
        state = stillness.see(state, measure(seen), Region(x_px, 120, 210), 1000 * at_s, dt_ms, closed=closed)
        told.append(state.still)
    return state, told


@pytest.mark.parametrize("fps", [5, 10, 30])
@pytest.mark.parametrize("noise_px", [0.0, 0.1])
def test_a_photo_is_a_still_after_seven_seconds_and_stays_one(fps: float, noise_px: float) -> None:
    _, told = watch(photo, 40, fps=fps, noise_px=noise_px)
    assert set(told[: round(6.9 * fps)]) == {None}  # nobody can tell yet
    assert set(told[round(8 * fps) :]) == {True}


@pytest.mark.parametrize(
    "acts",
    [
        lambda at_s: {"ear": 0.32 if at_s % 5 > 0.2 else 0.05},  # blinks
        lambda at_s: {"iris_h": 0.04 * sin(at_s)},
        lambda at_s: {"iris_v": 0.03 * sin(at_s)},
        lambda at_s: {"ear": 0.32 + 0.016 * sin(at_s / 1.5)},  # lids that sink and rise a little: a stare
        lambda at_s: {"mar": 0.04 + 0.04 * sin(at_s)},
        lambda at_s: {"yaw_deg": 1.0 * sin(at_s)},
        lambda at_s: {"pitch_deg": 1.2 * sin(at_s)},
    ],
    ids=["blinks", "eyes aside", "eyes up", "lids", "mouth", "turning", "nodding"],
)
def test_one_movement_of_its_own_is_enough_for_life(acts: Acts) -> None:
    _, told = watch(acts, 40)
    assert True not in told
    assert told[-1] is False


def test_a_photo_in_a_hand_takes_twice_as_long() -> None:
    _, told = watch(lambda at_s: {"roll_deg": 3 * sin(2 * at_s)}, 30, carried=lambda at_s: 0.1 * sin(3 * at_s))
    assert True not in told[:139]
    assert told[-1] is True


def test_what_the_mesh_errs_at_first_sight_is_no_movement() -> None:
    _, told = watch(lambda at_s: {"pitch_deg": 1.4 * (at_s < 0.1) - 0.4 * (at_s > 4)}, 7.5)
    assert told[-1] is True


def test_a_still_that_begins_to_move_is_none_any_more() -> None:
    state, told = watch(photo, 10)
    assert told[-1] is True
    _, told = watch(lambda at_s: {"iris_h": 0.1 * sin(at_s)}, 4, state=state, from_s=10)
    assert told[-1] is False


def test_a_still_is_not_lost_by_what_made_none() -> None:
    state, _ = watch(photo, 10)
    _, told = watch(lambda at_s: {"iris_h": 0.044 * (at_s > 12)}, 5, state=state, from_s=10)
    assert set(told) == {True}
    _, told = watch(lambda at_s: {"iris_h": 0.044 * (at_s > 2)}, 5)
    assert told[-1] is False


def test_a_sleeper_lies_still_and_is_none_but_a_frozen_picture_of_one_is() -> None:
    def breathing(at_s: float) -> dict[str, Any]:
        return {"ear": 0.06, "pitch_deg": 0.4 * sin(at_s)}

    assert True not in watch(breathing, 30, closed=True)[1]
    assert watch(lambda _: {"ear": 0.06}, 30, closed=True)[1][-1] is True


def test_a_picture_a_second_needs_enough_of_them() -> None:
    _, told = watch(photo, 40, fps=1)
    assert set(told[:29]) == {None}
    assert told[-1] is True


@settings(max_examples=30)
@given(st.lists(st.floats(0, 500), min_size=1, max_size=60))
def test_any_distances_of_frames_are_taken(gaps_ms: list[float]) -> None:
    state, now_ms, seen = Stillness(), 0.0, measure(face())
    states = [state]
    for gap_ms in gaps_ms:
        now_ms += gap_ms
        state = stillness.see(state, seen, None, now_ms, gap_ms, closed=False)
        states.append(state)
    told = [each.still for each in states]
    assert all(after or not before for before, after in pairwise(told))
    assert False not in told
    if now_ms - gaps_ms[0] < 7000:
        assert True not in told
