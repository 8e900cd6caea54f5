"""The frames that a client has under way: numbered, kept until acknowledged, sent again after a lost connection. Pure.

At most `credit` frames are kept. What goes beyond is the caller's decision: a camera skips the capture, a file waits.
"""

from collections import deque

from schemas.frames import WireFrame
from schemas.wire import ProcessingStartedAck


class Window:
    """One session's frames, whatever connections come and go.

    `sent`, `resent`, `acknowledged` count frames; the same frame sent again counts once in `sent`.
    """

    def __init__(self) -> None:
        self.credit = 0  # until the server says how much it takes
        self.max_frame_bytes: int | None = None
        self.next_seq = 0
        self.sent = 0
        self.resent = 0
        self.acknowledged = 0
        self.acknowledged_through = -1
        self._pending: deque[WireFrame] = deque()
        self._unsent = 0  # how many of `_pending`, at its end, this connection has not sent
        self._highest_sent = -1

    @property
    def room(self) -> bool:
        """Whether one more frame may be kept."""
        return len(self._pending) < self.credit

    @property
    def pending(self) -> int:
        """Frames not acknowledged yet."""
        return len(self._pending)

    @property
    def unsent(self) -> int:
        """Frames that this connection still has to send."""
        return self._unsent

    def started(self, ack: ProcessingStartedAck) -> None:
        """The server is ready: what is pending from an earlier connection is sent first, then new frames.

        Kept frames keep their numbers, whatever the server resumes from: one that crashed resumes from a number it
        had only reserved, and does not know what the log is missing.
        """
        self.credit = max(1, ack.credit)
        self.max_frame_bytes = ack.max_frame_bytes
        self.next_seq = max(self.next_seq, ack.resume_from_seq)

    def lost(self) -> None:
        """The connection is gone: whatever is pending has to be sent over the next one."""
        self._unsent = len(self._pending)

    def take(self, jpeg: bytes, captured_at_ms: int) -> int:
        """Number and keep a frame; returns its number. Call only where there is `room`."""
        if not self.room:
            raise ValueError(f"{len(self._pending)} frames are under way; the credit is {self.credit}")
        seq = self.next_seq
        self.next_seq = seq + 1
        self._pending.append(WireFrame(jpeg, seq, captured_at_ms))
        self._unsent += 1
        return seq

    def next_to_send(self) -> WireFrame | None:
        """The frame to send now, in order; None when all were."""
        if not self._unsent:
            return None
        frame = self._pending[-self._unsent]
        self._unsent -= 1
        assert frame.seq is not None  # noqa: S101  (take gave it one)
        if frame.seq > self._highest_sent:
            self._highest_sent = frame.seq
            self.sent += 1
        else:
            self.resent += 1
        return frame

    def acknowledge(self, seq: int, credit: int) -> list[int]:
        """The log has `seq` and all before it; returns the numbers that this freed."""
        self.credit = max(1, credit)
        covered = min(seq, self._highest_sent)
        freed = []
        while self._pending and (oldest := self._pending[0].seq) is not None and oldest <= covered:
            self._pending.popleft()
            freed.append(oldest)
        self._unsent = min(self._unsent, len(self._pending))
        self.acknowledged += len(freed)
        if freed:
            self.acknowledged_through = freed[-1]
        return freed
