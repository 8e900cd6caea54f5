"""Bodies of the REST API under `/api`. Errors are problem details (RFC 9457)."""

from typing import Literal

from pydantic import ConfigDict, Field

from schemas.base import Contract, EpochMs, Identifier
from schemas.events import FrameMetrics, State
from schemas.sessions import Consent, EndReason

Role = Literal["student", "instructor", "admin"]


class Body(Contract):
    """A request or response body. Requests are read from JSON, so lax types; unknown fields are refused by name."""

    model_config = ConfigDict(strict=False)


class Problem(Body):
    """RFC 9457. `errors` names the fields that failed validation."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] | None = None


class Capabilities(Body):
    """What this Rapt measures beyond the rest."""

    emotion_inference: bool


class Login(Body):
    username: str = Field(min_length=1, max_length=128)
    password: str = Field(min_length=1, max_length=1024)


class User(Body):
    user_id: Identifier
    username: str
    display_name: str
    role: Role


class NewUser(Body):
    username: Identifier
    password: str = Field(min_length=8, max_length=1024)
    display_name: str = Field(min_length=1, max_length=128)
    role: Role


class AccessToken(Body):
    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105
    expires_in: int
    user: User


class NewLecture(Body):
    lecture_code: Identifier | None = None
    title: str = Field(min_length=1, max_length=200)


class Lecture(Body):
    lecture_code: Identifier
    title: str
    instructor_id: Identifier
    engagement_enabled: bool
    created_at_ms: EpochMs


class EngagementSwitch(Body):
    enabled: bool


class NewSession(Body):
    lecture_code: Identifier
    session_name: str | None = Field(default=None, max_length=200)
    record: bool = False
    consent: Consent
    dev_mode: bool | None = None


class SessionCreated(Body):
    """`stream_url` is a path on this host; the token goes into its query as `token`."""

    session_id: Identifier
    stream_url: str
    stream_token: str
    expires_in: int


class Session(Body):
    session_id: Identifier
    student_id: Identifier
    lecture_code: Identifier
    session_name: str | None = None
    state: Literal["created", "live", "ended"]
    record: bool
    dev_mode: bool
    consent: Consent
    created_at_ms: EpochMs
    started_at_ms: EpochMs | None = None
    ended_at_ms: EpochMs | None = None
    end_reason: EndReason | None = None


class LectureDetail(Body):
    lecture: Lecture
    sessions: list[Session]


class MetricsPage(Body):
    """With `step_ms`, one entry per step: the last frame of it."""

    session_id: Identifier
    from_ms: EpochMs | None = None
    to_ms: EpochMs | None = None
    step_ms: int | None = None
    metrics: list[FrameMetrics]


class Summary(Body):
    """A session in a few numbers. Shares are of analyzed frames, 0..1; None where nothing was measurable."""

    session_id: Identifier
    frames_analyzed: int
    frames_measurable: int
    duration_ms: int
    blink_count: int
    yawn_count: int
    perclos_mean: float | None
    engagement_mean: float | None
    state_shares: dict[State, float]


class Recording(Body):
    recording_id: Identifier
    session_id: Identifier
    student_id: Identifier
    lecture_code: Identifier
    status: Literal["recording", "completed", "failed", "deleted"]
    started_at_ms: EpochMs
    ended_at_ms: EpochMs | None = None
    filename: str | None = None
    codec: str
    width: int | None = None
    height: int | None = None
    duration_seconds: float | None = None
    frame_count: int | None = None
    file_size_bytes: int | None = None
    sha256: str | None = None
    error: str | None = None
