"""Frames and video files through the service's own code, offline: what the tests of its accuracy measure with."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2

from schemas.events import FrameMetrics
from schemas.frames import FrameHeaders
from schemas.sessions import Consent, SessionStart
from schemas.topics import FRAMES, METRICS
from services.analyzer.domain import emotion
from services.analyzer.domain.state import SessionState, Skills
from services.analyzer.perceive import Vision
from services.analyzer.scheduler import Entry
from services.analyzer.turn import Subject, Turns
from services.analyzer.vision.body import MediaPipeBody
from services.analyzer.vision.faces import MediaPipeFaces
from services.analyzer.vision.pool import Pool
from services.analyzer.vision.port import FaceVision
from services.runtime.log import Record

_START = SessionStart(
    session_id="clip",
    student_id="clip",
    lecture_code="clips",
    started_at_ms=0,
    frame_width=640,  # nobody reads the size here
    frame_height=480,
    consent=Consent(emotion=True),
)


class UnreadableClip(ValueError):
    """Not a video that can be decoded."""


def clip_frames(path: Path, *, fps: float | None = None, width_px: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Time in the clip (ms) and JPEG of each frame; `fps` thins to at most that rate, `width_px` scales down."""
    clip = cv2.VideoCapture(str(path))
    try:
        source_fps = clip.get(cv2.CAP_PROP_FPS)
        if not clip.isOpened() or source_fps <= 0:
            raise UnreadableClip(f"{path} is not a video that can be read")
        number, due_ms = 0, 0.0
        while True:
            there, image = clip.read()
            if not there:
                return
            at_ms = number * 1000 / source_fps
            number += 1
            if at_ms + 0.5 < due_ms:
                continue
            due_ms += 1000 / fps if fps else 0
            if width_px is not None and image.shape[1] > width_px:
                size = (width_px, round(image.shape[0] * width_px / image.shape[1]))
                image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            yield round(at_ms), cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
    finally:
        clip.release()


def analyze(
    frames: Iterable[tuple[int, bytes]], open_faces: Callable[[], FaceVision] = MediaPipeFaces
) -> Iterator[FrameMetrics]:
    """Metrics of every (time in ms, JPEG), as the service would publish them for one session that allows all.

    Raises `AnalysisFailed` for a bug, and `Malformed` for what is no JPEG.
    """
    vision = Vision(Pool(open_faces, most=1), Pool(MediaPipeBody, most=1) if open_faces is MediaPipeFaces else None)
    subject = Subject(SessionState("clip", _START))
    turns = Turns(vision, Skills(emotion=emotion.see), clock_ms=lambda: 0)
    try:
        for seq, (at_ms, jpeg) in enumerate(frames):
            headers = FrameHeaders("clip", "frame", seq, at_ms, at_ms)
            record = Record(FRAMES.name, 0, seq, "clip", jpeg, headers.encode(), 0)
            outcome = turns.run(subject, [Entry(record, headers)])[0]
            if outcome.error is not None:
                raise outcome.error
            for message in outcome.messages:
                if message.topic is METRICS:
                    yield FrameMetrics.decode(message.value)
    finally:
        vision.close()
