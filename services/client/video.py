"""Frames of a video file as JPEGs with their times."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from services.client.drawn import Image, encode_jpeg
from services.client.errors import UnreadableVideo

WIDTH_PX = 320
DEFAULT_FPS = 30.0
MAX_FPS = 60.0


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """`at_s` counts from the first frame."""

    at_s: float
    jpeg: bytes = field(repr=False)


class Video:
    """An open file. `size` is (width, height) of the frames as sent: at most 320 wide, the aspect kept, even sides."""

    def __init__(self, path: Path, fps: float | None = None) -> None:
        """`fps`: take no more frames a second than this. Raises `UnreadableVideo`."""
        if not path.exists():
            raise UnreadableVideo(f"{path}: there is no such file")
        if not path.is_file():
            raise UnreadableVideo(f"{path}: not a file; wanted a video")
        with _quiet():
            self._capture = cv2.VideoCapture(str(path))
            opened, first = self._capture.read() if self._capture.isOpened() else (False, None)
        if not opened or first is None:
            self._capture.release()
            raise UnreadableVideo(f"{path}: no frame of a video can be read from it; wanted a format that FFmpeg reads")
        self._first: Image | None = first.astype(np.uint8, copy=False)
        native_fps = self._capture.get(cv2.CAP_PROP_FPS)
        self._native_fps = native_fps if 0 < native_fps <= 1000 else DEFAULT_FPS
        self.fps = min(fps or self._native_fps, self._native_fps, MAX_FPS)
        self._every_frame = self.fps == self._native_fps
        height, width = first.shape[:2]
        shrink = min(1.0, WIDTH_PX / width)
        self.size = (_even(width * shrink), _even(height * shrink))

    def frames(self) -> Iterator[VideoFrame]:
        """Every frame, or as many as `fps` allows; blocks while decoding. Closes the file at the end."""
        due_s, begun_ms = 0.0, self._capture.get(cv2.CAP_PROP_POS_MSEC)
        image, at_s = self._first, 0.0
        self._first = None
        try:
            while image is not None:
                # Half a frame's tolerance: many files round times to milliseconds.
                if self._every_frame or at_s >= due_s - 0.5 / self._native_fps:
                    small = cv2.resize(image, self.size, interpolation=cv2.INTER_AREA)
                    yield VideoFrame(at_s, encode_jpeg(small.astype(np.uint8, copy=False), quality=85))
                    due_s = max(due_s + 1 / self.fps, at_s)
                read, following = self._capture.read()
                image = following.astype(np.uint8, copy=False) if read else None
                told_s = (self._capture.get(cv2.CAP_PROP_POS_MSEC) - begun_ms) / 1000
                # Some formats tell no times, or the same one twice.
                at_s = told_s if told_s > at_s else at_s + 1 / self._native_fps
        finally:
            self.close()

    def close(self) -> None:
        self._capture.release()


def count_frames(path: Path) -> int:
    """How many frames a file decodes to; 0 when it is no video."""
    with _quiet():
        capture = cv2.VideoCapture(str(path))
        try:
            frames = 0
            while capture.grab():
                frames += 1
            return frames
        finally:
            capture.release()


def _even(length: float) -> int:
    return max(2, round(length / 2) * 2)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """OpenCV's own complaints say less than ours."""
    level = cv2.getLogLevel()
    cv2.setLogLevel(0)
    try:
        yield
    finally:
        cv2.setLogLevel(level)
