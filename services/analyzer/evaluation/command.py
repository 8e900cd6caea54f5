"""`rapt evaluate`: find the clips, measure them, tell. Exit codes: 0 done, 1 something failed, 2 wrong use."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from services.analyzer.evaluation.report import as_object, tables
from services.analyzer.evaluation.run import Judged, WrongUse, find_clips, judge_all, parse_rates
from services.analyzer.evaluation.truth import UnreadableTruth


def run_evaluation(
    paths: Sequence[Path], fps: str, width_px: int | None, *, out: Console, err: Console, as_json: bool
) -> int:
    try:
        rates = parse_rates(fps)
        clips = find_clips(paths, width_px)
    except (WrongUse, UnreadableTruth) as error:
        _complain(err, str(error))
        return 2 if isinstance(error, WrongUse) else 1

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what is wrong with a clip is said below, once
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("clips × rates", total=len(clips) * len(rates))

        def done(one: Judged) -> None:
            bar.update(task, advance=1, description=f"{Path(one.name).name} at {one.fps:g} fps")

        judged = list(judge_all(clips, rates, done))

    failures = sorted({one.error for one in judged if one.error is not None})
    for failure in failures:
        _complain(err, failure)
    if as_json:
        out.print_json(json.dumps(as_object(judged)))
    else:
        # A pipe has no width: nothing is to be cut off there.
        wide = out if out.is_terminal else Console(file=out.file, width=200)
        for table in tables(judged):
            wide.print(table)
        for clip in clips:
            if clip.truth.other_kinds:
                wide.print(
                    f"{clip.path.stem} has events without a metric of their own: {', '.join(clip.truth.other_kinds)}"
                )
    return 1 if failures else 0


def _complain(err: Console, message: str) -> None:
    err.print(f"rapt: {message}", style="red", highlight=False, markup=False, soft_wrap=True)
