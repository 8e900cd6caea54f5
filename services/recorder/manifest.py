"""The manifest: what of a recording is safely on the disk. JSON lines; a line counts once it ends in a newline. Pure.

The first line is the header, then one line per segment, perhaps a failure. A line is appended after its segment's
file is synced, and only then are the segment's frames finished in the log. So a crash leaves at most a torn last line
and a segment file without a line; both are dropped on resume, and their frames come again from the log.

Whoever resumes says so in a line of its own. An owner before that only slept sees that the file has grown, and lets go.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from schemas.base import Contract, EpochMs, Identifier, Seq
from schemas.sessions import SessionStart
from services.recorder.timeline import Moment

PtsMs = Annotated[int, Field(ge=0)]


class ManifestBroken(Exception):
    """The manifest cannot be read; the text says where."""


class Header(Contract):
    """Who is recorded, and into what. `codec` stays for all segments, whatever the settings become."""

    kind: Literal["recording"] = "recording"
    recording_id: Identifier
    filename: str
    codec: Literal["h264", "mp4v"]
    session: SessionStart


class Segment(Contract):
    """One segment's file and its frames, each as (seq, pts_ms): pts counts from the recording's first frame."""

    kind: Literal["segment"] = "segment"
    number: int = Field(ge=0)
    size_bytes: int = Field(ge=0)
    width: int
    height: int
    frames: list[tuple[Seq, PtsMs]] = Field(min_length=1)
    last_captured_at_ms: EpochMs
    last_received_at_ms: EpochMs

    @property
    def filename(self) -> str:
        return segment_filename(self.number)

    @property
    def last_moment(self) -> Moment:
        return Moment(self.last_captured_at_ms, self.last_received_at_ms, self.frames[-1][1])


class Resumed(Contract):
    """Another owner from here on. It takes a number, so that the one before, if it wakes, overwrites no segment."""

    kind: Literal["resumed"] = "resumed"
    number: int = Field(ge=0)


class Failure(Contract):
    """Writing failed for good; nothing follows."""

    kind: Literal["failed"] = "failed"
    at_ms: EpochMs
    error: str


Line = Header | Segment | Resumed | Failure
_LINE: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="kind")])


@dataclass(frozen=True, slots=True)
class Manifest:
    """`valid_bytes`: how much of the file counts; what follows is torn and is cut off before anything is appended."""

    header: Header
    segments: tuple[Segment, ...] = ()
    failure: Failure | None = None
    resumed: Resumed | None = None
    valid_bytes: int = field(default=0, compare=False)

    @property
    def frames(self) -> list[tuple[int, int]]:
        """(seq, pts_ms) of every frame, in order."""
        return [frame for segment in self.segments for frame in segment.frames]

    @property
    def next_number(self) -> int:
        numbers = [line.number for line in (*self.segments[-1:], self.resumed) if line is not None]
        return max(numbers, default=-1) + 1


def segment_filename(number: int) -> str:
    return f"{number:06d}.mp4"


def encode_line(line: Line) -> bytes:
    return line.encode() + b"\n"


def parse(content: bytes) -> Manifest | None:
    """Read a manifest; None where not even its header was written whole.

    Raises `ManifestBroken` when a whole line is not one of ours, which no crash can cause.
    """
    valid_bytes = content.rfind(b"\n") + 1
    lines: list[Line] = []
    for number, text in enumerate(content[:valid_bytes].splitlines(), start=1):
        try:
            lines.append(_LINE.validate_json(text, strict=False))
        except ValidationError as error:
            raise ManifestBroken(f"line {number}: {error.errors(include_url=False)[0]['msg']}") from None
    if not lines:
        return None
    header, *rest = lines
    if not isinstance(header, Header):
        raise ManifestBroken("line 1: wanted the recording's header")
    segments = tuple(line for line in rest if isinstance(line, Segment))
    failure = next((line for line in rest if isinstance(line, Failure)), None)
    resumed = next((line for line in reversed(rest) if isinstance(line, Resumed)), None)
    return Manifest(header, segments, failure, resumed, valid_bytes)
