"""Clips through the service's own code at several rates, on all cores."""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from services.analyzer.evaluation.clips import UnreadableClip, analyze, clip_frames
from services.analyzer.evaluation.score import Score, score
from services.analyzer.evaluation.truth import Truth, read_truth
from services.analyzer.turn import AnalysisFailed
from services.runtime.deadletters import Malformed

CLIPS = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".gif")
MAX_FPS = 240.0


class WrongUse(ValueError):
    """Said in one line."""


class Clip(Protocol):
    """Something to be seen, and its truth."""

    @property
    def name(self) -> str: ...

    @property
    def truth(self) -> Truth: ...

    def frames(self, fps: float) -> Iterable[tuple[int, bytes]]:
        """Time in ms and JPEG of each frame, at most so many a second. Raises `UnreadableClip`."""


@dataclass(frozen=True, slots=True)
class ClipFile:
    path: Path
    truth: Truth
    width_px: int | None = None

    @property
    def name(self) -> str:
        return str(self.path)

    def frames(self, fps: float) -> Iterator[tuple[int, bytes]]:
        return clip_frames(self.path, fps=fps, width_px=self.width_px)


@dataclass(frozen=True, slots=True)
class Judged:
    """One clip at one rate; `error` says why there is no score."""

    name: str
    truth: Truth
    fps: float
    score: Score
    error: str | None = None


def parse_rates(text: str) -> list[float]:
    """`30,15,10` as frames a second, highest first. Raises `WrongUse`."""
    rates = []
    for part in text.split(","):
        try:
            fps = float(part)
        except ValueError:
            raise WrongUse(f"--fps: {part.strip()!r} is no number; wanted frames a second, like 30,15,10") from None
        if not (math.isfinite(fps) and 0 < fps <= MAX_FPS):
            raise WrongUse(f"--fps: {part.strip()} is out of range; wanted more than 0 and at most {MAX_FPS:.0f}")
        rates.append(fps)
    return sorted(set(rates), reverse=True)


def find_clips(paths: Sequence[Path], width_px: int | None = None) -> list[ClipFile]:
    """Clips, truth files, or folders of them; scaled down to `width_px`. Raises `WrongUse`, and `UnreadableTruth`."""
    found: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            pairs = {clip: clip.with_suffix(".json") for clip in sorted(path.iterdir()) if _is_clip(clip)}
            pairs = {clip: truth for clip, truth in pairs.items() if truth.is_file()}
            if not pairs:
                raise WrongUse(f"{path}: no clip in this folder has a truth file beside it (clip.mp4 and clip.json)")
            found |= pairs
        elif not path.exists():
            raise WrongUse(f"{path}: there is no such file or folder")
        elif path.suffix.lower() == ".json":
            found[_clip_of(path)] = path
        elif not path.with_suffix(".json").is_file():
            raise WrongUse(f"{path}: no truth beside it; wanted {path.with_suffix('.json').name}")
        else:
            found[path] = path.with_suffix(".json")
    return [ClipFile(clip, read_truth(truth), width_px) for clip, truth in found.items()]


def _is_clip(path: Path) -> bool:
    return path.suffix.lower() in CLIPS and path.is_file()


def _clip_of(truth: Path) -> Path:
    for clip in sorted(truth.parent.glob(f"{truth.stem}.*")):
        if _is_clip(clip):
            return clip
    raise WrongUse(f"{truth}: no clip beside it; wanted {truth.stem}{CLIPS[0]}")


def judge(clip: Clip, fps: float) -> Judged:
    try:
        seen = list(analyze(clip.frames(fps)))
        error = None if seen else f"{clip.name} has no frames"
    except UnreadableClip as unreadable:
        seen, error = [], str(unreadable)
    except (AnalysisFailed, Malformed) as failed:
        seen, error = [], f"{clip.name}: {failed}"
    return Judged(clip.name, clip.truth, fps, score(clip.truth, seen), error)


def judge_all(clips: Sequence[Clip], rates: Sequence[float], done: Callable[[Judged], None]) -> Iterator[Judged]:
    """Every clip at every rate, in this order; `done` is told of each as it is finished.

    Threads suffice: decoding and MediaPipe hold no lock.
    """

    def one(clip: Clip, fps: float) -> Judged:
        judged = judge(clip, fps)
        done(judged)
        return judged

    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        pending = [threads.submit(one, clip, fps) for clip in clips for fps in rates]
        try:
            for each in pending:
                yield each.result()
        finally:
            for each in pending:
                each.cancel()
