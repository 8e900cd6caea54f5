"""One session's state and its step: `(state, observation, now_ms) → (state, what to send)`.

Pure and deterministic: no clock, no I/O, states are immutable. So a step can be tried again, a snapshot can be taken at
any moment, and a session goes on from it as if nothing had happened.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.events import (
    Emotion,
    FrameMetrics,
    Gaze,
    HeadPose,
    InsufficientReason,
    Quality,
    SessionTotals,
    State,
    StatusChanged,
)
from schemas.sessions import Consent, SessionStart
from services.analyzer.domain import hands as hands_
from services.analyzer.domain import person as person_
from services.analyzer.domain import windows as windows_
from services.analyzer.domain.attention import Attention, interrupted, observed_state, settle
from services.analyzer.domain.body import Body
from services.analyzer.domain.expression import Expression, Scores, See
from services.analyzer.domain.faces import Following
from services.analyzer.domain.geometry import Geometry, measure
from services.analyzer.domain.hands import Hands
from services.analyzer.domain.head import Angles, glimpse
from services.analyzer.domain.person import Person, Reading
from services.analyzer.domain.prediction import Concluded, Past, conclude
from services.analyzer.domain.quality import Clarity, insufficient
from services.analyzer.domain.windows import Windows

ANALYZER_VERSION = "1"

# Between two frames further apart than this, or out of order, nothing is assumed to have gone on.
_LONGEST_STEP_MS = 2000
_STATUS_DWELL_MS = 300.0  # a label must hold this long before it is told; the state has its own dwell
_PREVIEW_EVERY_MS = 1000.0


@dataclass(frozen=True, slots=True)
class Observation:
    """One decoded frame. `landmarks_px`: (478, 3) in pixels of the frame as sent; None when the person's face is not
    there. `following` is who is followed after it. `clarity` is None when the eyes are not in the picture.
    `body_looked` says that the pose model was asked; `body` is what it found."""

    seq: int
    captured_at_ms: int
    received_at_ms: int
    following: Following = field(default=Following())
    landmarks_px: NDArray[np.float32] | None = field(default=None, repr=False)
    clarity: Clarity | None = None
    body: Body | None = None
    body_looked: bool = False


@dataclass(frozen=True, slots=True)
class Skills:
    """What the settings allow beyond the measurements that are always made. Chosen once, when the analyzer starts.

    `look_back`: windows that the predictor wants to see, the one that it is about included.
    `pose_hz`: the most looks at the body a second. `emotion` infers emotions of those who consented to that."""

    look_back: int = 1
    pose_hz: float = 2.0
    emotion: See | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """The discrete status, as sent or about to be."""

    state: State = "unknown"
    insufficient_reason: InsufficientReason | None = None
    gaze: Gaze | None = None
    head_pose: HeadPose | None = None
    yawning: bool | None = None
    hand_raised: bool | None = None
    emotion: Emotion | None = None


@dataclass(frozen=True, slots=True)
class SessionState:
    """All that the analyzer knows of a session. `clock_ms` runs with the frames' capture times and bridges their jumps.

    Without a `start` (its record is gone from the log) frames are analyzed under the contract's default consent and
    no status is sent, since nobody knows whose it would be. `expression` is None where emotions are not inferred.
    """

    session_id: str
    start: SessionStart | None = None
    ended: bool = False
    last_seq: int = -1
    captured_at_ms: int | None = None
    clock_ms: float = 0.0
    analyzed: int = 0
    skipped: int = 0
    malformed: int = 0
    following: Following = field(default=Following())
    face_px: float | None = None
    clarity: Clarity | None = None
    preview_at_ms: float | None = None
    person: Person = field(default=Person())
    hands: Hands = field(default=Hands())
    expression: Expression | None = None
    attention: Attention = field(default=Attention())
    told: Told | None = None
    about: Told | None = None
    about_since_ms: float = 0.0
    windows: Windows = field(default=Windows())
    past: Past = field(default=Past())

    @property
    def consent(self) -> Consent:
        return self.start.consent if self.start else Consent()


@dataclass(frozen=True, slots=True)
class Step:
    """What a frame leads to. `preview` says that a preview picture is due (if the consent has live view); `concluded`
    is the window that ended with it."""

    metrics: FrameMetrics
    status: StatusChanged | None
    preview: bool
    concluded: Concluded | None = None


@dataclass(frozen=True, slots=True)
class End:
    """What a session's end leads to: the last status, with totals, and the window that was under way."""

    status: StatusChanged | None = None
    concluded: Concluded | None = None


