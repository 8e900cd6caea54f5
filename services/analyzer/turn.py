"""One turn of one session, in a thread: decode, perceive, step, encode. Everything that a frame costs happens here."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import structlog

from schemas.frames import FrameHeaders
from schemas.sessions import SessionEnd, SessionStart
from schemas.topics import LANDMARKS, METRICS, PREDICTIONS, PREVIEWS, STATUS, Topic
from services.analyzer.domain import hands as hands_
from services.analyzer.domain import session
from services.analyzer.domain.prediction import Concluded
from services.analyzer.domain.quality import insufficient, look_due
from services.analyzer.domain.state import Observation, SessionState, Skills
from services.analyzer.perceive import Vision, find_face, look_at_body
from services.analyzer.predict import Predictors
from services.analyzer.scheduler import Entry
from services.analyzer.vision.decode import decode, landmark_bytes, preview
from services.analyzer.vision.motion import Glimpse
from services.analyzer.vision.port import Picture
from services.analyzer.vision.probe import probe
from services.runtime.deadletters import Malformed
from services.runtime.epochs import EPOCH_HEADER
from services.runtime.log import Record
from services.runtime.records import Event, decoded

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
    unpredicted: bool = False  # the predictor failed on a window that ended here


@dataclass(slots=True)
class Subject:
    """A session's state, under the epoch in which it is owned. Whoever holds its turn may change it. The glimpse is not
    in a snapshot: whoever has none looks."""

    state: SessionState
    glimpse: Glimpse | None = None
    epoch: int = 0


class Turns:
    """Takes entries of a session in order. `run` is called from threads, never twice at once for a subject."""

    def __init__(
        self, vision: Vision, skills: Skills, clock_ms: Callable[[], int], predictors: Predictors | None = None
    ) -> None:
        self._vision = vision
        self._skills = skills
        self._clock_ms = clock_ms
        self._predictors = predictors or Predictors()

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
        if entry.headers is not None and entry.headers.kind == "frame":
            subject.state = session.refuse(subject.state, entry.headers.seq)
        return Outcome(entry.record, error=AnalysisFailed(f"failed {TRIES} times:\n{failure}"[-1000:]))

    def _take(self, subject: Subject, entry: Entry) -> Outcome:
        headers, record = entry.headers, entry.record
        if headers is None:
            raise Malformed(entry.error or "the headers cannot be read")
        if headers.kind == "start":
            subject.state = session.begin(subject.state, _told(record, SessionStart))
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
        seen, glimpse = self._perceive(picture, headers, subject)
        now_ms = self._clock_ms()
        state, taken = session.step(subject.state, seen, now_ms, self._skills)
        key = record.key
        marks = _marks(subject, record)
        messages = [Message(METRICS, key, taken.metrics.encode(), marks)]
        if taken.status is not None:
            messages.append(Message(STATUS, key, taken.status.encode(), marks))
        frame_marks = {**marks, "seq": str(headers.seq), "captured_at_ms": str(headers.captured_at_ms)}
        if seen.landmarks_px is not None and state.start is not None and state.start.landmarks:
            messages.append(Message(LANDMARKS, key, landmark_bytes(seen.landmarks_px), frame_marks))
        if taken.preview and state.consent.live_view:
            messages.append(Message(PREVIEWS, key, preview(picture), frame_marks))
        outcome = Outcome(record, messages, analyzed_after_ms=now_ms - headers.received_at_ms)
        if taken.concluded is not None:
            live_marks = {**marks, "received_at_ms": str(headers.received_at_ms)}
            self._predict(state, taken.concluded, outcome, live_marks)
        subject.state, subject.glimpse = state, glimpse
        return outcome

    def _perceive(
        self, picture: Picture, headers: FrameHeaders, subject: Subject
    ) -> tuple[Observation, Glimpse | None]:
        state = subject.state
        clock_ms, since_ms = session.time_of(state, headers.captured_at_ms)
        with self._vision.faces.borrowed() as vision:
            face = find_face(picture, state.following, clock_ms, vision)
        clarity = state.clarity
        if face.landmarks_px is None:
            clarity = None
        elif look_due(clarity, state.following.region, face.following.region, clock_ms):
            clarity = probe(picture, face.landmarks_px, clock_ms)
        region, look = face.following.region, None
        serves = region is not None and insufficient(region.face_px, clarity, 0, 0) is None
        if self._vision.bodies is not None and region is not None and serves:
            hands = session.hands_of(state, since_ms)
            due = hands_.look_due(hands, clock_ms, since_ms or 0.0, 1000 / self._skills.pose_hz)
            look = look_at_body(picture, region, subject.glimpse, due, self._vision.bodies)
        seen = Observation(
            headers.seq,
            headers.captured_at_ms,
            headers.received_at_ms,
            face.following,
            face.landmarks_px,
            clarity,
            look.body if look else None,
            body_looked=look is not None,
        )
        return seen, look.glimpse if look else subject.glimpse

    def _end(self, subject: Subject, record: Record) -> Outcome:
        end = _told(record, SessionEnd)
        state, taken = session.end(subject.state, self._clock_ms(), self._skills)
        marks = _marks(subject, record)
        outcome = Outcome(record, ended=True)
        if taken.concluded is not None:
            self._predict(subject.state, taken.concluded, outcome, marks)
        if taken.status is not None:  # the session's last word
            last = taken.status.model_copy(update={"ended_at_ms": end.ended_at_ms})
            outcome.messages.append(Message(STATUS, record.key, last.encode(), marks))
        subject.state = state
        return outcome

    def _predict(self, state: SessionState, concluded: Concluded, outcome: Outcome, marks: dict[str, str]) -> None:
        """Add the prediction of a window that is over."""
        prediction, guessed = self._predictors.predict(state.session_id, concluded)
        outcome.messages.append(Message(PREDICTIONS, state.session_id, prediction.encode(), marks))
        outcome.unpredicted = not guessed


def _told(record: Record, model: type[Event]) -> Event:
    try:
        return decoded(record, model)
    except Malformed as error:
        raise Malformed(f"the session's {record.headers['kind']} cannot be read: {error}") from None


def _marks(subject: Subject, record: Record) -> dict[str, str]:
    """Headers of all that comes of a record."""
    marks = {EPOCH_HEADER: str(subject.epoch)}
    if trace := record.headers.get("traceparent"):
        marks["traceparent"] = trace
    return marks
