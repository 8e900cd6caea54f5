"""One session's state and its step: `(state, observation, now_ms) → (state, what to send)`.

Pure and deterministic: no clock, no I/O, states are immutable. So a step can be tried again, a snapshot can be taken at
any moment, and a session goes on from it as if nothing had happened.
"""

from dataclasses import replace

from schemas.events import FrameMetrics, InsufficientReason, SessionTotals
from schemas.sessions import SessionStart
from services.analyzer.domain import hands as hands_
from services.analyzer.domain import person as person_
from services.analyzer.domain import windows as windows_
from services.analyzer.domain.attention import interrupted, observed_state, settle
from services.analyzer.domain.expression import Expression, Scores
from services.analyzer.domain.geometry import Geometry, measure
from services.analyzer.domain.hands import Hands
from services.analyzer.domain.person import Reading
from services.analyzer.domain.prediction import Concluded, conclude
from services.analyzer.domain.quality import insufficient
from services.analyzer.domain.state import End, Observation, SessionState, Skills, Step, Told
from services.analyzer.domain.telling import metrics_of, status_of

# Between two frames further apart than this, or out of order, nothing is assumed to have gone on.
_LONGEST_STEP_MS = 2000
_STATUS_DWELL_MS = 300.0  # a label must hold this long before it is told; the state has its own dwell
_PREVIEW_EVERY_MS = 1000.0


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
    return kept, End(status_of(state, state.told or Told(), captured_at_ms, now_ms, totals), concluded)


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
            face_present=seen.face_present,
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
        status = status_of(replace(state, expression=expression), about, seen.captured_at_ms, now_ms, None, seen.seq)
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
    metrics = metrics_of(after, seen, now_ms, geometry, reason, reading, scores)
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
