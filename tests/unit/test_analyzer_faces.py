"""Who is followed, when the picture is searched, and what is said when it cannot be told whose face it is."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analyzer.domain.faces import Following, Region, around, saw, search_due, searched, sized
from tests.support.faces import face

HERE = Region(160, 120, 150)
THERE = Region(500, 130, 150)
FAR_BEHIND = Region(420, 90, 40)
KNOWN = Following(
    region=HERE, known=HERE, known_at_ms=1000.0, searched_at_ms=1000.0, count=1, width_px=640, height_px=480
)


def test_the_region_is_upright_with_the_eyes_and_one_and_a_half_faces_wide() -> None:
    level, tilted = around(face()), around(face(roll_deg=20))
    assert (level.x_px, level.y_px) == pytest.approx((160, 120), abs=12)
    assert 1.5 * 130 < level.side_px < 1.5 * 170
    assert level.tilt_rad == pytest.approx(0, abs=0.05)
    assert tilted.tilt_rad - level.tilt_rad == pytest.approx(-20 * 3.14159 / 180, abs=0.02)  # counter-clockwise


def test_in_a_picture_of_another_size_everybody_is_somewhere_else() -> None:
    assert sized(KNOWN, 640, 480) is KNOWN
    assert sized(KNOWN, 320, 240) == Following(width_px=320, height_px=240)


@pytest.mark.parametrize(
    ("following", "now_ms", "due"),
    [
        (Following(), 0.0, True),
        (KNOWN, 1500.0, False),
        (KNOWN, 2000.0, True),
        (replace(KNOWN, region=None), 1050.0, False),
        (replace(KNOWN, region=None), 1100.0, True),
        (KNOWN, 0.0, True),  # the clock of a restored state can be ahead
    ],
)
def test_the_picture_is_searched_for_the_lost_and_now_and_then_for_the_others(
    following: Following, now_ms: float, due: bool
) -> None:
    assert search_due(following, now_ms) == due


def test_a_person_who_is_seen_is_kept_and_the_others_are_counted() -> None:
    after = searched(KNOWN, [THERE, HERE, FAR_BEHIND], 2000.0, seen=True)
    assert (after.region, after.count, after.several) == (HERE, 3, False)
    assert searched(KNOWN, [], 2000.0, seen=True).count == 1  # the mesh sees what the detector misses


def test_a_lost_person_is_who_is_where_the_person_was() -> None:
    moved = Region(220, 125, 140)
    after = searched(KNOWN, [THERE, moved], 1100.0, seen=False)
    assert (after.region, after.several) == (moved, False)


def test_who_passes_in_the_background_is_not_taken_for_the_person_who_left() -> None:
    after = searched(KNOWN, [FAR_BEHIND], 1500.0, seen=False)
    assert (after.region, after.several, after.count) == (None, False, 1)
    assert searched(KNOWN, [FAR_BEHIND], 9000.0, seen=False).region == FAR_BEHIND


def test_a_person_who_jumped_to_the_side_is_found_at_once() -> None:
    assert searched(KNOWN, [THERE], 1200.0, seen=False).region == THERE


@pytest.mark.parametrize("order", [1, -1])
def test_of_strangers_the_clearly_nearest_is_taken_else_nobody(order: int) -> None:
    near = Region(160, 120, 150)
    assert searched(Following(), [near, Region(400, 120, 90)][::order], 0.0, seen=False).region == near
    alike = searched(Following(), [near, Region(400, 120, 140)][::order], 0.0, seen=False)
    assert (alike.region, alike.several, alike.count) == (None, True, 2)


def test_where_the_mesh_sees_no_face_there_is_none() -> None:
    taken = searched(Following(), [HERE], 0.0, seen=False)
    assert saw(taken, None, 0.0) == replace(taken, region=None, count=0)
    two = searched(Following(), [HERE, replace(HERE, x_px=400)], 0.0, seen=False)
    assert saw(two, None, 0.0) == two  # nobody was chosen; both were counted


def test_what_is_seen_is_followed_from_where_it_is_now() -> None:
    after = saw(Following(), face(centre=(200, 100)), 700.0)
    assert after.region is not None
    assert after.region == after.known
    assert after.region.x_px == pytest.approx(200, abs=12)
    assert (after.known_at_ms, after.count) == (700.0, 1)


regions = st.builds(Region, st.floats(0, 640), st.floats(0, 480), st.floats(10, 400))


@given(st.lists(st.lists(regions, max_size=4), max_size=12), st.booleans())
def test_the_order_in_which_faces_are_found_changes_nothing(frames: list[list[Region]], seen: bool) -> None:
    one = other = Following(width_px=640, height_px=480)
    for number, found in enumerate(frames):
        one = searched(one, found, 100.0 * number, seen=seen and one.region is not None)
        other = searched(other, found[::-1], 100.0 * number, seen=seen and other.region is not None)
        assert one == other or _a_draw(found)
        if one != other:
            return
        assert one.count >= len(found)
        assert not (one.several and one.region)


def _a_draw(found: list[Region]) -> bool:
    """Two that are the same in all that is looked at."""
    sizes = sorted(region.side_px for region in found)
    return len(set(found)) < len(found) or any(small == large for small, large in pairwise(sizes))


@pytest.mark.parametrize(
    "found",
    [
        Region(160, 260, 150),  # too far down
        Region(295, 120, 150),  # too far aside
        Region(160, 120, 320),  # too large
    ],
)
def test_a_face_too_unlike_the_last_place_is_not_taken_for_the_person(found: Region) -> None:
    twin = replace(found, x_px=found.x_px + 300)
    after = searched(KNOWN, [found, twin], 1100.0, seen=False)
    assert (after.region, after.several) == (None, True)
