"""The recorder beside OpenCV's mp4v writer: CPU and bytes for the same frames in the same run.

Ours is the whole way from JPEG to the finished file: segments, syncs, manifest, remux, thumbnail. The baseline decodes
the same JPEGs and writes them with `cv2.VideoWriter`. Each is the best of several runs that take turns, so that what
else the machine does falls on both.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bench.frames import FPS, drawn_frames
from bench.result import Claim
from schemas import examples
from services.client.drawn import Look
from services.recorder.archive import Archive
from services.recorder.disk import Disk
from services.recorder.encoder import PyavEncoder
from services.recorder.frame import Frame
from services.recorder.writer import Writer

SECONDS = 30.0
ROUNDS = 4
CPU_GOAL = 2.0
BYTES_GOAL = 0.35


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU in milliseconds per frame, and bytes of the file."""

    cpu_ms: float
    size_bytes: int


def run() -> list[Claim]:
    """Both ratios, on drawn students at 320×240."""
    jpegs = drawn_frames(SECONDS, look=Look.of(1))
    ours: list[Cost] = []
    theirs: list[Cost] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            theirs.append(_cost(mp4v, jpegs, Path(folder) / f"mp4v-{number}"))
            ours.append(_cost(recorder, jpegs, Path(folder) / f"ours-{number}"))
    our_cpu_ms, their_cpu_ms = min(cost.cpu_ms for cost in ours), min(cost.cpu_ms for cost in theirs)
    our_bytes, their_bytes = ours[0].size_bytes, theirs[0].size_bytes
    return [
        Claim(
            "recorder CPU per frame / cv2 mp4v",
            our_cpu_ms / their_cpu_ms,
            "×",
            "at most",
            CPU_GOAL,
            f"{our_cpu_ms:.2f} ms",
            f"{their_cpu_ms:.2f} ms",
        ),
        Claim(
            "recorder bytes / cv2 mp4v",
            our_bytes / their_bytes,
            "×",
            "at most",
            BYTES_GOAL,
            f"{our_bytes / 1000:.0f} kB",
            f"{their_bytes / 1000:.0f} kB",
        ),
    ]


def recorder(jpegs: Sequence[bytes], folder: Path) -> Path:
    """Record as the service does; the file's path."""
    archive = Archive(folder, "h264", None, PyavEncoder, Disk())
    archive.prepare()
    start = examples.SESSION_START
    writer = archive.open(start.session_id, 0, start)
    assert isinstance(writer, Writer)
    for seq, jpeg in enumerate(jpegs):
        at_ms = start.started_at_ms + round(seq * 1000 / FPS)
        if writer.take(Frame(seq, at_ms, at_ms, jpeg)):
            writer.flush()
    writer.flush()
    event = archive.end(writer, examples.SESSION_END, examples.SESSION_END.ended_at_ms)
    assert event.filename is not None
    return folder / event.filename


def mp4v(jpegs: Sequence[bytes], folder: Path) -> Path:
    """The baseline; the file's path."""
    folder.mkdir()
    path = folder / "baseline.mp4"
    first = cv2.imdecode(np.frombuffer(jpegs[0], np.uint8), cv2.IMREAD_COLOR)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (first.shape[1], first.shape[0]))
    for jpeg in jpegs:
        writer.write(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR))
    writer.release()
    return path


def _cost(record: Callable[[Sequence[bytes], Path], Path], jpegs: Sequence[bytes], folder: Path) -> Cost:
    began = time.process_time()
    path = record(jpegs, folder)
    return Cost((time.process_time() - began) * 1000 / len(jpegs), path.stat().st_size)
