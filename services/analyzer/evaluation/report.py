"""What `rapt evaluate` says: a table for each metric and a summary, or one JSON object."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from operator import add
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from services.analyzer.domain.telling import ANALYZER_VERSION
from services.analyzer.evaluation import score as score_
from services.analyzer.evaluation.figures import Delays, Labels, Tally
from services.analyzer.evaluation.run import Judged
from services.analyzer.evaluation.score import Score

ALL = "all clips"
# Mouths that move are where blinks are counted that are none.
_MOUTHS = ("talking", "yawn", "laughing", "singing")

Cells = dict[str, str] | None


@dataclass(frozen=True, slots=True)
class Row:
    """A clip, or all of them, at one rate."""

    clip: str
    fps: float
    score: Score


def rows(judged: Sequence[Judged]) -> list[Row]:
    """Every clip that could be judged, then all of them together for each rate."""
    each = [Row(Path(one.name).stem, one.fps, one.score) for one in judged if one.error is None]
    rates = sorted({row.fps for row in each}, reverse=True)
    return each + [Row(ALL, fps, reduce(add, (row.score for row in each if row.fps == fps))) for fps in rates]


def headline(score: Score) -> dict[str, float | None]:
    """The figures that goals and floors are about; None where no clip says anything."""
    return {
        "blink F1": score.blinks.f1,
        "blink precision": score.blinks.precision,
        "blink recall": score.blinks.recall,
        "false blinks while the mouth moves": sum(score.false_blinks[kind] for kind in _MOUTHS),
        "yawn F1": score.yawns.f1,
        "long closures found": score.closures.recall,
        "long closures, false": score.closures.false,
        "long closure, longest delay, s": score.closure_delay.longest_s,
        "yaw MAE, °": score.yaw_error_deg.value,
        "pitch MAE, °": score.pitch_error_deg.value,
        "roll MAE, °": score.roll_error_deg.value,
        "frames with a pose": score.pose_measured.value,
        "gaze accuracy": score.gaze.accuracy,
        "frames with a gaze": score.gaze.measured.value,
        "expression accuracy": score.expression.accuracy,
        "frames with an expression": score.expression.measured.value,
        "left, longest delay, s": score.left.longest_s,
        "returned, longest delay, s": score.returned.longest_s,
        "raised hand F1": score.hands.f1,
        "hand raised, longest delay, s": score.hand_raised.longest_s,
        "hand lowered, longest delay, s": score.hand_lowered.longest_s,
        "PERCLOS, largest error": score.perclos_error,
        "clear frames refused": score.refused.value,
        "hidden frames refused": score.refused_hidden.value,
    }


def tables(judged: Sequence[Judged]) -> Iterator[Table]:
    """One for each metric that some clip says something about, one that compares the rates, then the summary."""
    everything = rows(judged)
    if not everything:
        return
    for name, cells_of in _METRICS.items():
        told = [(row, cells) for row in everything if (cells := cells_of(row.score)) is not None]
        if told:
            table = _table(name, "clip", "fps", *told[0][1])
            for row, cells in told:
                style = "bold" if row.clip == ALL else None
                table.add_row(row.clip, f"{row.fps:g}", *cells.values(), style=style)
            yield table
    yield _across(judged)
    totals = [row for row in everything if row.clip == ALL]
    table = _table("Summary", "all clips", *(f"{row.fps:g} fps" for row in totals))
    figures = [headline(row.score) for row in totals]
    for name in figures[0]:
        table.add_row(name, *(number(each[name]) for each in figures))
    yield table


def _across(judged: Sequence[Judged]) -> Table:
    """Do the rates tell the same?"""
    by_clip = _by_clip(judged)
    rates = [f"{one.fps:g}" for one in by_clip[0]]
    blinks, perclos = f"blinks at {' / '.join(rates)}", f"PERCLOS at {' / '.join(rates)}"
    table = _table("Across the rates", "clip", blinks, "truth", perclos, "truth", "apart")
    for ones in by_clip:
        scores = [one.score for one in ones if one.error is None]
        if scores:
            told = " / ".join(str(score.blinks.told) for score in scores)
            shares = " / ".join(number(score.perclos[0]) if score.perclos else "–" for score in scores)
            true = next((score.perclos_truth[0] for score in scores if score.perclos_truth), None)
            figures = (told, str(scores[0].blinks.truth), shares, number(true), number(_apart(scores)))
            table.add_row(Path(ones[0].name).stem, *figures)
    return table


def _apart(scores: Sequence[Score]) -> float | None:
    """Between the largest and the smallest PERCLOS of one clip at its rates."""
    shares = [share for score in scores for share in score.perclos]
    return max(shares) - min(shares) if shares else None


def as_object(judged: Sequence[Judged]) -> dict[str, Any]:
    """All of it, for `--json`."""
    return {
        "analyzer_version": ANALYZER_VERSION,
        "tolerances_s": {
            "blink": score_.BLINK_TOLERANCE_S,
            "yawn": score_.YAWN_TOLERANCE_S,
            "closure": score_.CLOSURE_TOLERANCE_S,
            "hand": score_.HAND_TOLERANCE_S,
            "held_margin": score_.HELD_MARGIN_S,
            "rest_margin": score_.REST_MARGIN_S,
            "hidden_margin": score_.HIDDEN_MARGIN_S,
        },
        "clips": [
            {
                "clip": ones[0].name,
                "other_events": ones[0].truth.other_kinds,
                "error": next((one.error for one in ones if one.error is not None), None),
                "perclos_apart": _apart([one.score for one in ones]),
                "rates": [{"fps": one.fps, **one.score.plain()} for one in ones if one.error is None],
            }
            for ones in _by_clip(judged)
        ],
        "summary": [{"fps": row.fps, **row.score.plain()} for row in rows(judged) if row.clip == ALL],
    }


def _by_clip(judged: Sequence[Judged]) -> list[list[Judged]]:
    return [list(ones) for _, ones in groupby(judged, key=lambda one: one.name)]


def _tally(tally: Tally, **more: str) -> Cells:
    """None when nothing happened and nothing was told."""
    if not tally.truth + tally.told:
        return None
    return {
        "truth": str(tally.truth),
        "hits": str(tally.hits),
        "missed": str(tally.missed),
        "false": str(tally.false),
        "precision": number(tally.precision),
        "recall": number(tally.recall),
        "F1": number(tally.f1),
        **more,
    }


def _head(score: Score) -> Cells:
    if not score.pose_measured.whole:
        return None
    return {
        "yaw MAE °": number(score.yaw_error_deg.value),
        "pitch MAE °": number(score.pitch_error_deg.value),
        "roll MAE °": number(score.roll_error_deg.value),
        "frames": str(score.pose_measured.whole),
        "measured": number(score.pose_measured.value),
    }


def _labels(labels: Labels) -> Cells:
    if not labels.measured.whole:
        return None
    return {
        "accuracy": number(labels.accuracy),
        "frames": str(labels.measured.whole),
        "measured": number(labels.measured.value),
        "segments right": f"{labels.segments.part}/{labels.segments.whole}",
        "said instead": _counts(labels.wrong).replace("gaze_", ""),
    }


def _presence(score: Score) -> Cells:
    if Delays() == score.left == score.returned:
        return None
    return {"left after s": _delay(score.left), "returned after s": _delay(score.returned)}


def _perclos(score: Score) -> Cells:
    if not score.perclos:
        return None
    said, true = (number(shares[0]) if len(shares) == 1 else "" for shares in (score.perclos, score.perclos_truth))
    return {"at the end": said, "truth": true, "error": number(score.perclos_error)}


def _refused(score: Score) -> Cells:
    clear, hidden = score.refused, score.refused_hidden
    return {
        "clear frames": str(clear.whole),
        "refused": number(clear.value),
        "hidden frames": str(hidden.whole),
        "refused ": number(hidden.value),
        "why": _counts(score.refused_why),
    }


_METRICS: dict[str, Callable[[Score], Cells]] = {
    "Blinks": lambda s: _tally(s.blinks, shown=str(s.blinks_shown), **{"false during": _counts(s.false_blinks)}),
    "Yawns": lambda s: _tally(s.yawns, **{"false during": _counts(s.false_yawns)}),
    "Closures of a second and longer": lambda s: _tally(s.closures, **{"told after s": _delay(s.closure_delay)}),
    "Head": _head,
    "Gaze, while held": lambda s: _labels(s.gaze),
    "Expression, while held": lambda s: _labels(s.expression),
    "Presence": _presence,
    "Raised hands": lambda s: _tally(
        s.hands, **{"raised after s": _delay(s.hand_raised), "lowered after s": _delay(s.hand_lowered)}
    ),
    "PERCLOS": _perclos,
    "Refused": _refused,
}
_TEXT = ("clip", "all clips", "false during", "said instead", "why")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, justify="left" if column in _TEXT else "right", no_wrap=column != "why")
    return table


def _delay(delays: Delays) -> str:
    """Mean, and the longest where there are several."""
    told = number(delays.mean_s)
    if len(delays.delays_s) > 1:
        told += f" (at most {number(max(delays.delays_s))})"
    return told + (f", {delays.never} never" if delays.never else "")


def number(value: float | None) -> str:
    """Three decimals at most."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "never"
    return f"{round(value, 3) + 0:.3f}".rstrip("0").rstrip(".")  # + 0: no −0


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{kind} {n}" for kind, n in counts.most_common())
