"""Names of recordings and where their files lie. Pure: made of validated identifiers, never of a path from outside."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from schemas.sessions import SessionStart

_LONGEST_PART = 96  # two of them and a time stay below the 255 bytes that file systems allow


def recording_id_of(session_id: str) -> str:
    """The id of a session's recording: the same after every restart, so that work done twice has one result."""
    if len(session_id) <= _LONGEST_PART:
        return f"r-{session_id}"
    return f"r-{session_id[:_LONGEST_PART]}-{_digest(session_id)}"


def filename_of(start: SessionStart, *, taken: bool = False) -> str:
    """`{student_id}_{lecture_code}_{timestamp}.mp4`; with `taken`, the session's digest makes it unique."""
    began = datetime.fromtimestamp(start.started_at_ms / 1000, UTC)
    stamp = f"{began:%Y%m%dT%H%M%S}{start.started_at_ms % 1000:03d}Z"
    parts = [start.student_id[:_LONGEST_PART], start.lecture_code[:_LONGEST_PART], stamp]
    return "_".join([*parts, _digest(start.session_id)] if taken else parts) + ".mp4"


def wanted(start: SessionStart) -> bool:
    """Whether this session is recorded: asked for and consented to."""
    return start.record and start.consent.recording


def thumbnail_of(filename: str) -> str:
    return Path(filename).with_suffix(".jpg").name


def inside(folder: Path, filename: str) -> Path | None:
    """The path of a file that lies directly in `folder`; None for any name that would lead elsewhere."""
    if filename in {"", ".", ".."} or "\x00" in filename or Path(filename).name != filename:
        return None
    return folder / filename


def open_folder(recordings_dir: Path, recording_id: str) -> Path:
    """Where a recording under way keeps its manifest and its segments."""
    return recordings_dir / "open" / recording_id


def claim_path(recordings_dir: Path, start: SessionStart) -> Path:
    """The file by which a recording under way claims its name; those of others begin with that name too."""
    return recordings_dir / "open" / f"{filename_of(start)}.{_digest(start.session_id)}.claim"


def metadata_path(recordings_dir: Path, recording_id: str) -> Path:
    """Where a finished recording's metadata lies."""
    return recordings_dir / "metadata" / f"{recording_id}.json"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
