"""What is told of a frame and of a session's status, in the contract's words."""

from typing import Any

from schemas.events import FrameMetrics, InsufficientReason, Quality, SessionTotals, StatusChanged
from services.analyzer.domain.expression import Scores
from services.analyzer.domain.geometry import Geometry
from services.analyzer.domain.head import Angles, glimpse
from services.analyzer.domain.person import Reading
from services.analyzer.domain.state import Observation, SessionState, Told

ANALYZER_VERSION = "1"


def metrics_of(
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
        face_present=seen.face_present,
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


def status_of(
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
