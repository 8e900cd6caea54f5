"""Scores of an observer who sees all, of one who is late, and of one who says nothing."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import FrameMetrics
from schemas.examples import METRICS
from services.analyzer.evaluation.figures import Delays, Labels, Share, Tally
from services.analyzer.evaluation.score import Score, score
from services.analyzer.evaluation.truth import Moment, Span, Truth, complete

RATES = st.sampled_from([5.0, 10.0, 15.0, 30.0])
LASTS_S = {
    "blink": (0.05, 0.3),
    "closure": (1.2, 3.0),
    "yawn": (1.5, 3.0),
    "talking": (1.0, 3.0),
    "absent": (1.5, 4.0),
    "hand_raised": (1.5, 4.0),
    "gaze_left": (1.5, 3.0),
    "gaze_up": (1.5, 3.0),
    "happy": (1.5, 3.0),
    "angry": (1.5, 3.0),
}
QUIET_S = 6.0  # between two events: more than any shift below


@st.composite
def truths(draw: st.DrawFn) -> Truth:
    """Some events after each other, and a head that turns slowly."""
    at_s, spans = QUIET_S, []
    for kind in draw(st.lists(st.sampled_from(sorted(LASTS_S)), min_size=1, max_size=8)):
        end_s = at_s + draw(st.floats(*LASTS_S[kind]))
        spans.append(Span(kind, at_s, end_s))
        at_s = end_s + QUIET_S
    moments = [Moment(number / 30, number / 100, -number / 200, 1.0) for number in range(int(at_s * 30))]
    return complete(spans, moments)


def observed(truth: Truth, fps: float, *, late_s: float = 0.0) -> list[FrameMetrics]:
    """What a perfect analyzer says, so much later."""
    until_s = truth.moments[-1].at_s
    return [_frame(truth, number / fps, number / fps - late_s) for number in range(int(until_s * fps) + 1)]


def _frame(truth: Truth, at_s: float, about_s: float) -> FrameMetrics:
    now = {span.kind: span for span in truth.spans if span.start_s <= about_s <= span.end_s}
    here, moment = "absent" not in now, truth.at(max(0.0, about_s))
    gazes = [kind.removeprefix("gaze_") for kind in now if kind.startswith("gaze_")]
    emotions = [kind for kind in now if kind in ("happy", "angry")]
    return METRICS.model_copy(
        update={
            "captured_at_ms": round(at_s * 1000),
            "face_present": here,
            "insufficient_signal": not here,
            "insufficient_reason": None if here else "no_face",
            "blink_count": sum(span.end_s + 0.1 <= about_s for span in truth.of("blink")),
            "yawn_count": sum(span.start_s + 1 <= about_s for span in truth.of("yawn")),
            "drowsy": "closure" in now and about_s >= now["closure"].start_s + 1,
            "hand_raised": "hand_raised" in now,
            "gaze": (gazes or ["center"])[0] if here else None,
            "emotion": (emotions or ["neutral"])[0] if here else None,
            "yaw_deg": moment.yaw_deg if here and moment else None,
            "pitch_deg": moment.pitch_deg if here and moment else None,
            "roll_deg": moment.roll_deg if here and moment else None,
            "perclos": None,
        }
    )


@settings(max_examples=30)
@given(truths(), RATES)
def test_who_sees_all_is_right(truth: Truth, fps: float) -> None:
    all_told = score(truth, observed(truth, fps))
    for tally, kind in (
        (all_told.blinks, "blink"),
        (all_told.yawns, "yawn"),
        (all_told.closures, "closure"),
        (all_told.hands, "hand_raised"),
    ):
        assert tally == Tally(hits=len(truth.of(kind)))
    gap_s = 1 / fps + 1e-3
    for delays in (all_told.closure_delay, all_told.left, all_told.returned, all_told.hand_raised):
        assert delays.longest_s is None or 0 <= delays.longest_s <= gap_s
    assert all_told.gaze.accuracy in (None, 1.0)
    assert all_told.expression.accuracy in (None, 1.0)
    assert (all_told.gaze.measured.whole > 0) == bool(truth.of("gaze_left", "gaze_up"))
    # A frame of a slow turn lies at most half a frame of the truth aside: a sixtieth of a second, 0.005°.
    assert (all_told.yaw_error_deg.value or 0) < 0.01
    assert all_told.refused.part == 0


@settings(max_examples=30)
@given(truths(), RATES)
def test_who_is_too_late_is_wrong(truth: Truth, fps: float) -> None:
    late_s = 5.0
    told = score(truth, observed(truth, fps, late_s=late_s))
    for tally, kind in ((told.blinks, "blink"), (told.yawns, "yawn"), (told.closures, "closure")):
        assert (tally.hits, tally.missed) == (0, len(truth.of(kind)))
        assert tally.f1 in (None, 0.0)
    assert told.left.longest_s is None or told.left.longest_s == pytest.approx(late_s, abs=1 / fps + 1e-2)


@settings(max_examples=30)
@given(truths(), RATES, st.floats(0, 3))
def test_counts_are_consistent_however_late(truth: Truth, fps: float, late_s: float) -> None:
    seen = observed(truth, fps, late_s=late_s)
    told = score(truth, seen)
    assert told.blinks.truth == len(truth.of("blink"))
    assert told.blinks.told == seen[-1].blink_count
    assert told.yawns.told == seen[-1].yawn_count
    assert told.false_blinks.total() >= told.blinks.false
    assert told.pose_measured.whole <= told.frames == len(seen)


def test_who_says_nothing_is_not_wrong_but_refuses() -> None:
    truth = complete([Span("gaze_left", 3, 5), Span("happy", 8, 10)], [Moment(n / 10, 0, 0, 0) for n in range(120)])
    nothing = {"gaze": None, "emotion": None, "yaw_deg": None, "insufficient_signal": True}
    seen = [metrics.model_copy(update={**nothing, "insufficient_reason": "dark"}) for metrics in observed(truth, 10)]
    told = score(truth, seen)
    assert (told.gaze.accuracy, told.gaze.measured.value, told.gaze.segments.value) == (None, 0, 0)
    assert (told.yaw_error_deg.value, told.pose_measured.value) == (None, 0)
    assert (told.refused.value, told.refused_why) == (1, Counter(dark=len(seen)))


def still(*spans: Span, seconds: int = 10) -> Truth:
    """Ten frames a second of a head that looks straight ahead."""
    return complete(spans, [Moment(n / 10, 0, 0, 0) for n in range(seconds * 10)])


def changed(seen: list[FrameMetrics], start: int, end: int, **fields: object) -> list[FrameMetrics]:
    """With other fields in some of the frames."""
    return [m.model_copy(update=fields) if start <= i < end else m for i, m in enumerate(seen)]


def test_a_closure_of_less_than_a_second_is_not_due() -> None:
    truth = still(Span("closure", 2, 2.7))
    assert score(truth, observed(truth, 10)).closures == Tally()


def test_a_frame_that_says_nothing_ends_nothing() -> None:
    truth = still(Span("closure", 2, 5))
    seen = changed(observed(truth, 10), 40, 42, drowsy=None)
    assert score(truth, seen).closures == Tally(1)


def test_who_was_never_here_does_not_leave_and_who_stays_away_does_not_return() -> None:
    truth = still(Span("absent", 0, 2), Span("absent", 8, 9.9))
    told = score(truth, observed(truth, 10))
    assert (len(told.left.delays_s), len(told.returned.delays_s)) == (1, 1)
    assert (told.left.never, told.returned.never) == (0, 0)


def test_one_may_blink_at_rest() -> None:
    happy = Span("happy", 5, 7)
    rest = score(still(happy), observed(still(happy), 10)).expression.measured
    blinking = still(Span("blink", 2, 2.1), happy)
    assert score(blinking, observed(blinking, 10)).expression.measured == rest
    talking = still(Span("talking", 2, 2.1), happy)
    assert score(talking, observed(talking, 10)).expression.measured.whole < rest.whole


def test_angles_of_refused_frames_are_not_judged() -> None:
    truth = still()
    refusal = {"insufficient_signal": True, "insufficient_reason": "turned_away", "yaw_deg": 60.0}
    told = score(truth, changed(observed(truth, 10), 50, 75, **refusal))
    assert (told.yaw_error_deg.value, told.pose_measured.value) == (0, 0.75)


def test_in_the_dark_it_is_right_to_refuse() -> None:
    truth = still(Span("blink", 1, 1.1), Span("dark", 3, 8), Span("blink", 5, 5.1))
    refusal = {"insufficient_signal": True, "insufficient_reason": "dark", "yaw_deg": 40.0}
    seen = changed(observed(truth, 10), 30, 81, **refusal)
    seen = [metrics.model_copy(update={"blink_count": min(1, metrics.blink_count)}) for metrics in seen]
    told = score(truth, seen)
    assert told.blinks == Tally(1)
    assert (told.refused.part, told.refused_hidden.value) == (0, 1.0)
    assert (told.yaw_error_deg.value, told.pose_measured.value) == (0, 1)


def test_who_measures_in_the_dark_guesses() -> None:
    truth = still(Span("face_small", 3, 8))
    assert score(truth, observed(truth, 10)).refused_hidden == Share(0, 41)  # 3.5…7.5 s


def test_a_false_blink_is_told_with_what_was_going_on() -> None:
    truth = complete([Span("talking", 3, 5)], [Moment(n / 10) for n in range(100)])
    seen = observed(truth, 10)
    seen[40:] = [metrics.model_copy(update={"blink_count": 1}) for metrics in seen[40:]]
    told = score(truth, seen)
    assert (told.blinks, told.false_blinks) == (Tally(false_at_s=(4.0,)), Counter(talking=1))


def test_a_blink_between_two_frames_is_not_shown() -> None:
    spans = [Span("blink", 2.02, 2.08), Span("blink", 4.0, 4.1)]
    truth = complete(spans, [Moment(n / 100) for n in range(600)])
    assert score(truth, observed(truth, 10)).blinks_shown == 1
    # The lids' own coefficients know of the flanks, too.
    flanks = [Moment(n / 100, closed=0.6 if 199 <= n <= 211 else 0.0) for n in range(600)]
    assert score(Truth(truth.spans, tuple(flanks)), observed(truth, 10)).blinks_shown == 1


def test_a_label_at_the_edge_of_what_is_held_does_not_count() -> None:
    truth = complete([Span("happy", 3, 5)], [Moment(n / 10) for n in range(100)])
    late = score(truth, observed(truth, 10, late_s=0.25)).expression
    assert (late.accuracy, late.segments) == (1.0, Share(3, 3))
    later = score(truth, observed(truth, 10, late_s=1.0)).expression
    assert later.wrong == Counter({"happy→neutral": 7, "neutral→happy": 3})  # 3.3…3.9 s, 5.8…6.0 s


def test_perclos_is_compared_at_the_end() -> None:
    truth = complete([], [Moment(n / 10, closed=float(20 <= n < 40)) for n in range(101)])
    seen = [metrics.model_copy(update={"perclos": 0.25}) for metrics in observed(truth, 10)]
    seen[-1] = seen[-1].model_copy(update={"perclos": None})
    told = score(truth, seen)
    assert told.perclos == (0.25,)
    assert told.perclos_error == pytest.approx(0.25 - 1.94 / 9.9, abs=1e-4)  # 19 pieces and two flanks of a fifth


def test_a_clip_without_frames_says_nothing() -> None:
    assert score(Truth((Span("blink", 1, 2),)), []) == Score()


def test_figures_of_clips_add_up() -> None:
    one = Score(frames=2, blinks=Tally(1), left=Delays((0.1,)), perclos=(0.1,), perclos_truth=(0.2,))
    other = Score(frames=3, blinks=Tally(2, (1.0,)), gaze=Labels(Counter({("up", "up"): 1})))
    both = one + other
    assert (both.frames, both.blinks, both.left, both.gaze) == (5, Tally(3, (1.0,)), one.left, other.gaze)
    assert both.perclos_error == pytest.approx(0.1)
