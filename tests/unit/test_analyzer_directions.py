"""Labels of head and gaze, and the person's own middle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analyzer.domain.directions import GazeCentre, Looking, eyes_deg, head_label, look
from services.analyzer.domain.geometry import Geometry, Lids, measure
from services.analyzer.domain.head import Angles
from tests.support.faces import face

FPS = (5, 10, 15, 30)


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
        (25, 16, 0, "right"),  # the most exceeded one
        (0, 16, 25, "tilted"),
        (-25, 0, 21, "left"),
    ],
)
def test_head_labels(yaw: float, pitch: float, roll: float, label: str) -> None:
    assert head_label(Angles(yaw, pitch, roll)) == label


@pytest.mark.parametrize("yaw_deg", [-40, -30, -10, 0, 10, 30, 40])
def test_the_heads_label_says_where_the_nose_is_in_the_faces_box(yaw_deg: float) -> None:
    points = face(yaw_deg=yaw_deg)
    left, right, nose = points[:468, 0].min(), points[:468, 0].max(), points[1, 0]
    share = (nose - left) / (right - left)
    side = "left" if share < 0.35 else "right" if share > 0.65 else "forward"
    assert head_label(Angles(measure(points).yaw_deg, 0, 0)) == side


OPEN = measure(face()).lids


def eyes(
    h: float = 0.0, v: float = 0.0, upper: float = 1.0, lower: float = 1.0, yaw_deg: float = 0.0, pitch_deg: float = 0.0
) -> Geometry:
    """Irises `h`, `v` halves of an eye's width off the middle, the lids at these shares of open ones."""
    assert OPEN is not None
    seen = measure(face(iris_h=h, iris_v=v, yaw_deg=yaw_deg, pitch_deg=pitch_deg))
    lids = Lids(OPEN.upper * upper, OPEN.lower * lower)
    return Geometry(**{name: getattr(seen, name) for name in Geometry.__slots__} | {"lids": lids})


def watch(centre: GazeCentre, seen: Geometry, seconds: float, fps: int = 10) -> tuple[GazeCentre, Looking | None]:
    looking = None
    for _ in range(round(seconds * fps)):
        centre, looking = look(centre, seen, OPEN, 1000 / fps)
    return centre, looking


def label(centre: GazeCentre, seen: Geometry) -> str | None:
    looking = look(centre, seen, OPEN, 0)[1]
    return looking and looking.label


KNOWN = watch(GazeCentre(), eyes(), 10)[0]


# An iris moves by 0.011 of half the eye's width for a degree sideways; upwards the mesh shows about half of that, and
# the upper lid goes with it. (Rendered people; 15 to 28 degrees are what the labels are for.)
@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (eyes(), "center"),
        (eyes(h=0.165), "right"),
        (eyes(h=-0.165), "left"),
        (eyes(h=0.30, v=0.04), "right"),
        (eyes(v=0.08, upper=1.15), "up"),
        (eyes(v=-0.06, upper=0.75), "down"),
        (eyes(v=-0.06, upper=0.75, h=0.03), "down"),
        (eyes(h=0.07), "center"),
        (eyes(v=-0.01, upper=0.65), "center"),  # droopy lids
        (eyes(v=-0.03, upper=0.7, lower=0.7), "center"),  # a squint, or a blink's flank
    ],
)
def test_gaze_labels(seen: Geometry, said: str) -> None:
    assert label(KNOWN, seen) == said


def test_both_numbers_have_one_unit() -> None:
    _, aside = look(KNOWN, eyes(h=0.2), OPEN, 0)
    _, above = look(KNOWN, eyes(v=0.2), OPEN, 0)
    assert aside is not None
    assert above is not None
    assert aside.h == pytest.approx(0.2, abs=0.02)
    assert above.v == pytest.approx(0.2, abs=0.05)