def begin(state: SessionState, start: SessionStart) -> SessionState:
    """The session's start, or its repetition when a client reconnects."""
    return replace(state, start=start)


def skip(state: SessionState, seq: int) -> SessionState:
    """A frame that is left out."""
    return replace(state, last_seq=seq, skipped=state.skipped + 1, ended=False)


def refuse(state: SessionState, seq: int) -> SessionState:
    """A frame that cannot be read."""
    return replace(state, last_seq=seq, malformed=state.malformed + 1, ended=False)


def end(state: SessionState, now_ms: int, skills: Skills) -> tuple[SessionState, End]:
    """Nothing when the end was seen already; no status when nobody knows whose session it was.

    What remains of the state tells later duplicates from news, and keeps the counters.
    """
    if state.ended:
        return state, End()
    windows, window = windows_.end(state.windows)
    concluded = conclude(state.past, window, skills.look_back)[1] if window else None
    kept = SessionState(
        state.session_id,
        state.start,
        ended=True,
        last_seq=state.last_seq,
        captured_at_ms=state.captured_at_ms,
        clock_ms=state.clock_ms,
        analyzed=state.analyzed,
        skipped=state.skipped,
        malformed=state.malformed,
        person=state.person.counters_only(),
        told=state.told,
        windows=windows,
    )
    totals = SessionTotals(
        frames=state.analyzed + state.skipped + state.malformed,
        analyzed=state.analyzed,
        skipped=state.skipped,
        blink_count=state.person.eyes.blink_count,
        yawn_count=state.person.mouth.yawn_count,
        last_seq=state.last_seq if state.last_seq >= 0 else None,
    )
    captured_at_ms = state.captured_at_ms
    if captured_at_ms is None:
        captured_at_ms = state.start.started_at_ms if state.start else now_ms
    return kept, End(_status(state, state.told or Told(), captured_at_ms, now_ms, totals), concluded)


def time_of(state: SessionState, captured_at_ms: int) -> tuple[float, float | None]:
    """The session's clock at a frame, and the time since the last one in ms; None when that is not known."""
    if state.captured_at_ms is None:
        return state.clock_ms, None
    dt_ms = float(captured_at_ms - state.captured_at_ms)
    return (state.clock_ms + dt_ms, dt_ms) if 0 <= dt_ms <= _LONGEST_STEP_MS else (state.clock_ms, None)


def hands_of(state: SessionState, since_ms: float | None) -> Hands:
    """What is known of the hands before a frame: nothing, when it is not known how long ago the last one was."""
    return state.hands if since_ms is not None else Hands()


