"""One recording: takes frames, keeps them in order, once each, and closes segments."""

from services.recorder.encoder import Encoder
from services.recorder.frame import Frame
from services.recorder.journal import Journal
from services.recorder.manifest import Segment
from services.recorder.timeline import place

SEGMENT_MS = 2_000
SEGMENT_FRAMES = 240


class Writer:
    """Frames → segments of a journal. Used by one thread at a time; its calls encode and write, so they take time."""

    def __init__(self, journal: Journal, encoder: Encoder) -> None:
        self.journal = journal
        self._encoder = encoder
        segments = journal.manifest.segments
        self._last_moment = segments[-1].last_moment if segments else None
        self._last_seq = segments[-1].frames[-1][0] if segments else -1
        self._open: list[tuple[int, int]] = []
        self._closed: tuple[Segment, bytes] | None = None  # encoded; the disk has not taken it yet

    @property
    def open_frames(self) -> int:
        """Frames taken that are not safe yet."""
        return len(self._open) + (len(self._closed[0].frames) if self._closed else 0)

    def knows(self, seq: int) -> bool:
        """Whether this frame, or one after it, was taken: a copy that a client or the log sent again."""
        return seq <= self._last_seq

    def take(self, frame: Frame) -> bool:
        """Encode a frame that `knows` denies; True when that filled the segment. Raises `Undecodable`."""
        moment = place(self._last_moment, frame.captured_at_ms, frame.received_at_ms)
        self._encoder.add(frame.jpeg, moment.pts_ms)
        self._open.append((frame.seq, moment.pts_ms))
        self._last_seq, self._last_moment = frame.seq, moment
        return moment.pts_ms - self._open[0][1] >= SEGMENT_MS or len(self._open) >= SEGMENT_FRAMES

    def flush(self) -> int:
        """Close the segment and make it safe; returns how many frames that saved. Raises `OSError`; called again then,
        it tries the same segment again."""
        if self._closed is None:
            self._closed = self._close()
        if self._closed is None:
            return 0
        segment, content = self._closed
        self.journal.add_segment(segment, content)
        self._closed = None
        return len(segment.frames)

    def _close(self) -> tuple[Segment, bytes] | None:
        if not self._open or self._last_moment is None or self._encoder.size is None:
            return None
        content = self._encoder.close_segment()
        frames, self._open = self._open, []
        width, height = self._encoder.size
        segment = Segment(
            number=self.journal.manifest.next_number,
            term=self.journal.term,
            size_bytes=len(content),
            width=width,
            height=height,
            frames=frames,
            last_captured_at_ms=self._last_moment.captured_at_ms,
            last_received_at_ms=self._last_moment.received_at_ms,
        )
        return segment, content