@given(st.floats(-0.35, 0.35), st.floats(-0.2, 0.2), st.floats(-25, 25))
def test_the_mirror_image_mirrors_the_gaze(h: float, v: float, yaw_deg: float) -> None:
    _, one = look(KNOWN, eyes(h, v, yaw_deg=yaw_deg), OPEN, 0)
    _, other = look(KNOWN, eyes(-h, v, yaw_deg=-yaw_deg), OPEN, 0)
    assert one is not None
    assert other is not None
    assert (other.h, other.v) == pytest.approx((-one.h, one.v), abs=0.02)


@pytest.mark.parametrize("yaw_deg", [-15, 15])
@pytest.mark.parametrize(
    ("seen", "said"),
    [({}, "center"), ({"h": 0.2}, "right"), ({"h": -0.2}, "left"), ({"v": -0.08, "upper": 0.8}, "down")],
)
def test_gaze_is_told_with_the_head_turned(seen: dict[str, float], said: str, yaw_deg: float) -> None:
    assert label(KNOWN, eyes(**seen, yaw_deg=yaw_deg)) == said


def test_no_gaze_of_eyes_that_are_shut_hidden_or_turned_away() -> None:
    assert look(KNOWN, eyes(), None, 100)[1] is None
    assert look(KNOWN, eyes(yaw_deg=40), OPEN, 100)[1] is None
    assert look(KNOWN, eyes(pitch_deg=-30), OPEN, 100)[1] is None


@pytest.mark.parametrize("fps", FPS)
@pytest.mark.parametrize(("h", "v"), [(0.05, 0.10), (-0.06, -0.10), (0.0, 0.0)])
def test_the_middle_is_the_persons_own_within_two_seconds(h: float, v: float, fps: int) -> None:
    centre, looking = watch(GazeCentre(), eyes(h, v), 2, fps)
    assert looking is not None
    assert (looking.h, looking.v) == pytest.approx((0, 0), abs=0.03)
    assert looking.label == "center"
    assert label(centre, eyes(h + 0.2, v)) == "right"


@pytest.mark.parametrize(("aside", "said"), [({"h": 0.25}, "right"), ({"v": -0.1, "upper": 0.75}, "down")])
def test_a_glance_in_the_first_seconds_does_not_become_the_middle(aside: dict[str, float], said: str) -> None:
    centre, _ = watch(GazeCentre(), eyes(), 2.5)
    centre, glance = watch(centre, eyes(**aside), 2)
    assert glance is not None
    assert glance.label == said
    assert label(centre, eyes()) == "center"


@pytest.mark.parametrize(("h", "away"), [(0.27, "right"), (-0.27, "left")])
def test_who_looks_aside_from_the_start_is_told_right_when_back(h: float, away: str) -> None:
    centre, glance = watch(GazeCentre(), eyes(h), 2)
    assert glance is not None
    assert glance.label == away
    assert label(centre, eyes()) == "center"


def test_nothing_is_learned_with_the_head_turned() -> None:
    assert watch(GazeCentre(), eyes(0.1, yaw_deg=20), 5)[0].learned_ms == 0


def test_a_label_stays_a_little_longer_than_it_takes_to_begin() -> None:
    between = eyes(h=0.1)
    assert label(KNOWN, between) == "center"
    held, _ = look(KNOWN, eyes(h=0.2), OPEN, 0)
    assert label(held, between) == "right"


def test_the_same_moment_once_more_changes_nothing() -> None:
    centre, looking = look(KNOWN, eyes(h=0.2), OPEN, 100)
    assert look(centre, eyes(h=0.2), OPEN, 0) == (centre, looking)


@pytest.mark.parametrize(("gaze_h", "degrees"), [(0.05, 0), (0.3, 20), (-0.3, -20)])
def test_what_a_turned_head_alone_may_read_is_no_turn_of_the_eyes(gaze_h: float, degrees: float) -> None:
    assert eyes_deg(gaze_h) == pytest.approx(degrees)
