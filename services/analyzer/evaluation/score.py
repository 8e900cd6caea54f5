"""The measurements of one clip at one rate against its truth. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from schemas.events import FrameMetrics
from services.analyzer.evaluation.figures import Delays, Labels, Matched, Mean, Share, Sum, Tally, during, match
from services.analyzer.evaluation.truth import LONG_CLOSURE_S, Span, Truth

# What is told may be this far from where it happened, and the longest gap between two frames farther.
BLINK_TOLERANCE_S = 0.3  # the lids need 0.1 s to open again, and it takes some frames to be sure
YAWN_TOLERANCE_S = 0.5  # a mouth opens and shuts for half a second
CLOSURE_TOLERANCE_S = 0.25
HAND_TOLERANCE_S = 0.5  # a hand on its way up
# Labels are judged this far inside of where they are held, and rest this far outside: an expression comes and goes.
HELD_MARGIN_S = 0.3
REST_MARGIN_S = 0.8
HIDDEN_MARGIN_S = 0.5  # who comes or goes is neither here nor away

_GAZES = ("gaze_left", "gaze_right", "gaze_up", "gaze_down", "gaze_center")
_EXPRESSIONS = ("happy", "sad", "surprised", "angry", "neutral")
_SHOWN = 0.5  # lids that are half down can be told from open ones

Flag = Callable[[FrameMetrics], bool | None]


@dataclass(frozen=True)
class Score(Sum):
    """All figures of one clip at one rate; of several, when added up."""

    frames: int = 0
    blinks: Tally = field(default=Tally())
    blinks_shown: int = 0  # true blinks with a frame in which the lids are down
    false_blinks: Counter[str] = field(default_factory=Counter)  # by what was going on
    yawns: Tally = field(default=Tally())
    false_yawns: Counter[str] = field(default_factory=Counter)
    closures: Tally = field(default=Tally())  # of a second and longer
    closure_delay: Delays = field(default=Delays())  # after their first second
    yaw_error_deg: Mean = field(default=Mean())
    pitch_error_deg: Mean = field(default=Mean())
    roll_error_deg: Mean = field(default=Mean())
    pose_measured: Share = field(default=Share())
    gaze: Labels = field(default=Labels())
    expression: Labels = field(default=Labels())
    left: Delays = field(default=Delays())
    returned: Delays = field(default=Delays())
    hands: Tally = field(default=Tally())
    hand_raised: Delays = field(default=Delays())
    hand_lowered: Delays = field(default=Delays())
    perclos: tuple[float, ...] = ()  # at the end of each clip
    perclos_truth: tuple[float, ...] = ()
    refused: Share = field(default=Share())  # of the frames in which the person can be measured
    refused_why: Counter[str] = field(default_factory=Counter)
    refused_hidden: Share = field(default=Share())  # of those in which not

    @property
    def perclos_error(self) -> float | None:
        """The largest of the clips."""
        pairs = zip(self.perclos, self.perclos_truth, strict=True)
        return max((abs(said - true) for said, true in pairs), default=None)

    def plain(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        figures = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: it.plain() if hasattr(it, "plain") else it for name, it in figures.items()}


def score(truth: Truth, seen: Sequence[FrameMetrics]) -> Score:
    """Judge the frames of one session; `captured_at_ms` is the time in the clip."""
    if not seen:
        return Score()
    times_s = [_at_s(metrics) for metrics in seen]
    until_s = times_s[-1]
    gap_s = max((b - a for a, b in pairwise(times_s)), default=0.0)
    absences = truth.of("absent")
    here = [metrics for metrics in seen if not truth.hides(*_around(metrics, HIDDEN_MARGIN_S))]
    hidden = [metrics for metrics in seen if truth.hidden(*_around(metrics, HIDDEN_MARGIN_S))]
    why = Counter(str(metrics.insufficient_reason) for metrics in here if metrics.insufficient_signal)
    return Score(
        frames=len(seen),
        **_blinks(truth, seen, times_s, BLINK_TOLERANCE_S + gap_s),
        **_yawns(truth, seen, YAWN_TOLERANCE_S + gap_s),
        **_closures(truth, seen, CLOSURE_TOLERANCE_S + gap_s),
        **_pose(truth, seen),
        gaze=_labels(_held(truth, _GAZES, "gaze_center", until_s), seen, lambda m: m.gaze and f"gaze_{m.gaze}"),
        expression=_labels(_held(truth, _EXPRESSIONS, "neutral", until_s), seen, _emotion),
        left=_delays([span.start_s for span in absences if span.start_s > 0], seen, lambda m: not m.face_present),
        returned=_delays([s.end_s for s in absences if s.end_s + gap_s < until_s], seen, lambda m: m.face_present),
        **_hands(truth, seen, gap_s),
        **_perclos(truth, seen),
        refused=Share(why.total(), len(here)),
        refused_why=why,
        refused_hidden=Share(sum(metrics.insufficient_signal for metrics in hidden), len(hidden)),
    )


def _emotion(metrics: FrameMetrics) -> str | None:
    return metrics.emotion if isinstance(metrics.emotion, str) else None


def _at_s(metrics: FrameMetrics) -> float:
    return metrics.captured_at_ms / 1000


def _around(metrics: FrameMetrics, margin_s: float) -> tuple[float, float]:
    return _at_s(metrics) - margin_s, _at_s(metrics) + margin_s


def _tally(truth: Truth, told: Matched, spans: Sequence[Span]) -> Tally:
    """What nobody could see is not missed."""
    missed = (spans[i] for i in told.missed)
    missed_at_s = tuple(span.start_s for span in missed if not truth.hides(span.start_s, span.end_s))
    return Tally(len(told.hits), missed_at_s, told.false_s)


def _blinks(truth: Truth, seen: Sequence[FrameMetrics], times_s: Sequence[float], slack_s: float) -> dict[str, Any]:
    blinks = truth.of("blink")
    told = match([_widened(span, slack_s) for span in blinks], _rises(seen, lambda m: m.blink_count))
    return {
        "blinks": _tally(truth, told, blinks),
        "blinks_shown": sum(any(_shows(truth, span, at_s) for at_s in times_s) for span in blinks),
        "false_blinks": during(told.false_s, truth.spans, slack_s),
    }


def _shows(truth: Truth, blink: Span, at_s: float) -> bool:
    """Whether a frame at this time has the lids of a blink down."""
    if not blink.overlaps(at_s - 0.15, at_s + 0.15):
        return False
    moment = truth.at(at_s)
    if moment is None or moment.closed is None:
        return blink.overlaps(at_s, at_s)
    return moment.closed >= _SHOWN


def _yawns(truth: Truth, seen: Sequence[FrameMetrics], slack_s: float) -> dict[str, Any]:
    yawns = truth.of("yawn")
    told = match([_widened(span, slack_s) for span in yawns], _rises(seen, lambda m: m.yawn_count))
    return {"yawns": _tally(truth, told, yawns), "false_yawns": during(told.false_s, truth.spans, slack_s)}


def _closures(truth: Truth, seen: Sequence[FrameMetrics], slack_s: float) -> dict[str, Any]:
    """What is due once a second is over, until the eyes open again."""
    long = [span for span in truth.of("closure") if span.lasts_s >= LONG_CLOSURE_S]
    due = [Span(span.kind, span.start_s + LONG_CLOSURE_S, span.end_s) for span in long]
    told = match([_widened(span, slack_s) for span in due], _onsets(seen, lambda m: m.drowsy))
    delays_s = tuple(at_s - due[i].start_s for i, at_s in told.hits.items())
    tally = _tally(truth, told, long)
    return {"closures": tally, "closure_delay": Delays(delays_s, tally.missed)}


def _hands(truth: Truth, seen: Sequence[FrameMetrics], gap_s: float) -> dict[str, Any]:
    hands = truth.of("hand_raised")
    windows = [(span.start_s - HAND_TOLERANCE_S - gap_s, span.end_s + gap_s) for span in hands]
    told = match(windows, _onsets(seen, lambda m: m.hand_raised))
    ends_s = [hands[i].end_s for i in told.hits if hands[i].end_s + gap_s < _at_s(seen[-1])]
    tally = _tally(truth, told, hands)
    return {
        "hands": tally,
        "hand_raised": Delays(tuple(at_s - hands[i].start_s for i, at_s in told.hits.items()), tally.missed),
        "hand_lowered": _delays(ends_s, seen, lambda m: not m.hand_raised),
    }


def _widened(span: Span, slack_s: float) -> tuple[float, float]:
    return span.start_s - slack_s, span.end_s + slack_s


def _rises(seen: Sequence[FrameMetrics], count: Callable[[FrameMetrics], int]) -> Iterator[float]:
    """When a counter went up, once for each step."""
    before = 0
    for metrics in seen:
        for _ in range(count(metrics) - before):
            yield _at_s(metrics)
        before = count(metrics)


def _onsets(seen: Sequence[FrameMetrics], flag: Flag) -> Iterator[float]:
    """When a flag became true. Frames that say nothing end nothing."""
    before = False
    for metrics in seen:
        now = flag(metrics)
        if now and not before:
            yield _at_s(metrics)
        before = before if now is None else now


def _delays(moments_s: Iterable[float], seen: Sequence[FrameMetrics], told: Flag) -> Delays:
    """How long after each moment it was first told; 0 where it was told already."""
    delays_s, never = [], 0
    for moment_s in moments_s:
        first_s = next((_at_s(m) for m in seen if _at_s(m) >= moment_s - 1e-3 and told(m)), None)
        if first_s is None:
            never += 1
        else:
            delays_s.append(max(0.0, first_s - moment_s))
    return Delays(tuple(delays_s), never)


def _pose(truth: Truth, seen: Sequence[FrameMetrics]) -> dict[str, Any]:
    """Mean absolute errors over the frames that are measured and whose truth is known."""
    errors = dict.fromkeys(("yaw", "pitch", "roll"), Mean())
    measured = Share()
    for metrics in seen:
        moment = truth.at(_at_s(metrics))
        if moment is None or moment.yaw_deg is None or truth.hides(*_around(metrics, HIDDEN_MARGIN_S)):
            continue
        measured += Share(not metrics.insufficient_signal, 1)
        for name in errors:
            said, true = getattr(metrics, f"{name}_deg"), getattr(moment, f"{name}_deg")
            if not metrics.insufficient_signal and said is not None and true is not None:
                errors[name] += Mean(abs(said - true), 1)
    return {**{f"{name}_error_deg": error for name, error in errors.items()}, "pose_measured": measured}


def _held(truth: Truth, kinds: tuple[str, ...], rest: str, until_s: float) -> list[Span]:
    """The parts of a clip in which a label is surely held: inside of its spans, and the rest, where nothing goes on.

    A clip that has no such span says nothing about the label. What is too short for its margins ends before it begins.
    """
    spans = truth.of(*kinds)
    if not spans:
        return []
    held = [Span(span.kind, span.start_s + HELD_MARGIN_S, span.end_s - HELD_MARGIN_S) for span in spans]
    at_s = 0.0
    for span in truth.spans:
        if span.kind not in ("blink", "present"):
            held.append(Span(rest, at_s, span.start_s - REST_MARGIN_S))
            at_s = max(at_s, span.end_s + REST_MARGIN_S)
    return [*held, Span(rest, at_s, until_s)]


def _labels(held: list[Span], seen: Sequence[FrameMetrics], label: Callable[[FrameMetrics], str | None]) -> Labels:
    total = Labels()
    for span in held:
        inside = [label(metrics) for metrics in seen if span.start_s <= _at_s(metrics) <= span.end_s]
        if not inside:
            continue
        said = Counter(each for each in inside if each is not None)
        right = bool(said) and said.most_common(1)[0][0] == span.kind
        pairs = Counter({(span.kind, each): n for each, n in said.items()})
        total += Labels(pairs, Share(said.total(), len(inside)), Share(right, 1))
    return total


def _perclos(truth: Truth, seen: Sequence[FrameMetrics]) -> dict[str, Any]:
    last = next((metrics for metrics in reversed(seen) if metrics.perclos is not None), None)
    true = truth.perclos(_at_s(last)) if last is not None else None
    if last is None or last.perclos is None or true is None:
        return {}
    return {"perclos": (last.perclos,), "perclos_truth": (round(true, 4),)}
