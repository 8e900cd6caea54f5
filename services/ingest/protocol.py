"""The stream protocol, pure: what a socket's message means, given what the session has had so far.

`StreamState` is what outlives a socket: numbers and clock of one session on this replica. `Protocol` is one socket's
view of it: `(state, message, now_ms) -> outcome`. Nothing here awaits, reads a clock or knows a socket.
"""

import json
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from pydantic import ValidationError

from schemas.base import wrong_fields
from schemas.frames import MAX_FRAME_BYTES, MAX_FRAME_SIDE_PX, BadFrame, WireFrame, check_jpeg
from schemas.wire import ErrorCode, StartVideoSession, StopVideoSession
from services.ingest.clocks import CaptureClock

MAX_SEQ = 2**32 - 1
# A start has some 400 characters. Megabytes of JSON would keep the loop busy for as long as it takes to parse them.
MAX_TEXT_CHARS = 64 << 10
# Numbers are reserved in the store ahead of use, so that a client without memory never gets one twice after a crash.
SEQ_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may do. `credit`: frames unacknowledged; `max_errors` within `error_window_ms` are forgiven.
    `backlog_bytes`: frames of all clients together that the log does not have yet."""

    credit: int = 64
    backlog_bytes: int = 32 << 20
    max_frame_bytes: int = MAX_FRAME_BYTES
    max_side_px: int = MAX_FRAME_SIDE_PX
    max_errors: int = 20
    error_window_ms: int = 10_000


class Accepted(NamedTuple):
    """A frame for the log. `jumped_ms` is how far the client's clock jumped with it, 0 if it did not."""

    seq: int
    captured_at_ms: int
    received_at_ms: int
    jpeg: bytes
    jumped_ms: int


class Duplicate(NamedTuple):
    """A frame sent again that was taken before: to be acknowledged, not to be published."""

    seq: int


class Refused(NamedTuple):
    """A mistake to tell the client. `close` when it was one too many."""

    code: ErrorCode
    error: str
    close: bool


Command = StartVideoSession | StopVideoSession


@dataclass(slots=True)
class StreamState:
    """Numbers and clock of one session. `reserved` is the highest number that the store says may be in use."""

    reserved: int
    history: int = Limits().credit
    last_seq: int = -1
    first_free_seq: int = field(init=False)
    clock: CaptureClock = field(default_factory=CaptureClock)
    # What a client may send again: what it had under way when its socket broke, as (seq, its captured_at_ms).
    recent: deque[tuple[int, int | None]] = field(init=False)

    def __post_init__(self) -> None:
        self.first_free_seq = self.reserved + 1
        self.recent = deque(maxlen=self.history)

    @property
    def next_seq(self) -> int:
        """The number that a new frame gets: above all that were or may have been used."""
        return max(self.last_seq + 1, self.first_free_seq)

    @property
    def oldest_resend(self) -> int:
        """After a crash a client sends again under numbers of the last blocks; lower ones are a mistake."""
        return self.first_free_seq - 2 * SEQ_BLOCK


class Protocol:
    """One socket of a session."""

    __slots__ = ("_errors_at_ms", "_limits", "_newest", "_state", "offset_ms", "started")

    def __init__(self, state: StreamState, limits: Limits) -> None:
        self._state = state
        self._limits = limits
        self._newest = -1  # highest number that came over this socket
        self._errors_at_ms: deque[int] = deque(maxlen=limits.max_errors + 1)
        self.offset_ms: int | None = None
        self.started = False

    def frame(self, message: bytes, now_ms: int, outstanding: int) -> Accepted | Duplicate | Refused:
        """Take a binary message. `outstanding` is how many accepted frames the log does not have yet."""
        if not self.started:
            return self.refuse("not_started", "a frame came before start_video_session", now_ms)
        state, limits = self._state, self._limits
        try:
            frame = WireFrame.decode(message)
            check_jpeg(frame.jpeg, limits.max_frame_bytes, limits.max_side_px)
        except BadFrame as bad:
            return self.refuse(bad.code, str(bad), now_ms)  # type: ignore[arg-type]
        seq = frame.seq
        if seq is None:
            seq = state.next_seq
            if seq > MAX_SEQ:
                return self.refuse("seq_not_increasing", "this session's numbers are used up; begin a new one", now_ms)
        elif seq <= self._newest:
            return self.refuse(
                "seq_not_increasing", f"frame {seq} came after frame {self._newest}; numbers must rise", now_ms
            )
        elif seq <= state.last_seq:
            if (seq, frame.captured_at_ms) in state.recent:
                self._newest = seq
                return Duplicate(seq)
            return self.refuse(
                "seq_not_increasing", f"number {seq} was used before; go on from {state.next_seq}", now_ms
            )
        elif seq < state.oldest_resend:
            return self.refuse(
                "seq_not_increasing", f"number {seq} may have been used before; go on from {state.next_seq}", now_ms
            )
        if outstanding >= limits.credit:
            return self.refuse(
                "credit_exceeded",
                f"{outstanding} frames are not acknowledged; wait below {limits.credit}. Frame {seq} was not taken",
                now_ms,
            )
        captured = now_ms if frame.captured_at_ms is None else frame.captured_at_ms
        published, jumped = state.clock.stamp(captured, now_ms)
        state.last_seq = self._newest = seq
        state.recent.append((seq, frame.captured_at_ms))
        if self.offset_ms is None or now_ms - published < self.offset_ms:
            self.offset_ms = now_ms - published
        return Accepted(seq, published, now_ms, frame.jpeg, jumped)

    def text(self, message: str, now_ms: int) -> Command | Refused:
        """Take a text message."""
        if len(message) > MAX_TEXT_CHARS:
            return self.refuse(
                "bad_message", f"the message has {len(message)} characters; at most {MAX_TEXT_CHARS} are read", now_ms
            )
        try:
            content = json.loads(message)
        except (ValueError, RecursionError) as error:
            return self.refuse("not_json", f"the text message is not JSON: {error}", now_ms)
        kind = content.get("type") if isinstance(content, dict) else None
        if kind == "stop_video_session":
            return StopVideoSession()
        if kind != "start_video_session":
            return self.refuse(
                "unknown_type",
                f"type is {_shown(kind)}; wanted start_video_session, stop_video_session or a binary frame",
                now_ms,
            )
        try:
            return StartVideoSession.model_validate(content, strict=False, extra="ignore")
        except ValidationError as error:
            return self.refuse("bad_message", wrong_fields(error), now_ms)

    def refuse(self, code: ErrorCode, error: str, now_ms: int) -> Refused:
        """Count a mistake against the socket's budget."""
        errors = self._errors_at_ms
        errors.append(now_ms)
        abuse = len(errors) > self._limits.max_errors and now_ms - errors[0] <= self._limits.error_window_ms
        return Refused(code, error, abuse)

    def latency_ms(self, captured_at_ms: int, received_at_ms: int, now_ms: int) -> int:
        """How long ago a frame was captured, on ingest's clock; before this socket's first frame: was received."""
        if self.offset_ms is None:
            return max(0, now_ms - received_at_ms)
        return max(0, now_ms - captured_at_ms - self.offset_ms)


def _shown(kind: object) -> str:
    return "missing" if kind is None else repr(kind)[:60]
