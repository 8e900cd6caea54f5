"""EAR, MAR, iris and head pose of single frames."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analyzer.domain.geometry import eye_aspect_ratio, lids_of, measure, mouth_aspect_ratio
from tests.support.faces import face

DEGREES = st.floats(-25, 25)


def test_ear_is_that_of_the_paper() -> None:
    # Corners 4 apart; lids 1 and 2 apart: (1 + 2) / (2 · 4).
    eye = [[0.0, 0.0], [1.0, 0.5], [3.0, 1.0], [4.0, 0.0], [3.0, -1.0], [1.0, -0.5]]
    assert eye_aspect_ratio(eye) == pytest.approx(0.375)


def test_mar_is_mean_height_over_width() -> None:
    lips = [[0.0, 0.0], [6.0, 0.0], [1.0, 1.0], [1.0, -1.0], [3.0, 2.0], [3.0, -2.0], [5.0, 1.5], [5.0, -1.5]]
    assert mouth_aspect_ratio(lips) == pytest.approx((2 + 4 + 3) / (3 * 6))


def test_a_face_of_no_size_is_no_error() -> None:
    nothing = measure(np.zeros((478, 3), np.float32))
    assert (nothing.ear_left, nothing.ear_right, nothing.mar, nothing.face_px) == (0, 0, 0, 0)


@given(DEGREES, DEGREES, DEGREES)
def test_head_pose_is_what_the_head_was_turned_by(yaw_deg: float, pitch_deg: float, roll_deg: float) -> None:
    seen = measure(face(yaw_deg=yaw_deg, pitch_deg=pitch_deg, roll_deg=roll_deg))
    assert (seen.yaw_deg, seen.pitch_deg, seen.roll_deg) == pytest.approx((yaw_deg, pitch_deg, roll_deg), abs=0.6)


@given(DEGREES, DEGREES, DEGREES, st.floats(-0.3, 0.3), st.floats(-0.2, 0.2))
def test_turning_the_head_leaves_the_irises_where_they_are(
    yaw_deg: float, pitch_deg: float, roll_deg: float, iris_h: float, iris_v: float
) -> None:
    seen = measure(face(yaw_deg=yaw_deg, pitch_deg=pitch_deg, roll_deg=roll_deg, iris_h=iris_h, iris_v=iris_v))
    assert (seen.iris_h, seen.iris_v) == pytest.approx((iris_h, iris_v), abs=0.02)


@given(st.floats(0.02, 0.45), st.floats(0.0, 1.1), st.floats(-40, 40), st.floats(30, 400))
def test_ratios_do_not_change_with_size_place_and_roll(ear: float, mar: float, roll_deg: float, face_px: float) -> None:
    seen = measure(face(ear=ear, mar=mar, roll_deg=roll_deg, face_px=face_px, centre=(face_px, 2 * face_px)))
    assert (seen.ear_left, seen.ear_right) == pytest.approx((ear, ear), abs=0.005)
    assert seen.mar == pytest.approx(mar, abs=0.005)
    assert seen.face_px == pytest.approx(face_px, rel=0.02)


@given(st.floats(-25, 25), st.floats(-20, 20), st.floats(-25, 25), st.floats(-0.3, 0.3))
def test_the_mirror_image_mirrors_the_sides(yaw_deg: float, pitch_deg: float, roll_deg: float, iris_h: float) -> None:
    one = measure(face(yaw_deg=yaw_deg, pitch_deg=pitch_deg, roll_deg=roll_deg, iris_h=iris_h))
    other = measure(face(yaw_deg=-yaw_deg, pitch_deg=pitch_deg, roll_deg=-roll_deg, iris_h=-iris_h))
    assert other.yaw_deg == pytest.approx(-one.yaw_deg, abs=0.1)
    assert other.pitch_deg == pytest.approx(one.pitch_deg, abs=0.1)
    assert other.iris_h == pytest.approx(-one.iris_h, abs=0.01)
    assert (other.ear_left, other.ear_right) == pytest.approx((one.ear_right, one.ear_left), abs=0.01)


@given(DEGREES, DEGREES, DEGREES, st.floats(0.02, 0.45))
def test_turning_the_head_leaves_the_lids_as_they_are(
    yaw_deg: float, pitch_deg: float, roll_deg: float, ear: float
) -> None:
    seen = measure(face(yaw_deg=yaw_deg, pitch_deg=pitch_deg, roll_deg=roll_deg, ear=ear))
    assert (seen.ear_left, seen.ear_right, seen.ear) == pytest.approx((ear, ear, ear), abs=0.01)


def test_lids_are_measured_from_the_line_between_the_corners() -> None:
    # An eye 5 wide on a line that rises; the upper lid is 1 above that line, the lower one 2 below.
    along, down = np.array([0.8, -0.6]), np.array([0.6, 0.8])
    corner = np.array([7.0, 9.0])
    points = [(0, 0), (1.5, -1), (3.5, -1), (5, 0), (3.5, 2), (1.5, 2)]
    lids = lids_of([(corner + share * along + below * down).tolist() for share, below in points])
    assert (lids.upper, lids.lower, lids.opening) == pytest.approx((1 / 5, 2 / 5, 3 / 5))


def test_turned_sideways_the_nearer_eye_counts() -> None:
    points = face(yaw_deg=30)
    points[[385, 387, 373, 380]] = points[[362, 263, 263, 362]]  # the far eye is shut
    assert measure(points).ear == pytest.approx(0.32, abs=0.01)
    assert measure(points).ear_right == pytest.approx(0, abs=0.05)


def test_an_eye_beyond_the_edge_is_not_measured() -> None:
    whole = measure(face(centre=(160, 120)), 320, 240)
    half = measure(face(centre=(320, 120)), 320, 240)
    none = measure(face(centre=(420, 120)), 320, 240)
    assert None not in (whole.ear_left, whole.ear_right, whole.lids)
    assert half.ear_left == pytest.approx(0.32, abs=0.01)
    assert (half.ear_right, half.lids, half.ear) == (None, None, 0)
    assert (none.ear_left, none.ear_right, none.lids) == (None, None, None)


@given(DEGREES, DEGREES, DEGREES, st.floats(-0.2, 0.2))
def test_turning_the_head_leaves_the_irises_as_high_over_the_bridge(
    yaw_deg: float, pitch_deg: float, roll_deg: float, iris_v: float
) -> None:
    ahead = measure(face(iris_v=iris_v))
    seen = measure(face(yaw_deg=yaw_deg, pitch_deg=pitch_deg, roll_deg=roll_deg, iris_v=iris_v))
    assert seen.iris_rise == pytest.approx(ahead.iris_rise, abs=0.005)


@given(st.floats(30, 400), st.floats(-500, 500), st.floats(-500, 500))
def test_size_and_place_change_no_angle_and_no_iris(face_px: float, x: float, y: float) -> None:
    turned = partial(face, yaw_deg=12.0, pitch_deg=-7.0, roll_deg=5.0, iris_h=0.2, iris_v=0.1)
    here, there = measure(turned()), measure(turned(face_px=face_px, centre=(x, y)))
    for name in ("yaw_deg", "pitch_deg", "roll_deg"):
        assert getattr(there, name) == pytest.approx(getattr(here, name), abs=0.05)
    for name in ("iris_h", "iris_v", "iris_rise"):
        assert getattr(there, name) == pytest.approx(getattr(here, name), abs=0.002)


@given(st.floats(0, 1.1), st.floats(0.02, 0.45))
def test_mouth_and_lids_turn_no_head(mar: float, ear: float) -> None:
    still, moved = measure(face(pitch_deg=5)), measure(face(pitch_deg=5, mar=mar, ear=ear))
    assert (moved.yaw_deg, moved.pitch_deg, moved.roll_deg) == (still.yaw_deg, still.pitch_deg, still.roll_deg)


def test_turned_far_the_nearer_iris_counts_alone() -> None:
    points = face(yaw_deg=36)
    hidden = points.copy()
    hidden[473] += 10  # of the eye on the image's right, which is the farther one
    assert measure(hidden).iris_h == measure(points).iris_h
    points, hidden = face(), face()
    hidden[473, 0] += 10
    assert measure(hidden).iris_h > measure(points).iris_h + 0.1


def test_the_bearing_is_the_angle_between_the_cameras_axis_and_the_face() -> None:
    # A focal length of 1.25 widths: a face 160 of 640 pixels to the right of the middle is at atan(160 / 800).
    assert measure(face(centre=(480, 240)), 640, 480).bearing_deg == pytest.approx(11.31, abs=0.1)
    assert measure(face(centre=(160, 240)), 640, 480).bearing_deg == pytest.approx(-11.31, abs=0.1)
    assert measure(face(centre=(320, 240)), 640, 480).bearing_deg == pytest.approx(0, abs=0.1)
    assert measure(face(centre=(480, 240))).bearing_deg == 0  # in a picture of unknown size
