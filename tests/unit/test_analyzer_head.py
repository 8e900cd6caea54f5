"""Angles of the head: without jitter, without lag, in the camera's axes, from the person's own zero."""

from dataclasses import replace
from math import pi, sin

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analyzer.domain import head as head_
from services.analyzer.domain.geometry import Geometry, measure
from services.analyzer.domain.head import Angles, Head
from services.analyzer.domain.smoothing import OneEuro, Tuning, smooth
from tests.support.faces import face

AHEAD = measure(face())
FPS = (5, 10, 15, 30)


def turned(yaw_deg: float = 0.0, pitch_deg: float = 0.0, roll_deg: float = 0.0, bearing_deg: float = 0.0) -> Geometry:
    return replace(AHEAD, yaw_deg=yaw_deg, pitch_deg=pitch_deg, roll_deg=roll_deg, bearing_deg=bearing_deg)


def hold(head: Head, seen: Geometry, seconds: float, fps: int = 10) -> tuple[Head, Angles]:
    angles = Angles(0, 0, 0)
    for _ in range(round(seconds * fps)):
        head, angles = head_.see(head, seen, 1000 / fps, eyes_open=True)
    return head, angles


class TestOneEuro:
    TUNING = Tuning(steady_hz=2.0, hz_per_unit_s=0.5, speed_hz=2.0)

    def run(self, samples: list[float], fps: float) -> list[float]:
        state: OneEuro | None = None
        values = []
        for sample in samples:
            state = smooth(state, sample, 1000 / fps, self.TUNING)
            values.append(state.value)
        return values

    def test_a_first_order_low_pass_at_rest(self) -> None:
        # Without speed the cut-off is 2 Hz; at 10 fps a sample counts 1 / (1 + 1 / (2π·2·0.1)).
        still = Tuning(steady_hz=2.0, hz_per_unit_s=0.0, speed_hz=2.0)
        share = 1 / (1 + 1 / (2 * pi * 2 * 0.1))
        assert smooth(OneEuro(0.0, 0.0), 1.0, 100, still).value == pytest.approx(share)

    def test_noise_is_more_than_halved(self) -> None:
        noise = np.random.default_rng(1).normal(0, 0.3, 600).tolist()
        assert np.std(np.diff(self.run(noise, 30))) < 0.5 * np.std(np.diff(noise))

    @pytest.mark.parametrize("fps", FPS)
    def test_who_turns_is_followed_within_a_degree(self, fps: int) -> None:
        truth = [40 * sin(2 * pi * 0.25 * number / fps) for number in range(8 * fps)]  # up to 63° a second
        late = [abs(value - true) for value, true in zip(self.run(truth, fps), truth, strict=True)]
        assert max(late[fps // 2 :]) < 1

    @given(st.floats(-90, 90), st.floats(-90, 90))
    def test_never_beyond_what_was_sampled(self, before: float, after: float) -> None:
        low, high = sorted((before, after))
        assert all(low - 1e-9 <= value <= high + 1e-9 for value in self.run([before, after, after], 10))

    def test_the_same_moment_once_more_changes_nothing(self) -> None:
        once = smooth(OneEuro(1.0, 1.0), 2.0, 100, self.TUNING)
        assert smooth(once, 2.0, 0, self.TUNING) == once


def test_a_face_beside_the_axis_is_seen_from_the_side_and_told_as_it_is() -> None:
    _, angles = hold(Head(), turned(yaw_deg=12, bearing_deg=12), 1)
    assert angles.yaw_deg == pytest.approx(0)
    assert head_.glimpse(Head(), turned(yaw_deg=70, bearing_deg=12)).yaw_deg == 58


@pytest.mark.parametrize("pitch_deg", [-2.5, 1.0, 3.0])
def test_a_small_pitch_at_rest_is_the_meshs_own(pitch_deg: float) -> None:
    _, angles = hold(Head(), turned(pitch_deg=pitch_deg), 5)
    assert abs(angles.pitch_deg) < 0.3 * abs(pitch_deg)


@given(st.floats(-40, 40))
def test_no_more_than_four_degrees_are_taken_off(pitch_deg: float) -> None:
    head, angles = hold(Head(), turned(pitch_deg=pitch_deg), 5)
    assert abs(head.zero_deg) <= 4
    assert abs(angles.pitch_deg - pitch_deg) <= 4


def test_who_sits_bent_down_is_told_so() -> None:
    _, angles = hold(Head(), turned(pitch_deg=14), 60)
    assert angles.pitch_deg > 13


def test_a_nod_does_not_shift_the_zero() -> None:
    head, _ = hold(Head(), turned(), 20)
    after, _ = hold(head, turned(pitch_deg=14), 2)
    assert abs(after.zero_deg - head.zero_deg) < 1


def test_nothing_is_learned_turned_or_with_closed_eyes() -> None:
    assert hold(Head(), turned(yaw_deg=30, pitch_deg=5), 5)[0].rest_deg == 0
    assert hold(Head(), turned(pitch_deg=30), 5)[0].rest_deg == 0
    assert head_.see(Head(), turned(pitch_deg=5), 1000, eyes_open=False)[0].rest_deg == 0


def test_rates_agree_on_the_zero() -> None:
    zeros = [hold(Head(), turned(pitch_deg=3), 4, fps)[0].zero_deg for fps in FPS]
    assert min(zeros) > 2
    assert max(zeros) - min(zeros) < 0.1


def test_after_a_loss_the_angles_begin_anew_and_the_zero_stays() -> None:
    head, _ = hold(Head(), turned(yaw_deg=20, pitch_deg=2), 1)
    head, _ = hold(head, turned(pitch_deg=2), 4)
    lost = head_.lose(head)
    assert (lost.zero_deg, lost.learned_ms) == (head.zero_deg, head.learned_ms)
    assert head_.see(lost, turned(yaw_deg=-30), 100, eyes_open=True)[1].yaw_deg == -30


def test_who_is_turned_too_far_to_be_measured_is_told_by_the_frame_alone() -> None:
    head, _ = hold(Head(), turned(pitch_deg=3), 4)
    told = head_.glimpse(head, turned(yaw_deg=50, pitch_deg=20, roll_deg=5, bearing_deg=10))
    assert told == Angles(40, 20 - head.zero_deg, 5)


@given(st.floats(-30, 30), st.floats(-30, 30), st.floats(-20, 20))
def test_the_mirror_image_mirrors_yaw_and_roll(yaw_deg: float, roll_deg: float, bearing_deg: float) -> None:
    one, other = Head(), Head()
    for share in (0.2, 0.6, 1.0):
        one, angles = head_.see(one, turned(share * yaw_deg, 5, share * roll_deg, bearing_deg), 100, eyes_open=True)
        other, mirrored = head_.see(
            other, turned(-share * yaw_deg, 5, -share * roll_deg, -bearing_deg), 100, eyes_open=True
        )
    assert mirrored == pytest.approx((-angles.yaw_deg, angles.pitch_deg, -angles.roll_deg))
