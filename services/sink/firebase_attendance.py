"""What Firebase shows of a student in a lecture, and what a record adds to it. Pure.

An `Attendee` is a join: the earliest check-in, the latest check-out, the newest status, the newest kept recording.
Joining is commutative, associative and idempotent, and what decides "newest" is stored beside what it decides on. So
records that come again, in whatever suffix, or a replica that starts anew from what Firebase has, end at the same tree.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from schemas import topics
from schemas.events import RecordingEvent, StatusChanged
from services.runtime.deadletters import Malformed
from services.runtime.epochs import epoch_of
from services.runtime.log import Record
from services.runtime.records import decoded

Json = Any
Leaves = Mapping[str, Json]  # a value by its path below the student's node

TOPICS = (topics.STATUS, topics.RECORDINGS)

_SHOWN = ("state", "insufficient_reason", "emotion", "gaze", "head_pose", "hand_raised", "yawning")
_STATUS_ORDER = ("session_started_at_ms", "session_id", "epoch", "seq", "ended", "changed_at_ms")
_VIDEO_ORDER = ("started_at_ms", "recording_id", "deleted")
# Leaves that mean something together are written together: a write that comes late, over a newer one, must not leave
# the one's seq beside the other's session.
_REGISTERS = (
    ("check_in_time",),
    ("check_out_time",),
    tuple(f"status/{name}" for name in (*_SHOWN, *_STATUS_ORDER)),
    ("lecture_video_path", *(f"status/video/{name}" for name in _VIDEO_ORDER)),
)
_FIELDS = frozenset(path for register in _REGISTERS for path in register)


class AttendeeKey(NamedTuple):
    lecture_code: str
    student_id: str

    @property
    def path(self) -> str:
        """Of the student's node: `lectures/{lecture_code}/attendens/{student_id}`, each encoded as a key."""
        return f"{lecture_path(self.lecture_code)}/attendens/{encoded(self.student_id)}"


@dataclass(frozen=True, slots=True)
class Status:
    """The newest is that of the session that began last; within it, what its newest owner said last.

    An owner's word is ordered by its epoch: one that slept while its sessions went to another says nothing new.
    """

    session_started_at_ms: int
    session_id: str
    epoch: int
    seq: int
    ended: bool
    changed_at_ms: int
    shown: Mapping[str, Json]

    @property
    def order(self) -> tuple[int, str, int, int, bool, int]:
        return (
            self.session_started_at_ms,
            self.session_id,
            self.epoch,
            self.seq,
            self.ended,
            self.changed_at_ms,
        )


@dataclass(frozen=True, slots=True)
class Video:
    """A completed recording. `filename` is None once it is deleted; what is older does not come back then."""

    started_at_ms: int
    recording_id: str
    filename: str | None

    @property
    def order(self) -> tuple[int, str, bool]:
        return self.started_at_ms, self.recording_id, self.filename is None


@dataclass(frozen=True, slots=True)
class Attendee:
    """All of it may be unknown (None). Times are UTC epoch milliseconds."""

    check_in_ms: int | None = None
    check_out_ms: int | None = None
    status: Status | None = None
    video: Video | None = None

    def join(self, other: "Attendee") -> "Attendee":
        status, video = self.status, self.video
        if status is None or (other.status is not None and other.status.order > status.order):
            status = other.status
        if video is None or (other.video is not None and other.video.order > video.order):
            video = other.video
        return Attendee(
            min((ms for ms in (self.check_in_ms, other.check_in_ms) if ms is not None), default=None),
            max((ms for ms in (self.check_out_ms, other.check_out_ms) if ms is not None), default=None),
            status,
            video,
        )

    def leaves(self) -> dict[str, Json]:
        """As stored. What is None is not there."""
        found: dict[str, Json] = {"check_in_time": self.check_in_ms, "check_out_time": self.check_out_ms}
        if self.status is not None:
            order = zip(_STATUS_ORDER, self.status.order, strict=True)
            found |= {f"status/{name}": value for name, value in (*order, *self.status.shown.items())}
        if self.video is not None:
            found["lecture_video_path"] = self.video.filename
            found |= {f"status/video/{name}": value for name, value in zip(_VIDEO_ORDER, self.video.order, strict=True)}
        return {path: value for path, value in found.items() if value is not None}

    @classmethod
    def of(cls, leaves: Leaves) -> "Attendee":
        """What is stored. Somebody else's values, which do not say how new they are, count as unknown."""
        return cls(
            _number(leaves.get("check_in_time")),
            _number(leaves.get("check_out_time")),
            _stored_status(leaves),
            _stored_video(leaves),
        )


