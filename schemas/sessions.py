"""A session's life on the `frames` topic: its start and its end are in-band, in order with its frames."""

from typing import Literal

from pydantic import Field

from schemas.base import Contract, EpochMs, Identifier, Seq

EndReason = Literal["client", "api", "idle"]


class Consent(Contract):
    """What the student agreed to. Nothing that is False is done."""

    version: str = "1"
    analysis: bool = True
    recording: bool = False
    emotion: bool = False
    live_view: bool = False


class SessionStart(Contract):
    """Value of a `frames` record of kind `start`; sent again, with the same content, when a client reconnects."""

    session_id: Identifier
    student_id: Identifier
    lecture_code: Identifier
    session_name: str | None = None
    started_at_ms: EpochMs
    frame_width: int = Field(ge=1, le=4096)
    frame_height: int = Field(ge=1, le=4096)
    fps: float = Field(default=10.0, gt=0, le=60)
    record: bool = False
    landmarks: bool = False
    dev_mode: bool = False
    upload: bool = False
    consent: Consent = Consent()


class SessionEnd(Contract):
    """Value of a `frames` record of kind `end`."""

    session_id: Identifier
    reason: EndReason
    ended_at_ms: EpochMs
    last_seq: Seq | None = None