def step(state: SessionState, seen: Observation, now_ms: int, skills: Skills) -> tuple[SessionState, Step]:
    """Take one frame; `now_ms` is only written down. Frames come with rising seq; the caller leaves out duplicates."""
    clock_ms, since_ms = time_of(state, seen.captured_at_ms)
    person, attention = state.person, state.attention
    if since_ms is None:
        person, attention = person_.lose(person), interrupted(attention)

    geometry: Geometry | None = None
    reason: InsufficientReason | None = "several_faces" if seen.following.several else "no_face"
    reading: Reading | None = None
    if seen.landmarks_px is not None:
        geometry = measure(seen.landmarks_px, seen.following.width_px, seen.following.height_px)
        before = state.about.insufficient_reason if state.about else None
        reason = insufficient(geometry.face_px, seen.clarity, geometry.yaw_deg, geometry.pitch_deg, before=before)
    if geometry is not None and reason is None:
        person, reading = person_.see(person, geometry, seen.following.region, clock_ms, since_ms or 0.0)
    else:
        person = person_.miss(person, clock_ms)

    hands = hands_of(state, since_ms)
    if seen.body_looked and geometry is not None:
        hands = hands_.see(hands, seen.body, geometry.face_px, clock_ms)

    expression, scores = _express(state, seen, geometry, reading, clock_ms, skills)

    if reading is not None or person.seen_at_ms is None:
        observed = observed_state(
            reading.engagement if reading else None,
            face_present=_face_present(seen),
            drowsy=reading is not None and bool(reading.drowsy),
            told=state.attention.state,
        )
        attention = settle(attention, observed, clock_ms)
    about = Told(
        attention.state,
        reason,
        reading.gaze if reading else None,
        reading.head_pose if reading else None,
        reading.yawning if reading else None,
        hands.raised if reading else None,
        expression.emotion if expression and scores else None,
    )
    about_since_ms = state.about_since_ms if about == state.about else clock_ms
    told, status = state.told, None
    if about != told and (told is None or about.state != told.state or clock_ms - about_since_ms >= _STATUS_DWELL_MS):
        status = _status(replace(state, expression=expression), about, seen.captured_at_ms, now_ms, None, seen.seq)
        told = about if status else told
    preview = state.preview_at_ms is None or clock_ms - state.preview_at_ms >= _PREVIEW_EVERY_MS
    after = SessionState(
        session_id=state.session_id,
        start=state.start,
        last_seq=seen.seq,
        captured_at_ms=seen.captured_at_ms,
        clock_ms=clock_ms,
        analyzed=state.analyzed + 1,
        skipped=state.skipped,
        malformed=state.malformed,
        following=seen.following,
        face_px=geometry.face_px if geometry else None,
        clarity=seen.clarity,
        preview_at_ms=clock_ms if preview else state.preview_at_ms,
        person=person,
        hands=hands,
        expression=expression,
        attention=attention,
        told=told,
        about=about,
        about_since_ms=about_since_ms,
        windows=state.windows,
        past=state.past,
    )
    metrics = _metrics(after, seen, now_ms, geometry, reason, reading, scores)
    after, concluded = _conclude(after, metrics, state.captured_at_ms, joined=since_ms is not None, skills=skills)
    return after, Step(metrics, status, preview, concluded)


def _express(
    state: SessionState,
    seen: Observation,
    geometry: Geometry | None,
    reading: Reading | None,
    clock_ms: float,
    skills: Skills,
) -> tuple[Expression | None, Scores | None]:
    """What is known of the person's expressions and what they are now, where that may be inferred."""
    if skills.emotion is None or not state.consent.emotion:
        return None, None
    expression = state.expression or Expression()
    if seen.landmarks_px is None or geometry is None or reading is None or reading.still:
        return expression, None
    return skills.emotion(expression, seen.landmarks_px, geometry, clock_ms)


def _conclude(
    state: SessionState, metrics: FrameMetrics, last_ms: int | None, *, joined: bool, skills: Skills
) -> tuple[SessionState, Concluded | None]:
    """Take the frame into its window; the window before, if this frame is beyond it."""
    since_last_ms = 0 if last_ms is None else metrics.captured_at_ms - last_ms
    sample = windows_.sample(metrics)
    windows, window = windows_.see(state.windows, sample, metrics.captured_at_ms, since_last_ms, joined=joined)
    if window is None:
        return replace(state, windows=windows), None
    past, concluded = conclude(state.past, window, skills.look_back)
    return replace(state, windows=windows, past=past), concluded


