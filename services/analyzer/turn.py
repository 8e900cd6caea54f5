"""One turn of one session, in a thread: decode, mesh, step, encode. Everything that a frame costs happens here."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import structlog
from pydantic import ValidationError

from schemas.base import wrong_fields
from schemas.frames import FrameHeaders
from schemas.sessions import SessionEnd, SessionStart
from schemas.topics import LANDMARKS, METRICS, PREVIEWS, STATUS, Topic
from services.analyzer.domain import session
from services.analyzer.domain.session import Observation, SessionState
from services.analyzer.scheduler import Entry
from services.analyzer.vision.decode import decode, landmark_bytes, preview, probe
from services.analyzer.vision.mesh import FaceMesh, MeshFactory
from services.runtime.deadletters import Malformed
from services.runtime.log import Record

logger = structlog.get_logger(__name__)

TRIES = 3

Skipped = Literal["stale", "no_consent"]


class AnalysisFailed(Exception):
    """A bug: the same frame failed every time. Its text holds the traceback."""


@dataclass(frozen=True, slots=True)
class Message:
    topic: Topic
    key: str
    value: bytes = field(repr=False)
    headers: dict[str, str]


@dataclass(slots=True)
class Outcome:
    """What became of one record. Its messages are to be sent in order; an `error` makes it a dead letter."""

    record: Record
    messages: list[Message] = field(default_factory=list)
    analyzed_after_ms: int | None = None  # since ingest received it; None when it was not analyzed
    skipped: Skipped | None = None
    ended: bool = False
    error: Exception | None = None


@dataclass(slots=True)
class Subject:
    """A session's state and tracker. Whoever holds its turn may change it."""

    state: SessionState
    mesh: FaceMesh | None = None

    def close_mesh(self) -> None:
        mesh, self.mesh = self.mesh, None
        if mesh is not None:
            mesh.close()


class Turns:
    """Takes entries of a session in order. `run` is called from threads, never twice at once for a subject."""

    def __init__(self, open_mesh: MeshFactory, clock_ms: Callable[[], int]) -> None:
        self._open_mesh = open_mesh
        self._clock_ms = clock_ms

    def run(self, subject: Subject, entries: list[Entry]) -> list[Outcome]:
        return [self._try(subject, entry) for entry in entries]

    def _try(self, subject: Subject, entry: Entry) -> Outcome:
        """A step leaves the state as it was when it fails, so that it can be tried again."""
        for attempt in range(1, TRIES + 1):
            try:
                return self._take(subject, entry)
            except Malformed as error:
                if entry.headers is not None and entry.headers.kind == "frame":
                    subject.state = session.refuse(subject.state, entry.headers.seq)
                return Outcome(entry.record, error=error)
            except Exception:
                logger.exception("analysis failed", session_id=entry.record.key, attempt=attempt)
                failure = traceback.format_exc(limit=-6)
                self._discard_mesh(subject)
        if entry.headers is not None and entry.headers.kind == "frame":
            subject.state = session.refuse(subject.state, entry.headers.seq)
        return Outcome(entry.record, error=AnalysisFailed(f"failed {TRIES} times:\n{failure}"[-1000:]))

    def _take(self, subject: Subject, entry: Entry) -> Outcome:
        headers, record = entry.headers, entry.record
        if headers is None:
            raise Malformed(entry.error or "the headers cannot be read")
        if headers.kind == "start":
            subject.state = session.begin(subject.state, _start(record.value))
            return Outcome(record)
        if headers.kind == "end":
            return self._end(subject, record)
        if headers.seq <= subject.state.last_seq:  # sent again by a client, or read again after a restart
            return Outcome(record)
        if entry.skip or not subject.state.consent.analysis:
            subject.state = session.skip(subject.state, headers.seq)
            return Outcome(record, skipped="stale" if entry.skip else "no_consent")
        return self._frame(subject, headers, record)

    def _frame(self, subject: Subject, headers: FrameHeaders, record: Record) -> Outcome:
        picture = decode(record.value, subject.state.face_px)
        if subject.mesh is None:
            subject.mesh = self._open_mesh()
        landmarks = subject.mesh.landmarks(picture.rgb)
        seen = Observation(headers.seq, headers.captured_at_ms, headers.received_at_ms)
        if landmarks is not None:
            scale = np.array((picture.width, picture.height, picture.width), np.float32)
            blur, brightness = probe(picture, landmarks)
            seen = Observation(
                headers.seq, headers.captured_at_ms, headers.received_at_ms, landmarks * scale, blur, brightness
            )
        now_ms = self._clock_ms()
        state, taken = session.step(subject.state, seen, now_ms)
        key = record.key
        marks = _marks(record)
        messages = [Message(METRICS, key, taken.metrics.encode(), marks)]
        if taken.status is not None:
            messages.append(Message(STATUS, key, taken.status.encode(), marks))
        frame_marks = {**marks, "seq": str(headers.seq), "captured_at_ms": str(headers.captured_at_ms)}
        if landmarks is not None and state.start is not None and state.start.landmarks:
            value = landmark_bytes(landmarks, picture.width, picture.height)
            messages.append(Message(LANDMARKS, key, value, frame_marks))
        if taken.preview and state.consent.live_view:
            messages.append(Message(PREVIEWS, key, preview(picture), frame_marks))
        subject.state = state
        return Outcome(record, messages, analyzed_after_ms=now_ms - headers.received_at_ms)

    def _end(self, subject: Subject, record: Record) -> Outcome:
        try:
            SessionEnd.decode(record.value)
        except ValidationError as error:
            raise Malformed(f"the session's end cannot be read: {wrong_fields(error)}") from None
        state, status = session.end(subject.state, self._clock_ms())
        messages = [Message(STATUS, record.key, status.encode(), _marks(record))] if status else []
        subject.state = state
        subject.close_mesh()
        return Outcome(record, messages, ended=True)

    @staticmethod
    def _discard_mesh(subject: Subject) -> None:
        """A tracker that failed may be in any state."""
        try:
            subject.close_mesh()
        except Exception:
            logger.exception("the tracker did not close")


def _start(value: bytes) -> SessionStart:
    try:
        return SessionStart.decode(value)
    except ValidationError as error:
        raise Malformed(f"the session's start cannot be read: {wrong_fields(error)}") from None


def _marks(record: Record) -> dict[str, str]:
    trace = record.headers.get("traceparent")
    return {"traceparent": trace} if trace else {}
