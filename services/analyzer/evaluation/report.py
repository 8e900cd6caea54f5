"""What `rapt evaluate` says: a table for each metric, a summary, or one JSON object."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

from rich.table import Table

from services.analyzer.domain.session import ANALYZER_VERSION
from services.analyzer.evaluation import score as score_
from services.analyzer.evaluation.figures import Delays, Labels, Share, Tally
from services.analyzer.evaluation.run import Judged
from services.analyzer.evaluation.score import Score

ALL = "all"


@dataclass(frozen=True, slots=True)
class Row:
    """A clip, or all of them, at one rate."""

    clip: str
    fps: float
    score: Score


def rows(judged: Sequence[Judged]) -> list[Row]:
    """Every clip that could be judged, then all of them together for each rate."""
    each = [Row(one.clip.name, one.fps, one.score) for one in judged if one.error is None]
    rates = sorted({row.fps for row in each}, reverse=True)
    return each + [Row(ALL, fps, reduce(add, (row.score for row in each if row.fps == fps))) for fps in rates]


def tables(judged: Sequence[Judged]) -> Iterator[Table]:
    """One for each metric that any clip says something about, then the summary."""
    everything = rows(judged)
    for name, columns in _METRICS.items():
        told = [(row, columns(row.score)) for row in everything]
        told = [(row, cells) for row, cells in told if cells is not None]
        if not told:
            continue
        table = Table("clip", "fps", title=name, title_justify="left", title_style="bold")
        for head in told[0][1] or {}:
            table.add_column(head, justify="left" if head in ("when", "why", "said instead") else "right")
        for row, cells in told:
            table.add_row(row.clip, f"{row.fps:g}", *(cells or {}).values(), style="bold" if row.clip == ALL else None)
        yield table
    yield summary([row for row in everything if row.clip == ALL])


def summary(totals: Sequence[Row]) -> Table:
    """Each figure by rate."""
    table = Table("figure", title="All clips", title_justify="left", title_style="bold")
    for row in totals:
        table.add_column(f"{row.fps:g} fps", justify="right")
    figures = [headline(row.score) for row in totals]
    for name in figures[0] if figures else ():
        table.add_row(name, *(_number(each[name]) for each in figures))
    return table


def headline(score: Score) -> dict[str, float | None]:
    """The figures that goals and floors are about; None where no clip says anything."""
    quiet = {"talking", "yawn", "laughing", "singing"}
    return {
        "blink F1": score.blinks.f1,
        "blink precision": score.blinks.precision,
        "blink recall": score.blinks.recall,
        "blinks false while talking or yawning": sum(n for kind, n in score.false_blinks.items() if kind in quiet),
        "yawn F1": score.yawns.f1,
        "long closures found": score.closures.recall,
        "long closures false": score.closures.false,
        "long closure delay, longest (s)": score.closure_delay.longest_s,
        "yaw MAE (°)": score.yaw_error_deg.value,
        "pitch MAE (°)": score.pitch_error_deg.value,
        "roll MAE (°)": score.roll_error_deg.value,
        "frames with a pose": score.pose_measured.value,
        "gaze accuracy": score.gaze.accuracy,
        "gaze measured": score.gaze.measured.value,
        "expression accuracy": score.expression.accuracy,
        "expression measured": score.expression.measured.value,
        "leaving delay, longest (s)": score.left.longest_s,
        "return delay, longest (s)": score.returned.longest_s,
        "hands F1": score.hands.f1,
        "hand raised delay, longest (s)": score.hand_raised.longest_s,
        "hand lowered delay, longest (s)": score.hand_lowered.longest_s,
        "PERCLOS error, mean": score.perclos_error.value,
        "frames refused": score.refused.value,
    }


def as_object(judged: Sequence[Judged]) -> dict[str, Any]:
    """All of it, for `--json`."""
    everything = rows(judged)
    by_clip: dict[str, list[Judged]] = {}
    for one in judged:
        by_clip.setdefault(str(one.clip.path), []).append(one)
    return {
        "analyzer_version": ANALYZER_VERSION,
        "tolerances_s": {
            "blink": score_.BLINK_TOLERANCE_S,
            "yawn": score_.YAWN_TOLERANCE_S,
            "closure": score_.CLOSURE_TOLERANCE_S,
            "hand": score_.HAND_TOLERANCE_S,
            "held_margin": score_.HELD_MARGIN_S,
            "rest_margin": score_.REST_MARGIN_S,
        },
        "clips": [
            {
                "clip": path,
                "unknown_events": ones[0].clip.truth.unknown_kinds,
                "errors": sorted({one.error for one in ones if one.error is not None}),
                "rates": [{"fps": one.fps, **_figures(one.score)} for one in ones if one.error is None],
            }
            for path, ones in by_clip.items()
        ],
        "summary": [{"fps": row.fps, **_figures(row.score)} for row in everything if row.clip == ALL],
    }


def _figures(score: Score) -> dict[str, Any]:
    def tally(it: Tally) -> dict[str, Any]:
        counts = {"hits": it.hits, "missed": it.missed, "false": it.false}
        return {**counts, "precision": it.precision, "recall": it.recall, "f1": it.f1}

    def delays(it: Delays) -> dict[str, Any]:
        return {"delays_s": it.delays_s, "mean_s": it.mean_s, "longest_s": it.longest_s, "missed": it.missed}

    def labels(it: Labels) -> dict[str, Any]:
        said = [{"truth": truth, "said": label, "frames": n} for (truth, label), n in sorted(it.said.items())]
        segments = {"right": it.segments.part, "of": it.segments.whole}
        return {"accuracy": it.accuracy, "measured": it.measured.value, "segments": segments, "said": said}

    def mean(it: Share) -> dict[str, Any]:
        return {"mae": it.value, "frames": it.whole}

    return {
        "frames": score.frames,
        "blinks": {**tally(score.blinks), "shown": score.blinks_shown.part, "false_during": score.false_blinks},
        "yawns": {**tally(score.yawns), "false_during": score.false_yawns},
        "long_closures": {**tally(score.closures), "onset_delay": delays(score.closure_delay)},
        "yaw_deg": mean(score.yaw_error_deg),
        "pitch_deg": mean(score.pitch_error_deg),
        "roll_deg": mean(score.roll_error_deg),
        "pose_measured": score.pose_measured.value,
        "gaze": labels(score.gaze),
        "expression": labels(score.expression),
        "presence": {"left": delays(score.left), "returned": delays(score.returned)},
        "hand": {**tally(score.hands), "raised": delays(score.hand_raised), "lowered": delays(score.hand_lowered)},
        "perclos": {"at_end": score.perclos, "truth": score.perclos_truth, "error": score.perclos_error.value},
        "refused": {"share": score.refused.value, "reasons": score.reasons},
    }


Cells = dict[str, str] | None


def _tally(tally: Tally, when: Counter[str], **more: str) -> Cells:
    if not tally.hits + tally.missed + tally.false:
        return None
    return {
        "truth": str(tally.hits + tally.missed),
        **more,
        "hits": str(tally.hits),
        "missed": str(tally.missed),
        "false": str(tally.false),
        "precision": _number(tally.precision),
        "recall": _number(tally.recall),
        "F1": _number(tally.f1),
        "when": _counts(when),
    }


def _blinks(score: Score) -> Cells:
    return _tally(score.blinks, score.false_blinks, shown=f"{score.blinks_shown.part:.0f}")


def _yawns(score: Score) -> Cells:
    return _tally(score.yawns, score.false_yawns)


def _closures(score: Score) -> Cells:
    cells = _tally(score.closures, Counter())
    if cells is None:
        return None
    cells.pop("when")
    return {**cells, **_delay("delay", score.closure_delay)}


def _head(score: Score) -> Cells:
    if not score.pose_measured.whole:
        return None
    return {
        "yaw MAE °": _number(score.yaw_error_deg.value),
        "pitch MAE °": _number(score.pitch_error_deg.value),
        "roll MAE °": _number(score.roll_error_deg.value),
        "frames": f"{score.pose_measured.whole:.0f}",
        "measured": _number(score.pose_measured.value),
    }


def _labels(labels: Labels) -> Cells:
    if not labels.measured.whole:
        return None
    wrong = Counter({f"{truth}→{said}": n for (truth, said), n in labels.said.items() if truth != said})
    return {
        "accuracy": _number(labels.accuracy),
        "frames": f"{labels.measured.whole:.0f}",
        "measured": _number(labels.measured.value),
        "segments right": f"{labels.segments.part:.0f}/{labels.segments.whole:.0f}",
        "said instead": _counts(wrong).replace("gaze_", ""),
    }


def _presence(score: Score) -> Cells:
    if score.left == Delays() and score.returned == Delays():
        return None
    return {**_delay("left", score.left), **_delay("returned", score.returned)}


def _hands(score: Score) -> Cells:
    cells = _tally(score.hands, Counter())
    if cells is None:
        return None
    cells.pop("when")
    return {**cells, **_delay("raised", score.hand_raised), **_delay("lowered", score.hand_lowered)}


def _perclos(score: Score) -> Cells:
    if not score.perclos:
        return None
    one = len(score.perclos) == 1
    return {
        "at the end": _number(score.perclos[0]) if one else "",
        "truth": _number(score.perclos_truth[0]) if one else "",
        "error": _number(score.perclos_error.value),
    }


def _refused(score: Score) -> Cells:
    if not score.frames:
        return None
    return {"frames": str(score.frames), "share": _number(score.refused.value), "why": _counts(score.reasons)}


_METRICS: dict[str, Callable[[Score], Cells]] = {
    "Blinks": _blinks,
    "Yawns": _yawns,
    "Closures of a second and longer": _closures,
    "Head": _head,
    "Gaze, while held": lambda score: _labels(score.gaze),
    "Expression, while held": lambda score: _labels(score.expression),
    "Presence (s)": _presence,
    "Hand raised": _hands,
    "PERCLOS": _perclos,
    "Refused, while somebody is there": _refused,
}


def _delay(name: str, delays: Delays) -> dict[str, str]:
    cells = {f"{name} mean s": _number(delays.mean_s), f"{name} longest s": _number(delays.longest_s)}
    return {**cells, f"{name} never": str(delays.missed)}


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.3f}".rstrip("0").rstrip(".")


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{kind} {n}" for kind, n in counts.most_common())
