"""Change scores, centroids and what a prediction says with and without emotions."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from schemas.events import Prediction
from services.analyzer.domain.prediction import (
    CENTROIDS,
    EMOTIONS,
    FIRST_BEHAVIOUR_CLUSTER,
    QUADRANTS,
    TYPICAL,
    Concluded,
    Guess,
    Past,
    Usual,
    by_behaviour,
    by_quadrant,
    change_score,
    conclude,
    learn,
    nearest,
)
from services.analyzer.domain.windows import BEHAVIOUR, EXPRESSIONS, FEATURES, Features, Window
from services.analyzer.predict import Predictors
from services.analyzer.predictors.port import PredictionFailed

UNEXPRESSED = (None,) * len(EXPRESSIONS)
EMOTIONAL = ("arousal", "valence", "probe", "emotion", "color", *EXPRESSIONS)


def features(**changed: float | None) -> Features:
    """What is typical, and what differs from it."""
    return tuple(changed[name] if name in changed else TYPICAL[name][0] for name in FEATURES)


def known(*windows: Features) -> Usual:
    usual = Usual()
    for window in windows:
        usual = learn(usual, window)
    return usual


RANGES: dict[str, st.SearchStrategy[float | None]] = {
    "engagement": st.floats(0, 1),
    "eyes_closed": st.floats(0, 1),
    "gaze_away": st.none() | st.floats(0, 1),
    "hand_raised": st.none() | st.floats(0, 1),
    "yaw_spread_deg": st.floats(0, 60),
    "pitch_spread_deg": st.floats(0, 40),
    "mouth_activity": st.none() | st.floats(0, 1),
    "head_motion_deg_s": st.none() | st.floats(0, 300),
    "blinks_per_min": st.floats(0, 120),
    **dict.fromkeys(EXPRESSIONS, st.floats(0, 1)),
}
plausible = st.tuples(*(RANGES[name] for name in FEATURES))


def test_the_first_window_has_nothing_to_differ_from() -> None:
    past, concluded = conclude(Past(), Window(0, 0, 5000, features()), 1)
    assert concluded.change_score is None
    assert conclude(past, Window(1, 5000, 10_000, features()), 1)[1].change_score == 0


def test_twice_the_usual_deviation_scores_one_half() -> None:
    usual = Usual(((60, 0.0, 1.0),) * len(BEHAVIOUR))  # typical deviations weigh 4 of 64
    twice = tuple(2 * ((60 + 4 * TYPICAL[name][1] ** 2) / 64) ** 0.5 for name in BEHAVIOUR)
    assert change_score(usual, (*twice, *UNEXPRESSED)) == pytest.approx(0.5, abs=1e-4)


def test_one_feature_alone_does_not_say_everything() -> None:
    usual = known(features())
    assert change_score(usual, features(head_motion_deg_s=1e9)) == pytest.approx(0.5)  # 6² of nine, over that and 4


def test_as_many_windows_as_the_predictor_looks_back_on_are_kept() -> None:
    windows = [Window(n, 5000 * n, 5000 * n + 5000, features(blinks_per_min=12.0 * n)) for n in range(5)]
    past, seen = Past(), []
    for window in windows:
        past, concluded = conclude(past, window, 3)
        seen.append([row[BEHAVIOUR.index("blinks_per_min")] for row in concluded.recent])
    assert seen == [[0], [0, 12], [0, 12, 24], [12, 24, 36], [24, 36, 48]]
    assert len(past.recent) == 3
    assert conclude(Past(), windows[0], 1)[0].recent == ()


def test_somebody_who_always_moves_scores_less_for_moving() -> None:
    calm = known(*[features(head_motion_deg_s=4.0 + n % 2) for n in range(20)])
    lively = known(*[features(head_motion_deg_s=5.0 + 20 * (n % 2)) for n in range(20)])
    moving = features(head_motion_deg_s=25.0)
    assert (change_score(calm, moving) or 0) > 3 * (change_score(lively, moving) or 1)


def test_what_was_usual_long_ago_is_forgotten() -> None:
    before, after = features(mouth_activity=0.0), features(mouth_activity=0.3)
    score = [change_score(known(*[before] * 30, *[after] * n), after) or 0 for n in (0, 1, 20, 200)]
    assert all(later < earlier for earlier, later in pairwise(score))
    assert score[-1] < 0.01


@given(st.lists(plausible, min_size=1, max_size=8), plausible)
def test_the_score_lies_between_0_and_1_and_ignores_expressions(windows: list[Features], window: Features) -> None:
    score = change_score(known(*windows), window)
    assert score is None or 0 <= score < 1
    assert change_score(known(*windows), (*window[: len(BEHAVIOUR)], *UNEXPRESSED)) == score


@given(
    st.lists(plausible, min_size=1, max_size=8),
    plausible,
    st.sampled_from(BEHAVIOUR),
    st.floats(0, 50),
    st.floats(0, 50),
)
def test_the_score_rises_with_the_distance_of_each_feature(
    windows: list[Features], window: Features, name: str, near: float, far: float
) -> None:
    usual = known(*windows)
    place = BEHAVIOUR.index(name)
    seen, mean, _ = usual.features[place]
    assume(seen)

    def off(by: float) -> float:
        return change_score(usual, (*window[:place], mean + by, *window[place + 1 :])) or 0.0

    near, far = sorted((near, far))
    assert off(near) <= off(far)
    assert off(-near) <= off(-far)


@given(plausible)
def test_a_guess_is_bounded_and_its_quadrant_is_that_of_its_point(window: Features) -> None:
    guess = by_quadrant(window)
    assert guess.point is not None
    arousal, valence = guess.point
    assert -1 <= arousal <= 1
    assert -1 <= valence <= 1
    assert QUADRANTS[guess.cluster_id] == ("H" if arousal >= 0 else "L") + ("H" if valence >= 0 else "L")
    assert by_behaviour(window).point is None


# What may only raise (1) or lower (−1) arousal, valence.
DIRECTIONS = {
    "head_motion_deg_s": (1, 0),
    "mouth_activity": (1, 0),
    "hand_raised": (1, 0),
    "eyes_closed": (-1, 0),
    "engagement": (0, 1),
    "happy": (1, 1),
    "sad": (-1, -1),
    "angry": (1, -1),
    "surprised": (1, 1),
    "neutral": (0, 0),
    "blinks_per_min": (0, 0),
}


@given(plausible, st.sampled_from(sorted(DIRECTIONS)), st.floats(0, 1), st.floats(0, 1))
def test_arousal_and_valence_are_monotone_in_each_feature(
    window: Features, name: str, less: float, more: float
) -> None:
    place = FEATURES.index(name)
    low, high = (by_quadrant((*window[:place], value, *window[place + 1 :])).point for value in sorted((less, more)))
    assert low is not None
    assert high is not None
    for before, after, direction in zip(low, high, DIRECTIONS[name], strict=True):
        assert (after - before) * direction >= -1e-12
        assert direction or after == pytest.approx(before)


@pytest.mark.parametrize(
    ("quadrant", "seen"),
    [
        ("HH", {"happy": 0.45, "neutral": 0.55}),
        ("HH", {"hand_raised": 1.0, "head_motion_deg_s": 2.0}),
        ("HH", {"hand_raised": 1.0, "mouth_activity": 0.1, "head_motion_deg_s": 20.0}),
        ("HL", {"angry": 0.45, "neutral": 0.55}),
        ("LH", {"engagement": 1.0}),
        ("LL", {"sad": 0.45, "neutral": 0.55}),
        ("HH", {"surprised": 0.45, "neutral": 0.55}),
        ("LL", {"engagement": 0.4, "eyes_closed": 0.8}),
    ],
)
def test_plain_cases_fall_where_they_should(quadrant: str, seen: dict[str, float]) -> None:
    assert QUADRANTS[by_quadrant(features(**seen)).cluster_id] == quadrant


def test_each_centroid_is_nearest_to_itself() -> None:
    assert [nearest(centroid) for centroid in CENTROIDS] == [0, 1, 2, 3]
    assert nearest((0.0, 0.0)) == 3


def test_behaviour_has_clusters_of_its_own() -> None:
    asleep = by_behaviour((*features(eyes_closed=1.0, engagement=0.3)[: len(BEHAVIOUR)], *UNEXPRESSED))
    asking = by_behaviour(
        (*features(hand_raised=1.0, engagement=1.0, mouth_activity=0.2)[: len(BEHAVIOUR)], *UNEXPRESSED)
    )
    assert (asleep.cluster_id, asking.cluster_id) == (FIRST_BEHAVIOUR_CLUSTER, FIRST_BEHAVIOUR_CLUSTER + 3)


@pytest.mark.parametrize("color", [color for _, color in EMOTIONS.values()])
def test_black_text_is_readable_on_every_color(color: str) -> None:
    channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    assert (luminance + 0.05) / 0.05 >= 7  # WCAG 2, AAA


# --- predictions ---


class Failing:
    name = "failing"
    look_back = 1

    def predict(self, recent: Sequence[Features]) -> Guess:
        raise PredictionFailed("it would not")


def concluded(**changed: float | None) -> Concluded:
    seen = features(**changed)
    return Concluded(Window(7, 1_000, 6_000, seen), 0.25, (seen,))


def test_a_prediction_says_quadrant_emotion_and_color() -> None:
    prediction, guessed = Predictors().predict("s", concluded(happy=0.9, neutral=0.1))
    assert guessed
    assert (prediction.window, prediction.from_ms, prediction.to_ms, prediction.change_score) == (7, 1_000, 6_000, 0.25)
    assert (prediction.probe, prediction.emotion, prediction.color) == ("HH", "Happy", "#eecdac")
    assert (prediction.cluster_id, prediction.model) == (3, "centroids-1")
    assert list(prediction.features) == list(FEATURES)
    assert Prediction.decode(prediction.encode()) == prediction


def test_where_emotions_are_not_inferred_nothing_of_them_is_in_the_bytes() -> None:
    unexpressed = dict.fromkeys(EXPRESSIONS)
    prediction, guessed = Predictors().predict("s", concluded(**unexpressed))
    assert guessed
    assert (prediction.change_score, prediction.model) == (0.25, "behaviour-1")
    assert prediction.cluster_id is not None
    assert prediction.cluster_id >= FIRST_BEHAVIOUR_CLUSTER
    assert list(prediction.features) == list(BEHAVIOUR)
    assert not [name for name in EMOTIONAL if f'"{name}"'.encode() in prediction.encode()]


def test_where_the_predictor_fails_what_was_measured_is_left() -> None:
    prediction, guessed = Predictors(Failing(), Failing()).predict("s", concluded())
    assert not guessed
    assert (prediction.change_score, prediction.features["engagement"], prediction.model) == (0.25, 0.9, "failing")
    assert b"cluster_id" not in prediction.encode()