def change_of(record: Record) -> tuple[AttendeeKey, Attendee]:
    """Whom a record is about and what it adds, which may be nothing. Raises `Malformed`."""
    if record.topic == topics.STATUS.name:
        return _of_status(decoded(record, StatusChanged), epoch_of(record))
    if record.topic == topics.RECORDINGS.name:
        return _of_recording(decoded(record, RecordingEvent))
    raise Malformed(f"records of topic {record.topic!r} have no place in Firebase")


def leaves_of(node: Json) -> dict[str, Json]:
    """The leaves of a student's node that are Rapt's."""
    return {path: value for path, value in _flat(node, "") if path in _FIELDS}


def changes(before: Leaves, after: Leaves) -> dict[str, Json]:
    """What to write to get from one to the other; None takes a leaf away."""
    return {
        path: after.get(path)
        for register in _REGISTERS
        if any(before.get(path) != after.get(path) for path in register)
        for path in register
    }


def lecture_path(lecture_code: str) -> str:
    return f"lectures/{encoded(lecture_code)}"


def encoded(key: str) -> str:
    """`key` as one that Firebase takes: control characters and any of `. $ # [ ] / %` as `%` and two hex digits.

    Any percent-decoder reads it back; `jane.doe` becomes `jane%2Edoe`.
    """
    return "".join(
        f"%{ord(each):02X}" if each in ".$#[]/%" or ord(each) < 32 or ord(each) == 127 else each for each in key
    )


def _of_status(event: StatusChanged, epoch: int) -> tuple[AttendeeKey, Attendee]:
    said = event.model_dump(mode="json", include=set(_SHOWN), exclude_none=True)
    status = Status(
        event.started_at_ms or 0,
        event.session_id,
        epoch,
        event.seq,
        event.totals is not None,
        event.changed_at_ms,
        said,
    )
    return AttendeeKey(event.lecture_code, event.student_id), Attendee(event.started_at_ms, event.ended_at_ms, status)


def _of_recording(event: RecordingEvent) -> tuple[AttendeeKey, Attendee]:
    """Paths are of completed recordings alone. A deleted one of `dev_mode` has no name: it never was anywhere."""
    video: Video | None = None
    if event.kind in ("completed", "deleted") and event.filename is not None:
        filename = event.filename if event.kind == "completed" else None
        video = Video(event.started_at_ms, event.recording_id, filename)
    key = AttendeeKey(event.lecture_code, event.student_id)
    return key, Attendee(event.started_at_ms, event.ended_at_ms, video=video)


def _stored_status(leaves: Leaves) -> Status | None:
    started_at_ms, epoch, seq, changed_at_ms = (
        _number(leaves.get(f"status/{name}")) for name in ("session_started_at_ms", "epoch", "seq", "changed_at_ms")
    )
    session_id = leaves.get("status/session_id")
    if (
        started_at_ms is None
        or epoch is None
        or seq is None
        or changed_at_ms is None
        or not isinstance(session_id, str)
    ):
        return None
    shown = {name: leaves[f"status/{name}"] for name in _SHOWN if f"status/{name}" in leaves}
    ended = leaves.get("status/ended") is True
    return Status(started_at_ms, session_id, epoch, seq, ended, changed_at_ms, shown)


def _stored_video(leaves: Leaves) -> Video | None:
    started_at_ms = _number(leaves.get("status/video/started_at_ms"))
    recording_id = leaves.get("status/video/recording_id")
    if started_at_ms is None or not isinstance(recording_id, str):
        return None
    filename = leaves.get("lecture_video_path")
    deleted = leaves.get("status/video/deleted") is True or not isinstance(filename, str)
    return Video(started_at_ms, recording_id, None if deleted else filename)


def _number(value: Json) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _flat(node: Json, path: str) -> list[tuple[str, Json]]:
    if isinstance(node, dict):
        return [leaf for key, each in node.items() for leaf in _flat(each, f"{path}/{key}" if path else str(key))]
    return [] if node is None else [(path, node)]
