"""What a face does is called by an emotion's name; faces here are points that are moved as muscles move them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from math import pi, sin

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import TypeAdapter

from schemas.events import Emotion
from services.analyzer.domain.emotion import EMOTIONS, MEASURES, measure, scores, see
from services.analyzer.domain.expression import Expression, Scores
from services.analyzer.domain.geometry import measure as geometry_of
from tests.support import faces

LEFT_BROW, RIGHT_BROW = (46, 53, 52, 65, 55, 70, 63, 105, 66, 107), (276, 283, 282, 295, 285, 300, 293, 334, 296, 336)
BROWS = (*LEFT_BROW, *RIGHT_BROW)
UPPER_LIDS = (158, 159, 160, 385, 386, 387)
LEFT_CORNER, RIGHT_CORNER = (61, 78), (291, 308)
LOWER_LIP = (14, 87, 317)

# Muscles at full strength: how far which points go to image right, down and back, in percent of the eyes' distance.
Act = Mapping[tuple[int, ...], tuple[float, float, float]]
RESTING: Act = {}
SMILING: Act = {LEFT_CORNER: (-8, -9, 7), RIGHT_CORNER: (8, -9, 7)}
FROWNING: Act = {(*LEFT_CORNER, *RIGHT_CORNER): (0, 4, -1.5)}
SCOWLING: Act = {BROWS: (0, 4, 0)}
STARTLED: Act = {BROWS: (0, -5, 0), UPPER_LIDS: (0, -1.5, 0), LOWER_LIP: (0, 15, 0)}
BLINKING: Act = {UPPER_LIDS: (0, 7.5, 0), BROWS: (0, -1.5, 0)}
GAPING: Act = {LOWER_LIP: (0, 36, 0), (*LEFT_CORNER, *RIGHT_CORNER): (0, 11, 0), UPPER_LIDS: (0, 2.5, 0)}
EXPRESSIONS: dict[Emotion, Act] = {"happy": SMILING, "sad": FROWNING, "angry": SCOWLING, "surprised": STARTLED}
Told = tuple[float, Emotion | None, Scores | None]


def acting(
    *parts: tuple[Act, float],
    yaw_deg: float = 0.0,
    pitch_deg: float = 0.0,
    roll_deg: float = 0.0,
    face_px: float = 140.0,
    at: tuple[float, float] = (300.0, 200.0),
    noise_px: float = 0.0,
    seed: int = 0,
) -> NDArray[np.float32]:
    """(478, 3) landmarks of one head that does so much of each."""
    points = faces.face(face_px=face_px, centre=(0.0, 0.0)).astype(np.float64)
    percent = float(np.linalg.norm(points[33] - points[263])) / 100
    for act, amount in parts:
        for which, way in act.items():
            points[list(which)] += amount * percent * np.array(way)
    points = points @ faces.rotation(yaw_deg, pitch_deg, roll_deg).T
    points += noise_px * np.random.default_rng(seed).standard_normal(points.shape)
    points[:, :2] += at
    return points.astype(np.float32)


def play(
    *scenes: tuple[Act, float, float],
    fps: float = 10.0,
    face: Expression | None = None,
    from_ms: float = 0.0,
    yaw_deg: float = 0.0,
    pitch_deg: float = 0.0,
    face_px: float = 140.0,
    noise_px: float = 0.0,
    twice: bool = False,
) -> tuple[Expression, list[Told]]:
    """One act of a strength after the other, each for so many seconds; changes take a quarter of a second."""
    face = face or Expression()
    told: list[Told] = []
    for number, (now_ms, parts) in enumerate(_timetable(scenes, fps)):
        landmarks = acting(
            *parts, yaw_deg=yaw_deg, pitch_deg=pitch_deg, face_px=face_px, noise_px=noise_px, seed=number
        )
        for _ in range(1 + twice):
            face, shares = see(face, landmarks, geometry_of(landmarks), from_ms + now_ms)
        told.append((now_ms / 1000, face.emotion, shares))
    return face, told


def _timetable(
    scenes: tuple[tuple[Act, float, float], ...], fps: float
) -> Iterator[tuple[float, list[tuple[Act, float]]]]:
    number, began_s, before = 0, 0.0, (RESTING, 0.0)
    for act, amount, seconds in scenes:
        while number / fps < began_s + seconds - 1e-9:
            come = min(1.0, (number / fps - began_s) / 0.25)
            yield number * 1000 / fps, [(before[0], before[1] * (1 - come)), (act, amount * come)]
            number += 1
        began_s, before = began_s + seconds, (act, amount)


def labels(told: list[Told], from_s: float = 0.0, to_s: float = 1e9) -> Counter[Emotion | None]:
    return Counter(label for at_s, label, _ in told if from_s <= at_s < to_s)


def test_measures_stay_where_the_head_turns_tilts_comes_near_and_moves() -> None:
    plain = acting()
    moved = acting(yaw_deg=22, roll_deg=-15, face_px=310, at=(900.0, 50.0))
    before, after = measure(plain, geometry_of(plain)), measure(moved, geometry_of(moved))
    assert after[:7] == pytest.approx(before[:7], abs=0.05)
    assert after[7:] == pytest.approx((22, before[8]), abs=0.1)


@pytest.mark.parametrize(
    ("act", "name", "percent"),
    [
        (SCOWLING, "brows", -4),
        (BLINKING, "lids", -7.5),
        (FROWNING, "lift", -4),
        (FROWNING, "curl", -4),
        (SMILING, "width", 16),
        (SMILING, "depth", 7),
        (STARTLED, "jaw", 15),
    ],
)
def test_a_measure_is_how_far_its_points_went(act: Act, name: str, percent: float) -> None:
    here = (acting(), acting((act, 1.0)))
    rest, now = (measure(points, geometry_of(points)) for points in here)
    # The head's own frame is fitted to the whole face, so that it follows what is moved a little.
    assert now[MEASURES.index(name)] - rest[MEASURES.index(name)] == pytest.approx(percent, rel=0.1)


@pytest.mark.parametrize("fps", [5, 10, 30])
@pytest.mark.parametrize("strength", [0.6, 1.0])
@pytest.mark.parametrize("emotion", EXPRESSIONS)
def test_an_expression_is_named_while_it_is_held(emotion: Emotion, strength: float, fps: float) -> None:
    _, told = play((RESTING, 0, 1.0), (EXPRESSIONS[emotion], strength, 2.0), (RESTING, 0, 1.0), fps=fps)
    assert set(labels(told, 0.6, 1.0)) == {"neutral"}
    assert set(labels(told, 1.6, 3.0)) == {emotion}
    assert set(labels(told, 3.7)) == {"neutral"}


@pytest.mark.parametrize(("yaw_deg", "pitch_deg", "face_px"), [(18, 0, 140), (-18, 0, 140), (0, 12, 300), (0, -12, 70)])
@pytest.mark.parametrize("emotion", EXPRESSIONS)
def test_from_aside_above_below_near_and_far(
    emotion: Emotion, yaw_deg: float, pitch_deg: float, face_px: float
) -> None:
    # The mesh trembles by some 0.3 % of the face's height from frame to frame where it is 70 px high.
    scenes = ((RESTING, 0.0, 2.0), (EXPRESSIONS[emotion], 0.8, 2.0))
    _, told = play(*scenes, yaw_deg=yaw_deg, pitch_deg=pitch_deg, face_px=face_px, noise_px=0.2)
    assert set(labels(told, 0.7, 2.0)) == {"neutral"}
    assert labels(told, 2.6)[emotion] >= 0.9 * labels(told, 2.6).total()


@given(off=st.tuples(*[st.floats(-100, 100)] * 9))
def test_scores_are_shares_of_one(off: tuple[float, ...]) -> None:
    shares = scores(off)
    assert tuple(shares) == EMOTIONS
    assert all(0 <= share <= 1 for share in shares.values())
    assert sum(shares.values()) == pytest.approx(1)


def test_each_muscle_speaks_for_its_emotion() -> None:
    rest = scores((0.0,) * 9)
    assert max(rest, key=rest.__getitem__) == "neutral"
    spoken: list[tuple[str, float, Emotion]] = [
        ("brows", -1, "angry"),
        ("lids", 1, "surprised"),
        ("curl", -1, "sad"),
        ("depth", 1, "happy"),
    ]
    for name, way, emotion in spoken:
        off = [0.0] * 9
        off[MEASURES.index(name)] = way
        gains = {each: share / rest[each] for each, share in scores(tuple(off)).items()}
        assert gains.pop(emotion) > 2 * max(gains.values())


def test_a_head_turned_from_where_its_rest_was_learned_says_less() -> None:
    off = (-3.0, *(0.0,) * 6)
    assert scores((*off, 20.0, 0.0))["angry"] < scores((*off, 0.0, 10.0))["angry"] < scores((*off, 0.0, 0.0))["angry"]


@pytest.mark.parametrize("fps", [5, 10, 30])
def test_nothing_is_told_before_the_rest_is_known_which_takes_half_a_second(fps: float) -> None:
    _, told = play((RESTING, 0, 2.0), fps=fps)
    first_s = next(at_s for at_s, label, _ in told if label is not None)
    assert first_s == pytest.approx(0.5, abs=1 / fps)
    assert all((label is None) == (shares is None) for _, label, shares in told)


@pytest.mark.parametrize(("yaw_deg", "pitch_deg"), [(40.0, 0.0), (-40.0, 0.0), (0.0, 30.0)])
def test_a_head_turned_far_is_not_read_and_its_rest_is_kept(yaw_deg: float, pitch_deg: float) -> None:
    face, _ = play((RESTING, 0, 2.0))
    away, told = play((SMILING, 1, 1.0), face=face, from_ms=2000, yaw_deg=yaw_deg, pitch_deg=pitch_deg)
    assert labels(told) == {None: 10}
    assert away.neutral == face.neutral
    _, told = play((SMILING, 1, 1.0), face=away, from_ms=3000)
    assert set(labels(told, 0.5)) == {"happy"}


def test_a_long_smile_stays_a_smile_and_leaves_the_rest_as_it_was() -> None:
    _, told = play((RESTING, 0, 2.0), (SMILING, 0.7, 20.0), (RESTING, 0, 2.0))
    assert set(labels(told, 2.6, 22.0)) == {"happy"}
    assert set(labels(told, 22.8)) == {"neutral"}


def test_what_stays_for_minutes_is_no_expression() -> None:
    _, told = play((RESTING, 0, 2.0), (SCOWLING, 0.8, 300.0))
    assert set(labels(told, 3.0, 30.0)) == {"angry"}
    assert set(labels(told, 280.0)) == {"neutral"}


def test_rest_follows_a_face_that_changes_slowly() -> None:
    drifting = tuple((SCOWLING, share / 100, 2.0) for share in range(100))
    _, told = play((RESTING, 0, 2.0), *drifting)
    assert set(labels(told, 0.6)) == {"neutral"}


def test_a_session_that_begins_with_a_smile_learns_its_rest_afterwards() -> None:
    _, told = play((SMILING, 1, 4.0), (RESTING, 0, 2.0), (SMILING, 1, 2.0), (FROWNING, 1, 2.0))
    assert set(labels(told, 0.0, 4.0)) == {None}
    assert set(labels(told, 5.0, 6.0)) == {"neutral"}
    assert set(labels(told, 6.6, 8.0)) == {"happy"}
    assert set(labels(told, 8.8)) == {"sad"}


def test_lips_that_are_always_apart_are_a_persons_rest() -> None:
    _, told = play((STARTLED, 0.8, 14.0), (SMILING, 1.0, 2.0))
    assert set(labels(told, 0.0, 10.0)) == {None}
    assert set(labels(told, 11.0, 14.0)) == {"neutral"}


def test_a_smile_taken_for_rest_is_given_up_when_it_ends() -> None:
    face, _ = play((SMILING, 1, 14.0))  # nobody smiles so long, unless it is how the face looks
    assert face.emotion == "neutral"
    _, told = play((RESTING, 0, 3.0), face=face, from_ms=14_000)
    assert set(labels(told, 1.0)) == {"neutral"}


@pytest.mark.parametrize("fps", [10, 30])
def test_blinks_leave_the_label_as_it_is(fps: float) -> None:
    blink = ((BLINKING, 1.0, 0.4), (RESTING, 0.0, 1.0))
    _, told = play((RESTING, 0, 1.5), *blink * 4, fps=fps)
    assert set(labels(told, 0.6)) == {"neutral"}
    startled_too: Act = {**STARTLED, UPPER_LIDS: (0, 6.0, 0)}
    _, told = play((RESTING, 0, 2.0), (STARTLED, 1, 1.0), (startled_too, 1, 0.2), (STARTLED, 1, 0.5), fps=fps)
    assert set(labels(told, 2.6)) == {"surprised"}


def test_a_yawn_and_talking_are_neutral() -> None:
    talking: Act = {LOWER_LIP: (0, 12, 0)}
    syllables = tuple((talking, abs(sin(pi * n / 5)), 0.1) for n in range(40))
    _, told = play((RESTING, 0, 2.0), (GAPING, 1, 3.0), (RESTING, 0, 1.0), *syllables, fps=30)
    assert set(labels(told, 0.6)) == {"neutral"}


def test_what_was_before_a_gap_is_not_smoothed_into_what_comes_after() -> None:
    face, _ = play((RESTING, 0, 2.0), (SMILING, 1, 1.0))
    resting = acting()
    after, _ = see(face, resting, geometry_of(resting), 10_000.0)
    assert after.emotion == "neutral"
    soon, _ = see(face, resting, geometry_of(resting), 3_000.0)
    assert soon.emotion == "happy"


def test_time_in_which_nobody_was_seen_is_not_time_of_rest() -> None:
    resting = acting()
    face = Expression()
    for now_ms in (0.0, 10_000.0, 20_000.0):
        face, shares = see(face, resting, geometry_of(resting), now_ms)
        assert shares is None
    assert face.learned_ms == 0


def test_a_restart_goes_on_from_the_snapshot() -> None:
    state, _ = play((RESTING, 0, 2.0), (SMILING, 1, 1.0))
    adapter = TypeAdapter(Expression)
    restored = adapter.validate_json(adapter.dump_json(state))
    assert restored == state
    assert play((SMILING, 1, 1.0), face=restored, from_ms=3000) == play((SMILING, 1, 1.0), face=state, from_ms=3000)


ACTS = (RESTING, *EXPRESSIONS.values(), BLINKING, GAPING)
SCENES = st.lists(st.tuples(st.sampled_from(ACTS), st.floats(0.2, 1), st.floats(0.2, 2)), min_size=1, max_size=5)


@settings(max_examples=25)
@given(scenes=SCENES)
def test_frames_sent_twice_and_a_shifted_clock_change_nothing(scenes: list[tuple[Act, float, float]]) -> None:
    _, told = play((RESTING, 0, 1.0), *scenes)
    assert [label for _, label, _ in play((RESTING, 0, 1.0), *scenes, twice=True)[1]] == [label for _, label, _ in told]
    shifted = play((RESTING, 0, 1.0), *scenes, from_ms=2.0**20)[1]
    assert [label for _, label, _ in shifted] == [label for _, label, _ in told]


@pytest.mark.parametrize("emotion", EXPRESSIONS)
def test_a_mirrored_face_does_the_same(emotion: Emotion) -> None:
    """The points of a symmetric face, mirrored, are the points of the other side."""
    act = EXPRESSIONS[emotion]
    turned, mirrored = (
        measure(points, geometry_of(points))
        for points in (acting((act, 0.8), yaw_deg=15, roll_deg=8), acting((act, 0.8), yaw_deg=-15, roll_deg=-8))
    )
    assert turned[:7] == pytest.approx(mirrored[:7], abs=0.01)
