"""The measurements of one clip at one rate against its truth. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from schemas.events import FrameMetrics
from services.analyzer.evaluation.figures import Delays, Labels, Share, Sum, Tally, during, match
from services.analyzer.evaluation.truth import CLOSED, LONG_CLOSURE_S, Moment, Span, Truth

# An event and its telling may be this far apart, and one sampling interval more.
BLINK_TOLERANCE_S = 0.3  # the lids need 0.1 s to open again, and it takes some frames to be sure
YAWN_TOLERANCE_S = 0.5  # the mouth opens and shuts for half a second
CLOSURE_TOLERANCE_S = 0.25
HAND_TOLERANCE_S = 0.5  # up to this much before the truth calls it raised it is no false one
# Held labels are judged this far inside of a segment, and rest this far outside: expressions take time to come and go.
HELD_MARGIN_S = 0.3
REST_MARGIN_S = 0.8
ABSENT_MARGIN_S = 0.5

_EXPRESSIONS = ("happy", "sad", "surprised", "angry", "neutral")
_GAZES = ("gaze_left", "gaze_right", "gaze_up", "gaze_down", "gaze_center")
_PERCLOS_WINDOW_S = 60.0


@dataclass(frozen=True)
class Score(Sum):
    """All figures of one clip at one rate, or of many."""

    frames: int = 0
    blinks: Tally = field(default=Tally())
    blinks_shown: Share = field(default=Share())  # of the blinks, those with a frame while the lids are down
    false_blinks: Counter[str] = field(default_factory=Counter)  # by what was going on
    yawns: Tally = field(default=Tally())
    false_yawns: Counter[str] = field(default_factory=Counter)
    closures: Tally = field(default=Tally())  # of a second and longer
    closure_delay: Delays = field(default=Delays())
    yaw_error_deg: Share = field(default=Share())  # sum of the absolute errors over the frames that have an angle
    pitch_error_deg: Share = field(default=Share())
    roll_error_deg: Share = field(default=Share())
    pose_measured: Share = field(default=Share())
    gaze: Labels = field(default=Labels())
    expression: Labels = field(default=Labels())
    left: Delays = field(default=Delays())
    returned: Delays = field(default=Delays())
    hands: Tally = field(default=Tally())
    hand_raised: Delays = field(default=Delays())
    hand_lowered: Delays = field(default=Delays())
    perclos_error: Share = field(default=Share())
    perclos: tuple[float, ...] = ()  # at the end of each clip
    perclos_truth: tuple[float, ...] = ()
    refused: Share = field(default=Share())  # of the frames with somebody there
    reasons: Counter[str] = field(default_factory=Counter)


def score(truth: Truth, seen: Sequence[FrameMetrics]) -> Score:
    """Judge the frames of one session; `captured_at_ms` is the time in the clip."""
    if not seen:
        return Score()
    times_s = [metrics.captured_at_ms / 1000 for metrics in seen]
    interval_s = max(b - a for a, b in pairwise(times_s)) if len(times_s) > 1 else 0.0

    blinks = [span for span in truth.of("blink") if span.start_s <= times_s[-1]]
    slack_s = BLINK_TOLERANCE_S + interval_s
    blink_hits, blink_missed, false_blinks = match(
        [(span.start_s - slack_s, span.end_s + slack_s) for span in blinks], _rises(seen, lambda m: m.blink_count)
    )
    shown = sum(any(span.start_s <= at_s <= span.end_s + 1e-3 for at_s in times_s) for span in blinks)

    yawns = truth.of("yawn")
    slack_s = YAWN_TOLERANCE_S + interval_s
    yawn_hits, yawn_missed, false_yawns = match(
        [(span.start_s - slack_s, span.end_s + slack_s) for span in yawns], _rises(seen, lambda m: m.yawn_count)
    )

    closures = [span for span in truth.of("closure") if span.lasts_s >= LONG_CLOSURE_S]
    slack_s = CLOSURE_TOLERANCE_S + interval_s
    closure_hits, closure_missed, false_closures = match(
        [(span.start_s + LONG_CLOSURE_S - slack_s, span.end_s + slack_s) for span in closures],
        _onsets(seen, lambda m: m.drowsy),
    )

    hands = truth.of("hand_raised")
    hand_hits, hand_missed, false_hands = match(
        [(span.start_s - HAND_TOLERANCE_S - interval_s, span.end_s + interval_s) for span in hands],
        _onsets(seen, lambda m: m.hand_raised),
    )
    absences = truth.of("absent")
    here = [metrics for metrics, at_s in zip(seen, times_s, strict=True) if not truth.absent(at_s, ABSENT_MARGIN_S)]
    reasons = Counter(str(metrics.insufficient_reason) for metrics in here if metrics.insufficient_signal)
    measured_perclos = next((metrics.perclos for metrics in reversed(seen) if metrics.perclos is not None), None)
    true_perclos = perclos_truth(truth, times_s[-1])
    comparable = measured_perclos is not None and true_perclos is not None
    return Score(
        frames=len(seen),
        blinks=Tally(len(blink_hits), len(blink_missed), len(false_blinks)),
        blinks_shown=Share(shown, len(blinks)),
        false_blinks=during(false_blinks, truth.spans, slack_s),
        yawns=Tally(len(yawn_hits), len(yawn_missed), len(false_yawns)),
        false_yawns=during(false_yawns, truth.spans, slack_s),
        closures=Tally(len(closure_hits), len(closure_missed), len(false_closures)),
        closure_delay=Delays(
            tuple(at_s - closures[i].start_s - LONG_CLOSURE_S for i, at_s in closure_hits.items()), len(closure_missed)
        ),
        **_pose(truth, seen),
        gaze=_labels(_held(truth, _GAZES, "gaze_center", times_s[-1]), seen, lambda m: m.gaze and f"gaze_{m.gaze}"),
        expression=_labels(_held(truth, _EXPRESSIONS, "neutral", times_s[-1]), seen, lambda m: m.emotion),
        left=_delays([span.start_s for span in absences], seen, lambda m: not m.face_present),
        returned=_delays([s.end_s for s in absences if s.end_s < times_s[-1]], seen, lambda m: m.face_present),
        hands=Tally(len(hand_hits), len(hand_missed), len(false_hands)),
        hand_raised=Delays(tuple(at_s - hands[i].start_s for i, at_s in hand_hits.items()), len(hand_missed)),
        hand_lowered=_delays(
            [hands[i].end_s for i in hand_hits if hands[i].end_s < times_s[-1]], seen, lambda m: not m.hand_raised
        ),
        perclos_error=Share(abs(measured_perclos - true_perclos), 1) if comparable else Share(),  # type: ignore[operator]
        perclos=(measured_perclos,) if comparable else (),  # type: ignore[arg-type]
        perclos_truth=(true_perclos,) if comparable else (),  # type: ignore[arg-type]
        refused=Share(sum(reasons.values()), len(here)),
        reasons=reasons,
    )


def _rises(seen: Sequence[FrameMetrics], count: Callable[[FrameMetrics], int]) -> Iterator[float]:
    """When a counter went up, once for each step."""
    before = 0
    for metrics in seen:
        for _ in range(count(metrics) - before):
            yield metrics.captured_at_ms / 1000
        before = count(metrics)


def _onsets(seen: Sequence[FrameMetrics], flag: Callable[[FrameMetrics], bool | None]) -> Iterator[float]:
    """When a flag became true. Frames that say nothing end nothing."""
    before = False
    for metrics in seen:
        now = flag(metrics)
        if now and not before:
            yield metrics.captured_at_ms / 1000
        before = before if now is None else now


def _delays(
    moments_s: Iterable[float], seen: Sequence[FrameMetrics], told: Callable[[FrameMetrics], bool | None]
) -> Delays:
    """How long after each moment it was first told; 0 where it was told already."""
    delays_s, missed = [], 0
    for moment_s in moments_s:
        times_s = (m.captured_at_ms / 1000 for m in seen if m.captured_at_ms / 1000 >= moment_s - 1e-3 and told(m))
        first_s = next(times_s, None)
        if first_s is None:
            missed += 1
        else:
            delays_s.append(max(0.0, first_s - moment_s))
    return Delays(tuple(delays_s), missed)


def _pose(truth: Truth, seen: Sequence[FrameMetrics]) -> dict[str, Share]:
    errors = {"yaw": Share(), "pitch": Share(), "roll": Share()}
    measured = Share()
    for metrics in seen:
        at_s = metrics.captured_at_ms / 1000
        moment = truth.at(at_s)
        if moment is None or truth.absent(at_s, ABSENT_MARGIN_S) or moment.yaw_deg is None:
            continue
        measured += Share(metrics.yaw_deg is not None, 1)
        for name in errors:
            said, true = getattr(metrics, f"{name}_deg"), getattr(moment, f"{name}_deg")
            if said is not None and true is not None:
                errors[name] += Share(abs(said - true), 1)
    return {**{f"{name}_error_deg": error for name, error in errors.items()}, "pose_measured": measured}


def _held(truth: Truth, kinds: tuple[str, ...], rest: str, until_s: float) -> list[Span]:
    """The parts of a clip in which a label is surely held: inside of its spans, and the rest between them.

    A clip that has no such span says nothing about the label.
    """
    spans = truth.of(*kinds)
    if not spans:
        return []
    held = [Span(span.kind, span.start_s + HELD_MARGIN_S, span.end_s - HELD_MARGIN_S) for span in spans]
    disturbing = [span for span in truth.spans if span.kind not in ("blink", "present")]
    at_s = 0.0
    for span in (*disturbing, Span("", until_s + REST_MARGIN_S, until_s)):
        held.append(Span(rest, at_s, span.start_s - REST_MARGIN_S))
        at_s = max(at_s, span.end_s + REST_MARGIN_S)
    return [span for span in held if span.lasts_s > 0]


def _labels(held: list[Span], seen: Sequence[FrameMetrics], label: Callable[[FrameMetrics], str | None]) -> Labels:
    total = Labels()
    for span in held:
        inside = [label(m) for m in seen if span.start_s <= m.captured_at_ms / 1000 <= span.end_s]
        if not inside:
            continue
        said = Counter(each for each in inside if each is not None)
        right = bool(said) and said.most_common(1)[0][0] == span.kind
        total += Labels(
            Counter({(span.kind, each): n for each, n in said.items()}),
            Share(said.total(), len(inside)),
            Share(right, 1),
        )
    return total


def perclos_truth(truth: Truth, until_s: float) -> float | None:
    """Share of the last 60 s with somebody there in which the lids were down at least 80 %; None where nobody knows.

    From the lids' coefficients, linear between frames, or from the events where there are none.
    """
    if any(moment.closed is not None for moment in truth.moments):
        pieces = [_piece(a, b) for a, b in pairwise(truth.moments) if b.at_s <= until_s and not truth.absent(b.at_s)]
    else:
        step_s = 0.01
        times = [number * step_s for number in range(1, int(until_s / step_s))]
        shut = truth.of("blink", "closure")
        pieces = [
            (step_s, step_s * any(span.start_s <= t <= span.end_s for span in shut))
            for t in times
            if not truth.absent(t)
        ]
    whole = closed = 0.0
    for lasts_s, closed_s in reversed(pieces):
        if whole >= _PERCLOS_WINDOW_S:
            break
        whole, closed = whole + lasts_s, closed + closed_s
    return closed / whole if whole else None


def _piece(a: Moment, b: Moment) -> tuple[float, float]:
    """Time between two frames, and how much of it the lids were down."""
    lasts_s, before, after = b.at_s - a.at_s, a.closed or 0.0, b.closed or 0.0
    if (before >= CLOSED) == (after >= CLOSED):
        return lasts_s, lasts_s * (before >= CLOSED)
    above = (max(before, after) - CLOSED) / abs(after - before)
    return lasts_s, lasts_s * above
