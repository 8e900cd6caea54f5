"""The stream protocol without a socket."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from schemas.frames import MAX_FRAME_SIDE_PX, WireFrame
from schemas.wire import StartVideoSession, StopVideoSession
from services.ingest.protocol import MAX_SEQ, SEQ_BLOCK, Accepted, Duplicate, Limits, Protocol, Refused, StreamState
from tests.support.edge import tiny_jpeg

NOW_MS = 1_760_000_000_000
JPEG = tiny_jpeg()
LIMITS = Limits(credit=4)


def started(state: StreamState | None = None, limits: Limits = LIMITS) -> Protocol:
    protocol = Protocol(state or StreamState(-1, limits.credit), limits)
    protocol.started = True
    return protocol


def frame(seq: int, captured_at_ms: int | None = None) -> bytes:
    return WireFrame(JPEG, seq, NOW_MS + seq if captured_at_ms is None else captured_at_ms).encode()


def taken(outcome: object) -> int | str:
    """The number of an accepted frame, or the code of a refusal."""
    if isinstance(outcome, Accepted):
        return outcome.seq
    return outcome.code if isinstance(outcome, Refused) else "duplicate"


def test_bare_frames_are_numbered_and_stamped() -> None:
    protocol = started()
    assert [taken(protocol.frame(JPEG, NOW_MS + step, 0)) for step in range(3)] == [0, 1, 2]
    accepted = protocol.frame(JPEG, NOW_MS + 9, 0)
    assert accepted == Accepted(3, NOW_MS + 9, NOW_MS + 9, JPEG, 0)


def test_bare_and_numbered_frames_mix() -> None:
    protocol = started()
    assert [taken(protocol.frame(each, NOW_MS, 0)) for each in (frame(5), JPEG, frame(6), frame(9), JPEG)] == [
        5,
        6,
        "seq_not_increasing",
        9,
        10,
    ]


def test_credit_is_what_the_log_does_not_have_yet() -> None:
    protocol = started()
    assert taken(protocol.frame(frame(0), NOW_MS, 3)) == 0
    assert taken(protocol.frame(frame(1), NOW_MS, 4)) == "credit_exceeded"
    assert taken(protocol.frame(frame(1), NOW_MS, 0)) == 1


def test_numbers_end() -> None:
    protocol = started()
    assert taken(protocol.frame(frame(MAX_SEQ, NOW_MS), NOW_MS, 0)) == MAX_SEQ
    assert taken(protocol.frame(JPEG, NOW_MS, 0)) == "seq_not_increasing"


def test_what_was_sent_again_is_known_by_number_and_time() -> None:
    state = StreamState(-1, LIMITS.credit)
    first = started(state)
    for seq in range(6):
        first.frame(frame(seq), NOW_MS, 0)
    assert isinstance(started(state).frame(frame(5), NOW_MS, 0), Duplicate)
    assert taken(started(state).frame(frame(5, NOW_MS + 77), NOW_MS, 0)) == "seq_not_increasing"
    assert taken(started(state).frame(frame(1), NOW_MS, 0)) == "seq_not_increasing"  # longer ago than the credit
    assert taken(first.frame(frame(5), NOW_MS, 0)) == "seq_not_increasing"  # on the same socket


def test_after_a_crash_old_numbers_may_come_again_but_not_ancient_ones() -> None:
    protocol = started(StreamState(reserved=10 * SEQ_BLOCK - 1))
    assert taken(protocol.frame(frame(7 * SEQ_BLOCK), NOW_MS, 0)) == "seq_not_increasing"
    assert taken(protocol.frame(frame(9 * SEQ_BLOCK), NOW_MS, 0)) == 9 * SEQ_BLOCK
    assert taken(protocol.frame(frame(9 * SEQ_BLOCK + 1), NOW_MS, 0)) == 9 * SEQ_BLOCK + 1
    assert taken(protocol.frame(JPEG, NOW_MS, 0)) == 10 * SEQ_BLOCK


def test_mistakes_are_forgiven_when_they_are_rare() -> None:
    limits = Limits(max_errors=3, error_window_ms=1_000)
    often, rarely = started(limits=limits), started(limits=limits)
    assert [often.refuse("not_json", "", NOW_MS + step).close for step in range(4)] == [False, False, False, True]
    assert not any(rarely.refuse("not_json", "", NOW_MS + step * 500).close for step in range(20))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"type": "stop_video_session"}', StopVideoSession()),
        (
            '{"type": "start_video_session", "studentId": "a", "lectureCode": "b", "frameWidth": 4, "frameHeight": 3,'
            ' "fps": 5, "later": true}',
            StartVideoSession(student_id="a", lecture_code="b", frame_width=4, frame_height=3, fps=5.0),
        ),
    ],
)
def test_commands(text: str, wanted: object) -> None:
    assert started().text(text, NOW_MS) == wanted


@given(st.text() | st.sampled_from(["{}", "[]", "null", "1e999", '{"type":[]}', '{"type":"start_video_session"}']))
def test_no_text_breaks_it(text: str) -> None:
    outcome = started().text(text, NOW_MS)
    assert isinstance(outcome, Refused)
    assert outcome.error


@given(st.binary() | st.binary().map(lambda tail: b"\xff\xd8" + tail) | st.binary().map(lambda tail: b"\x01" + tail))
def test_no_bytes_break_it(message: bytes) -> None:
    outcome = started().frame(message, NOW_MS, 0)
    if isinstance(outcome, Accepted):
        assert outcome.jpeg[:2] == b"\xff\xd8"
    else:
        assert isinstance(outcome, Refused)


@given(st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1))
def test_the_size_in_the_header_counts(width: int, height: int) -> None:
    fits = 1 <= width <= MAX_FRAME_SIDE_PX and 1 <= height <= MAX_FRAME_SIDE_PX
    outcome = started().frame(tiny_jpeg(width, height), NOW_MS, 0)
    assert taken(outcome) == (0 if fits else "frame_dimensions")


class Streaming(RuleBasedStateMachine):
    """A client that streams, loses its socket and its memory; a server that crashes. Numbers never repeat."""

    @initialize()
    def begin(self) -> None:
        self.published: list[int] = []
        self.published_frames: dict[int, int] = {}
        self.reserved = SEQ_BLOCK - 1
        self.now_ms = NOW_MS
        self.state = StreamState(-1, LIMITS.credit)
        self.state.reserved = self.reserved
        self.protocol = started(self.state)
        self.next_seq = 0
        self.unacknowledged: list[tuple[int, int]] = []

    @rule(count=st.integers(1, 4), bare=st.booleans(), acknowledged=st.booleans())
    def stream(self, count: int, bare: bool, acknowledged: bool) -> None:
        if bare:
            self.unacknowledged.clear()  # who counts not, keeps nothing
        for _ in range(count):
            if len(self.unacknowledged) >= LIMITS.credit:
                return
            self.now_ms += 100
            if bare:
                self._publish(self.protocol.frame(JPEG, self.now_ms, 0))
                self.next_seq = self.state.last_seq + 1
            else:
                sent = (self.next_seq, self.now_ms)
                self.next_seq += 1
                self._publish(self.protocol.frame(frame(*sent), self.now_ms, 0))
                if not acknowledged:
                    self.unacknowledged.append(sent)
        if acknowledged:
            self.unacknowledged.clear()

    @rule(crash=st.booleans(), reload_page=st.booleans())
    def reconnect(self, crash: bool, reload_page: bool) -> None:
        if crash:
            self.state = StreamState(self.reserved, LIMITS.credit)
        self.protocol = started(self.state)
        if reload_page:
            self.next_seq = self.state.next_seq
            self.unacknowledged.clear()
        for sent in self.unacknowledged:
            outcome = self.protocol.frame(frame(*sent), self.now_ms, 0)
            assert isinstance(outcome, Accepted | Duplicate), outcome
            if isinstance(outcome, Accepted) and crash:
                self.published_frames.setdefault(outcome.seq, sent[1])
        self.unacknowledged.clear()

    def _publish(self, outcome: object) -> None:
        assert isinstance(outcome, Accepted), outcome
        assert outcome.seq not in self.published_frames
        self.published_frames[outcome.seq] = self.now_ms
        self.published.append(outcome.seq)
        if outcome.seq > self.reserved:
            self.reserved = outcome.seq + SEQ_BLOCK - 1

    @invariant()
    def numbers_rise(self) -> None:
        if hasattr(self, "published"):
            assert self.published == sorted(set(self.published))


TestStreaming: Callable[..., object] = Streaming.TestCase
