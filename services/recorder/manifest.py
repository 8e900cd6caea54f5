"""The manifest: what of a recording is safely on the disk. JSON lines; a line counts once it ends in a newline. Pure.

The first line is the header, then one line per segment, perhaps a failure. A line is appended after its segment's
file is synced, and only then are the segment's frames finished in the log. So a crash leaves at most a torn last line
and a segment file without a line; neither counts, and their frames come again from the log.

Every owner of a recording writes a manifest of its own, which begins with all that the one before had written, and
deletes that one. So an owner that only slept writes to a file that is gone (`services.recorder.journal`).
"""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from schemas.base import Contract, EpochMs, Identifier, Seq
from schemas.sessions import SessionStart
from services.recorder.timeline import Moment

PtsMs = Annotated[int, Field(ge=0)]


class ManifestBroken(Exception):
    """Not even the manifest's header can be read; the text says why."""


class Header(Contract):
    """Who is recorded, and into what. `codec` stays for all segments, whatever the settings become.

    `term` numbers the owners of the recording, `epoch` is that of the owner's assignment: it never falls from one to
    the next. `carried`: how many of the lines that follow were taken from the owner before; with fewer, the manifest
    was not begun whole and does not count. All three are 0 in manifests of before there were terms.
    """

    kind: Literal["recording"] = "recording"
    recording_id: Identifier
    filename: str
    codec: Literal["h264", "mp4v"]
    session: SessionStart
    term: int = Field(default=0, ge=0)
    epoch: int = Field(default=0, ge=0)
    carried: int = Field(default=0, ge=0)


class Segment(Contract):
    """One segment's file and its frames, each as (seq, pts_ms): pts counts from the recording's first frame.

    `term` is that of the owner who wrote it; no two owners write files of one name.
    """

    kind: Literal["segment"] = "segment"
    number: int = Field(ge=0)
    term: int = Field(default=0, ge=0)
    size_bytes: int = Field(ge=0)
    width: int
    height: int
    frames: list[tuple[Seq, PtsMs]] = Field(min_length=1)
    last_captured_at_ms: EpochMs
    last_received_at_ms: EpochMs

    @property
    def filename(self) -> str:
        return f"{self.number:06d}-{self.term}.mp4" if self.term else f"{self.number:06d}.mp4"

    @property
    def last_moment(self) -> Moment:
        return Moment(self.last_captured_at_ms, self.last_received_at_ms, self.frames[-1][1])


class Resumed(Contract):
    """What the next owner said of itself before there were terms; of no meaning now."""

    kind: Literal["resumed"] = "resumed"


class Failure(Contract):
    """Writing failed for good; nothing follows."""

    kind: Literal["failed"] = "failed"
    at_ms: EpochMs
    error: str


Line = Header | Segment | Resumed | Failure
_LINE: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="kind")])


@dataclass(frozen=True, slots=True)
class Manifest:
    """What one owner knew to be safe."""

    header: Header
    segments: tuple[Segment, ...] = ()
    failure: Failure | None = None

    @property
    def frames(self) -> list[tuple[int, int]]:
        """(seq, pts_ms) of every frame, in order."""
        return [frame for segment in self.segments for frame in segment.frames]

    @property
    def next_number(self) -> int:
        return self.segments[-1].number + 1 if self.segments else 0

    def taken_over(self, term: int, epoch: int) -> "Manifest":
        """The same recording under its next owner."""
        carried = len(self.segments) + (self.failure is not None)
        return replace(self, header=self.header.model_copy(update={"term": term, "epoch": epoch, "carried": carried}))

    def encode(self) -> bytes:
        """A manifest to begin with."""
        lines: list[Line] = [self.header, *self.segments]
        return b"".join(map(encode_line, [*lines, self.failure] if self.failure else lines))


def encode_line(line: Line) -> bytes:
    return line.encode() + b"\n"


def parse(content: bytes) -> Manifest | None:
    """Read a manifest; None where it was not begun whole.

    A whole line that cannot be read, which no crash can cause, is a failure: what stands before it counts, and nothing
    follows. Raises `ManifestBroken` where it is the header.
    """
    lines = content[: content.rfind(b"\n") + 1].splitlines()
    if not lines:
        return None
    try:
        header = _LINE.validate_json(lines[0], strict=False, extra="ignore")
    except ValidationError as error:
        raise ManifestBroken(_unreadable(1, error)) from None
    if not isinstance(header, Header):
        raise ManifestBroken("line 1 of the manifest is not the recording's header")
    if len(lines) - 1 < header.carried:
        return None
    segments: list[Segment] = []
    failure: Failure | None = None
    for number, text in enumerate(lines[1:], start=2):
        try:
            line = _LINE.validate_json(text, strict=False, extra="ignore")
        except ValidationError as error:
            failure = failure or Failure(at_ms=0, error=_unreadable(number, error))
            break
        if isinstance(line, Segment):
            segments.append(line)
        elif isinstance(line, Failure):
            failure = failure or line
    return Manifest(header, tuple(segments), failure)


def _unreadable(number: int, error: ValidationError) -> str:
    return f"line {number} of the manifest cannot be read: {error.errors(include_url=False)[0]['msg']}"
