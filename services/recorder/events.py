"""A recording's events, from what is safe of it. Pure. Those of a `dev_mode` recording never name a file."""

from typing import Literal

from schemas.events import RecordingEvent
from schemas.sessions import SessionStart
from services.recorder.finished import Finished
from services.recorder.manifest import Manifest
from services.recorder.naming import recording_id_of

Kind = Literal["started", "segment", "completed", "failed", "deleted"]


def event_of(
    kind: Kind,
    manifest: Manifest,
    at_ms: int,
    *,
    ended_at_ms: int | None = None,
    error: str | None = None,
    finished: Finished | None = None,
) -> RecordingEvent:
    """With `finished`, the event says where the file is and what it is."""
    header, frames, segments = manifest.header, manifest.frames, manifest.segments
    if header.session.dev_mode:
        finished = None
    return RecordingEvent(
        recording_id=header.recording_id,
        session_id=header.session.session_id,
        student_id=header.session.student_id,
        lecture_code=header.session.lecture_code,
        kind=kind,
        at_ms=at_ms,
        started_at_ms=header.session.started_at_ms,
        ended_at_ms=ended_at_ms,
        codec=header.codec,
        width=segments[0].width if segments else None,
        height=segments[0].height if segments else None,
        frame_count=len(frames),
        first_seq=frames[0][0] if frames else None,
        last_seq=frames[-1][0] if frames else None,
        filename=finished.filename if finished else None,
        duration_seconds=finished.duration_ms / 1000 if finished else None,
        file_size_bytes=finished.size_bytes if finished else None,
        sha256=finished.sha256 if finished else None,
        error=error,
    )


def never_begun(session: SessionStart, at_ms: int, error: str) -> RecordingEvent:
    """A recording that failed before anything of it was written."""
    return RecordingEvent(
        recording_id=recording_id_of(session.session_id),
        session_id=session.session_id,
        student_id=session.student_id,
        lecture_code=session.lecture_code,
        kind="failed",
        at_ms=at_ms,
        started_at_ms=session.started_at_ms,
        frame_count=0,
        error=error,
    )


def reason_of(error: Exception) -> str:
    """Why something could not be written, for whoever reads the event: no path, for paths hold names."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