def _face_present(seen: Observation) -> bool:
    """The person's face, or several of which it may be one."""
    return seen.landmarks_px is not None or seen.following.several


def _metrics(
    after: SessionState,
    seen: Observation,
    now_ms: int,
    geometry: Geometry | None,
    reason: InsufficientReason | None,
    reading: Reading | None,
    scores: Scores | None,
) -> FrameMetrics:
    measured = geometry if reading else None
    posed: Reading | Angles | None = reading
    if geometry is not None and reason == "turned_away":  # which is told by these very angles
        posed = glimpse(after.person.head, geometry)
    quality = Quality()
    if geometry is not None:
        quality = Quality(face_px=_r(geometry.face_px, 1))
        if seen.clarity is not None:
            quality = Quality(
                face_px=_r(geometry.face_px, 1),
                blur=_r(seen.clarity.blur, 1),
                contrast=_r(seen.clarity.contrast, 1),
                brightness=_r(seen.clarity.brightness, 1),
                still=reading.still if reading else None,
            )
    parts = reading.engagement_parts if reading else None
    inferred: dict[str, Any] = {}  # absent, not null, where emotions are not
    if after.expression is not None:
        inferred["emotion"] = after.expression.emotion if scores else None
        inferred["emotion_scores"] = {name: round(share, 4) for name, share in scores.items()} if scores else None
    return FrameMetrics(
        session_id=after.session_id,
        seq=seen.seq,
        captured_at_ms=seen.captured_at_ms,
        received_at_ms=seen.received_at_ms,
        analyzed_at_ms=now_ms,
        analyzer_version=ANALYZER_VERSION,
        face_present=_face_present(seen),
        face_count=seen.following.count,
        quality=quality,
        insufficient_signal=reason is not None,
        insufficient_reason=reason,
        ear_left=_r(measured.ear_left) if measured else None,
        ear_right=_r(measured.ear_right) if measured else None,
        mar=_r(measured.mar) if measured else None,
        eyes_closed=reading.eyes_closed if reading else None,
        blink_count=after.person.eyes.blink_count,
        perclos=_r(reading.perclos) if reading else None,
        drowsy=reading.drowsy if reading else None,
        yawning=reading.yawning if reading else None,
        yawn_count=after.person.mouth.yawn_count,
        gaze_h=_r(reading.gaze_h) if reading else None,
        gaze_v=_r(reading.gaze_v) if reading else None,
        gaze=reading.gaze if reading else None,
        yaw_deg=_r(posed.yaw_deg, 2) if posed else None,
        pitch_deg=_r(posed.pitch_deg, 2) if posed else None,
        roll_deg=_r(posed.roll_deg, 2) if posed else None,
        head_pose=reading.head_pose if reading else None,
        hand_raised=after.hands.raised if reading else None,
        engagement=_r(reading.engagement) if reading else None,
        engagement_parts={name: round(part, 4) for name, part in parts.items()} if parts else None,
        state=after.attention.state,
        **inferred,
    )


def _status(
    state: SessionState,
    told: Told,
    captured_at_ms: int,
    now_ms: int,
    totals: SessionTotals | None,
    seq: int | None = None,
) -> StatusChanged | None:
    if state.start is None:
        return None
    inferred: dict[str, Any] = {} if state.expression is None else {"emotion": told.emotion}
    return StatusChanged(
        session_id=state.session_id,
        student_id=state.start.student_id,
        lecture_code=state.start.lecture_code,
        seq=max(0, state.last_seq) if seq is None else seq,
        captured_at_ms=captured_at_ms,
        changed_at_ms=now_ms,
        state=told.state,
        insufficient_reason=told.insufficient_reason,
        gaze=told.gaze,
        head_pose=told.head_pose,
        yawning=told.yawning,
        hand_raised=told.hand_raised,
        started_at_ms=state.start.started_at_ms,
        totals=totals,
        **inferred,
    )


def _r(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(value, digits)
