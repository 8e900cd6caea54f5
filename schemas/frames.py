"""Headers of the `frames` topic, the wire's binary frame, and what a JPEG says of itself in its header.

Frames stay raw bytes from the browser to the analyzer and the recorder: everything else about them is in the headers.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Self, get_args

Kind = Literal["start", "frame", "end"]
_KINDS: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}

MAX_FRAME_BYTES = 1 << 20
MAX_FRAME_SIDE_PX = 4096
# Markers and fill bytes before a JPEG's size; the longest colour profile takes 255. More is made to cost time.
MAX_HEADER_MARKERS = 1024

WIRE_FRAME = 0x01
WIRE_LANDMARKS = 0x02
WIRE_PREVIEW = 0x03
_SCAN, _END = b"\xff\xda", b"\xff\xd9"  # start of scan, end of image
_FRAME_PREFIX = struct.Struct(">BIQ")  # kind, seq, captured_at_ms
FRAME_PREFIX_BYTES = _FRAME_PREFIX.size


class BadFrame(ValueError):
    """A frame that cannot be accepted. `code` is the stable code of the `processing_error`.

    `bad_headers` is for records of the log alone; no client is told it.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class FrameHeaders:
    """What the headers of a `frames` record say. `captured_at_ms` is the client's clock, `received_at_ms` ingest's."""

    session_id: str
    kind: Kind
    seq: int
    captured_at_ms: int
    received_at_ms: int

    def encode(self) -> dict[str, str]:
        return {
            "session_id": self.session_id,
            "kind": self.kind,
            "seq": str(self.seq),
            "captured_at_ms": str(self.captured_at_ms),
            "received_at_ms": str(self.received_at_ms),
            "content-type": "image/jpeg" if self.kind == "frame" else "application/json",
        }

    @classmethod
    def decode(cls, headers: Mapping[str, str]) -> Self:
        """Raises `BadFrame` naming the header that is missing or wrong."""
        try:
            kind = _KINDS.get(headers["kind"])
            if kind is None:
                raise BadFrame("bad_headers", f"header kind is {headers['kind']!r}; wanted one of {sorted(_KINDS)}")
            return cls(
                session_id=headers["session_id"],
                kind=kind,
                seq=int(headers["seq"]),
                captured_at_ms=int(headers["captured_at_ms"]),
                received_at_ms=int(headers["received_at_ms"]),
            )
        except KeyError as missing:
            raise BadFrame("bad_headers", f"header {missing.args[0]} is missing") from None
        except ValueError as wrong:
            raise BadFrame("bad_headers", str(wrong)) from None


@dataclass(frozen=True, slots=True)
class WireFrame:
    """A binary message of a client: numbered and stamped by it, or bare (both None)."""

    jpeg: bytes = field(repr=False)
    seq: int | None = None
    captured_at_ms: int | None = None

    def encode(self) -> bytes:
        if self.seq is None or self.captured_at_ms is None:
            return self.jpeg
        return _FRAME_PREFIX.pack(WIRE_FRAME, self.seq, self.captured_at_ms) + self.jpeg

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """Read a bare JPEG or the 13-byte prefix and a JPEG; raises `BadFrame`."""
        if not message:
            raise BadFrame("empty_frame", "the frame has 0 bytes; wanted a JPEG")
        if message[0] == WIRE_FRAME and len(message) >= FRAME_PREFIX_BYTES:
            _, seq, captured_at_ms = _FRAME_PREFIX.unpack_from(message)
            return cls(message[FRAME_PREFIX_BYTES:], seq, captured_at_ms)
        return cls(message)


def jpeg_size(jpeg: bytes) -> tuple[int, int]:
    """Width and height in pixels from the start-of-frame segment, without decoding (ITU-T T.81, annex B).

    Raises `BadFrame` (`not_a_jpeg`) when the bytes do not start like a JPEG or end before the size is told.
    """
    if jpeg[:2] != b"\xff\xd8":
        raise BadFrame("not_a_jpeg", "the frame does not start with FF D8; wanted a JPEG")
    at, end = 2, len(jpeg)
    for _ in range(MAX_HEADER_MARKERS):
        if at + 9 > end or jpeg[at] != 0xFF:
            break
        marker = jpeg[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(jpeg[at + 7 : at + 9], "big"), int.from_bytes(jpeg[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    else:
        raise BadFrame("not_a_jpeg", f"the JPEG has {MAX_HEADER_MARKERS} markers before it tells its size")
    raise BadFrame("not_a_jpeg", "the JPEG ends before it tells its size")


def is_whole(jpeg: bytes) -> bool:
    """Whether a JPEG goes on to its end of image, whatever may follow that: some cameras pad.

    Within a scan the marker's bytes cannot occur (T.81, B.1.1.5), so that the last scan must have one behind it.
    """
    return jpeg.endswith(_END) or jpeg.rfind(_END) > jpeg.rfind(_SCAN) >= 0


def check_jpeg(jpeg: bytes, max_bytes: int = MAX_FRAME_BYTES, max_side_px: int = MAX_FRAME_SIDE_PX) -> tuple[int, int]:
    """Width and height of an acceptable frame; raises `BadFrame` with what was wrong and what is wanted."""
    if not jpeg:
        raise BadFrame("empty_frame", "the frame has 0 bytes; wanted a JPEG")
    if len(jpeg) > max_bytes:
        raise BadFrame("frame_too_large", f"the frame has {len(jpeg)} bytes; at most {max_bytes} are taken")
    width, height = jpeg_size(jpeg)
    if not (0 < width <= max_side_px and 0 < height <= max_side_px):
        raise BadFrame("frame_dimensions", f"the frame is {width}×{height}; wanted 1×1 to {max_side_px}×{max_side_px}")
    return width, height
