"""The WebSocket's text messages (binary ones: `schemas.frames`). Original event names, camelCase as they are spoken.

Client → server: `StartVideoSession`, `StopVideoSession`. Server → client: the rest, as JSON with a `type`. `metrics`,
`status` and `prediction` carry the topic's event under `data`.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from schemas.base import Contract, EpochMs, Identifier, Seq
from schemas.events import FrameMetrics, Prediction, StatusChanged
from schemas.sessions import Consent

CLOSE_NORMAL = 1000
CLOSE_GOING_AWAY = 1001  # the server stops: come back, to any replica
CLOSE_POLICY = 1008  # repeated abuse, or a client that never reads
CLOSE_REPLACED = 4409  # a newer socket took this session
CLOSE_TOKEN = 4401
CLOSE_OTHERS_SESSION = 4403
CLOSE_UNKNOWN_SESSION = 4404
CLOSE_ENDED = 4410  # the session has ended

ErrorCode = Literal[
    "not_a_jpeg",
    "empty_frame",
    "frame_too_large",
    "frame_dimensions",
    "seq_not_increasing",
    "credit_exceeded",
    "clock_jumped",
    "not_json",
    "unknown_type",
    "bad_message",
    "not_started",
    "replaced",
    "too_many_errors",
    "unavailable",
]


class Message(Contract):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True)


class StartVideoSession(Message):
    """Begins or resumes the stream. What is None is taken from `POST /sessions`."""

    type: Literal["start_video_session"] = "start_video_session"
    student_id: Identifier
    lecture_code: Identifier
    frame_width: int = Field(ge=1, le=4096)
    frame_height: int = Field(ge=1, le=4096)
    fps: float = Field(default=10.0, gt=0, le=60)
    record: bool | None = None
    landmarks: bool = False
    consent: Consent | None = None


class StopVideoSession(Message):
    """Ends the session; `ProcessingEndedAck` answers."""

    type: Literal["stop_video_session"] = "stop_video_session"


class ProcessingStartedAck(Message):
    """`resume_from_seq`: number new frames from here. Frames sent before and not acknowledged may be sent again with
    the numbers they have: what the log has already is not counted twice."""

    type: Literal["processing_started_ack"] = "processing_started_ack"
    session_id: Identifier
    credit: int
    max_frame_bytes: int
    target_fps: float
    resume_from_seq: Seq


class Ack(Message):
    """The log has the frame `seq` and all before it. At most `credit` frames may be unacknowledged."""

    type: Literal["ack"] = "ack"
    seq: Seq
    credit: int


class MetricsMessage(Message):
    """`latency_ms` since capture, on ingest's clock."""

    type: Literal["metrics"] = "metrics"
    latency_ms: float
    data: FrameMetrics


class StatusMessage(Message):
    type: Literal["status"] = "status"
    data: StatusChanged


class PredictionMessage(Message):
    type: Literal["prediction"] = "prediction"
    data: Prediction


class EngagementStatusUpdate(Message):
    """How the instructor's switch of the lecture stands; sent at the start and whenever it is flipped."""

    type: Literal["engagement_status_update"] = "engagement_status_update"
    lecture_code: Identifier
    is_enabled: bool


class RecordingMessage(Message):
    """`enabled`: the session is to be recorded; `active`: it is being recorded now."""

    type: Literal["recording"] = "recording"
    enabled: bool
    active: bool


class ProcessingError(Message):
    """`code` is stable and for programs, `error` for people. After a `fatal` one the socket closes."""

    type: Literal["processing_error"] = "processing_error"
    code: ErrorCode
    error: str
    fatal: bool = False


class ProcessingEndedAck(Message):
    """The session in sum. `analyzed` and `skipped` are None when the analyzer did not tell them in time."""

    type: Literal["processing_ended_ack"] = "processing_ended_ack"
    frames: int
    analyzed: int | None
    skipped: int | None
    duration_ms: int
    recording_id: Identifier | None = None


ServerMessage = Annotated[
    ProcessingStartedAck
    | Ack
    | MetricsMessage
    | StatusMessage
    | PredictionMessage
    | EngagementStatusUpdate
    | RecordingMessage
    | ProcessingError
    | ProcessingEndedAck,
    Field(discriminator="type"),
]


# The instructor's socket, `WS /lectures/{code}/live`. Server → client; previews are binary:
# 0x03, length of the session id (uint8), the session id (ASCII), JPEG.
class LiveSession(Contract):
    """One tile: who streams in the lecture now."""

    session_id: Identifier
    student_id: Identifier
    display_name: str
    live: bool
    live_view: bool
    started_at_ms: EpochMs | None = None
    metrics: FrameMetrics | None = None
    prediction: Prediction | None = None


class Roster(Contract):
    """The whole lecture; sent first, and again whenever a session starts or ends."""

    type: Literal["roster"] = "roster"
    lecture_code: Identifier
    engagement_enabled: bool
    sessions: list[LiveSession]


class LiveMetrics(Contract):
    """At most a few a second and session: what the tiles and the class chart need."""

    type: Literal["metrics"] = "metrics"
    latency_ms: float
    data: FrameMetrics


class LivePrediction(Contract):
    """Each one of every session of the lecture."""

    type: Literal["prediction"] = "prediction"
    data: Prediction
