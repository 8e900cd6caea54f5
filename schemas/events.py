"""Events that the services derive from frames. Field names are fixed: readers depend on them.

Directions are those of the image as sent (not mirrored): left is image left; yaw > 0 turns the face to image right,
pitch > 0 looks down, roll > 0 tilts counter-clockwise. What cannot be measured is None, never 0. What is not measured
because it may not be, by settings or consent, is MISSING: absent from what is written and read.
"""

from typing import Literal

from pydantic import MISSING, Field

from schemas.base import Contract, EpochMs, Identifier, Seq

State = Literal["engaged", "distracted", "drowsy", "absent", "unknown"]
Emotion = Literal["neutral", "happy", "sad", "angry", "surprised"]
Gaze = Literal["center", "left", "right", "up", "down"]
HeadPose = Literal["forward", "left", "right", "up", "down", "tilted"]
InsufficientReason = Literal["no_face", "face_small", "dark", "blurred", "turned_away", "several_faces"]
Quadrant = Literal["HH", "HL", "LH", "LL"]


def _is_none(value: object) -> bool:
    return value is None


class Quality(Contract):
    """How well the picture serves.

    `face_px`: face height in pixels of the frame as sent. Around the eyes: `blur`, fine detail in percent of the
    contrast (high is sharp); `contrast`, between dark and light places in grey levels; `brightness`, mean luma 0..255.
    `still`: the face has not moved by itself for 7 s, as on a photo; None until that can be told.
    """

    face_px: float | None = None
    blur: float | None = None
    contrast: float | None = None
    brightness: float | None = None
    still: bool | None = None


class FrameMetrics(Contract):
    """All that one frame says, and the session's counters up to it. Natural key: session_id, seq."""

    session_id: Identifier
    seq: Seq
    captured_at_ms: EpochMs
    received_at_ms: EpochMs
    analyzed_at_ms: EpochMs
    analyzer_version: str
    face_present: bool
    face_count: int = Field(ge=0)
    quality: Quality
    insufficient_signal: bool
    insufficient_reason: InsufficientReason | None = None
    ear_left: float | None = None
    ear_right: float | None = None
    mar: float | None = None
    eyes_closed: bool | None = None
    blink_count: int = Field(ge=0)
    perclos: float | None = Field(default=None, ge=0, le=1)
    drowsy: bool | None = None
    yawning: bool | None = None
    yawn_count: int = Field(ge=0)
    gaze_h: float | None = None
    gaze_v: float | None = None
    gaze: Gaze | None = None
    yaw_deg: float | None = None
    pitch_deg: float | None = None
    roll_deg: float | None = None
    head_pose: HeadPose | None = None
    hand_raised: bool | None = None
    emotion: Emotion | MISSING | None = MISSING
    emotion_scores: dict[Emotion, float] | MISSING | None = MISSING
    engagement: float | None = Field(default=None, ge=0, le=1)
    engagement_parts: dict[str, float] | None = None
    state: State


class SessionTotals(Contract):
    """What the analyzer did with a whole session; sent once, with the session's last status."""

    frames: int = Field(ge=0)
    analyzed: int = Field(ge=0)
    skipped: int = Field(ge=0)
    blink_count: int = Field(ge=0)
    yawn_count: int = Field(ge=0)
    last_seq: Seq | None = None


class StatusChanged(Contract):
    """The discrete status, sent when it differs from the last one sent; `totals` with a session's last one.

    `started_at_ms` is when the session began and, with its last status, `ended_at_ms` when it ended: by ingest's clock,
    as the session's own records say. Records of older analyzers lack both.
    """

    session_id: Identifier
    student_id: Identifier
    lecture_code: Identifier
    seq: Seq
    captured_at_ms: EpochMs
    changed_at_ms: EpochMs
    state: State
    insufficient_reason: InsufficientReason | None = None
    emotion: Emotion | MISSING | None = MISSING
    gaze: Gaze | None = None
    head_pose: HeadPose | None = None
    hand_raised: bool | None = None
    yawning: bool | None = None
    started_at_ms: EpochMs | None = Field(default=None, exclude_if=_is_none)
    ended_at_ms: EpochMs | None = Field(default=None, exclude_if=_is_none)
    totals: SessionTotals | None = None


class Prediction(Contract):
    """One window of 5 s: what was seen (features), how much it differs from what is usual for the person (change
    score), the nearest centroid, the quadrant of arousal and valence (arousal first). Natural key: session_id, window.

    A feature that could not be measured is None. `change_score` is None while there is nothing to compare with.
    `cluster_id` is absent where the predictor failed. What says something of emotions is absent, not None, where they
    are not inferred.
    """

    session_id: Identifier
    window: int = Field(ge=0)
    from_ms: EpochMs
    to_ms: EpochMs
    features: dict[str, float | None] = Field(default_factory=dict)
    change_score: float | None = Field(default=None, ge=0, le=1)
    cluster_id: int | None = Field(default=None, exclude_if=_is_none)
    arousal: float | None = Field(default=None, ge=-1, le=1, exclude_if=_is_none)
    valence: float | None = Field(default=None, ge=-1, le=1, exclude_if=_is_none)
    probe: Quadrant | None = Field(default=None, exclude_if=_is_none)
    emotion: str | None = Field(default=None, exclude_if=_is_none)
    color: str | None = Field(default=None, exclude_if=_is_none)
    model: str


class Signal(Contract):
    """Samples of one physiological sensor: galvanic skin response in microsiemens, heart rate in beats per minute."""

    session_id: Identifier
    kind: Literal["gsr", "heart_rate"]
    unit: Literal["microsiemens", "bpm"]
    sampled_at_ms: EpochMs
    value: float


class RecordingEvent(Contract):
    """A recording's life. Natural key of the recording: recording_id."""

    recording_id: Identifier
    session_id: Identifier
    student_id: Identifier
    lecture_code: Identifier
    kind: Literal["started", "segment", "completed", "failed", "deleted"]
    at_ms: EpochMs
    started_at_ms: EpochMs
    ended_at_ms: EpochMs | None = None
    filename: str | None = None
    codec: Literal["h264", "mp4v"] = "h264"
    width: int | None = None
    height: int | None = None
    duration_seconds: float | None = None
    frame_count: int | None = None
    first_seq: Seq | None = None
    last_seq: Seq | None = None
    file_size_bytes: int | None = None
    sha256: str | None = None
    error: str | None = None


class Control(Contract):
    """A switch that someone flips: an instructor for a lecture, a user for a session."""

    kind: Literal["engagement", "recording"]
    enabled: bool
    lecture_code: Identifier | None = None
    session_id: Identifier | None = None
    issued_at_ms: EpochMs
    issued_by: Identifier


class JobEvent(Contract):
    """Progress of an upload or a re-processing."""

    job_id: Identifier
    session_id: Identifier
    status: Literal["queued", "running", "completed", "failed", "cancelled"]
    progress: float = Field(ge=0, le=1)
    at_ms: EpochMs
    error: str | None = None


class SignalMessage(Contract):
    """A WebRTC offer, answer or candidate between the two ends of a counseling session."""

    session_id: Identifier
    sender: Identifier
    kind: Literal["offer", "answer", "candidate", "bye"]
    payload: str
    at_ms: EpochMs
