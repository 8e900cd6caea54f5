"""Frames that carry their number as a picture, so that a recording can be asked which frames it shows."""

from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from schemas.frames import FrameHeaders
from schemas.sessions import Consent, SessionEnd, SessionStart
from services.runtime.log import Record

BITS = 12
SIZE = (96, 32)  # width, height in pixels: one bar of 8 pixels per bit
STARTED_AT_MS = 1_760_000_000_000
INTERVAL_MS = 100


def numbered(number: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """A BGR picture whose vertical bars are the bits of `number`, highest first."""
    bars = np.array([255 * (number >> bit & 1) for bit in reversed(range(BITS))], np.uint8)
    row = np.repeat(bars, SIZE[0] // BITS)
    picture = np.broadcast_to(row[None, :, None], (SIZE[1], SIZE[0], 3)).astype(np.uint8)
    return cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST).astype(np.uint8)


def numbered_jpeg(number: int, size: tuple[int, int] = SIZE) -> bytes:
    return cv2.imencode(".jpg", numbered(number, size))[1].tobytes()


def numbers_in(mp4: Path) -> list[int]:
    """The number that each frame of a recording shows, in the order a player shows them."""
    with av.open(str(mp4)) as demuxer:
        return [_number(frame.to_ndarray(format="gray")) for frame in demuxer.decode(video=0)]


def _number(luma: NDArray[np.generic]) -> int:
    height, width = luma.shape
    middles = [int((bar + 0.5) * width / BITS) for bar in range(BITS)]
    return sum(int(luma[height // 2, x] > 128) << (BITS - 1 - bar) for bar, x in enumerate(middles))


def start_of(
    session_id: str = "s-1",
    *,
    student_id: str = "ann",
    dev_mode: bool = False,
    record: bool = True,
    consent: bool = True,
) -> SessionStart:
    return SessionStart(
        session_id=session_id,
        student_id=student_id,
        lecture_code="PHYS-101",
        started_at_ms=STARTED_AT_MS,
        frame_width=SIZE[0],
        frame_height=SIZE[1],
        record=record,
        dev_mode=dev_mode,
        consent=Consent(recording=consent),
    )


def end_of(session_id: str = "s-1") -> SessionEnd:
    return SessionEnd(session_id=session_id, reason="client", ended_at_ms=STARTED_AT_MS + 3_600_000)


def headers_of(kind: str, seq: int, session_id: str = "s-1") -> dict[str, str]:
    at_ms = STARTED_AT_MS + seq * INTERVAL_MS
    return FrameHeaders(session_id, kind, seq, at_ms, at_ms + 7).encode()  # type: ignore[arg-type]


def records_of(seqs: list[int], start: SessionStart) -> list[Record]:
    """A whole session as the `frames` topic has it."""
    values = [("start", 0, start.encode()), *(("frame", seq, numbered_jpeg(seq)) for seq in seqs)]
    values.append(("end", seqs[-1] + 1 if seqs else 0, end_of(start.session_id).encode()))
    return [
        Record("frames", 0, offset, start.session_id, value, headers_of(kind, seq, start.session_id), STARTED_AT_MS)
        for offset, (kind, seq, value) in enumerate(values)
    ]
