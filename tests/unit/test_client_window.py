"""Frames under way: whatever connections come and go, each is kept until acknowledged and sent in order."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.examples import JPEG
from schemas.wire import ProcessingStartedAck
from services.client.window import Window


def started(credit: int = 4, resume_from_seq: int = 0) -> ProcessingStartedAck:
    return ProcessingStartedAck(
        session_id="s-1", credit=credit, max_frame_bytes=1000, target_fps=10, resume_from_seq=resume_from_seq
    )


def window(credit: int = 4) -> Window:
    window = Window()
    window.started(started(credit))
    return window


def sent(window: Window) -> list[int]:
    """Send all that is to be sent; returns the numbers."""
    seqs = []
    while (frame := window.next_to_send()) is not None:
        assert frame.seq is not None
        seqs.append(frame.seq)
    return seqs


def test_nothing_is_taken_before_the_server_is_ready() -> None:
    window = Window()
    assert not window.room
    with pytest.raises(ValueError, match="credit is 0"):
        window.take(JPEG, 1)


def test_credit_bounds_what_is_kept() -> None:
    full = window(credit=2)
    assert [full.take(JPEG, 1), full.take(JPEG, 2)] == [0, 1]
    assert not full.room
    with pytest.raises(ValueError, match="2 frames are under way"):
        full.take(JPEG, 3)
    assert sent(full) == [0, 1]
    assert full.acknowledge(0, credit=2) == [0]
    assert full.room


def test_one_acknowledgement_covers_all_before_it() -> None:
    some = window()
    for number in range(4):
        some.take(JPEG, number)
    sent(some)
    assert some.acknowledge(2, credit=9) == [0, 1, 2]
    assert (some.pending, some.credit, some.acknowledged, some.acknowledged_through) == (1, 9, 3, 2)
    assert some.acknowledge(2, credit=9) == []


def test_what_was_not_sent_is_not_acknowledged() -> None:
    some = window()
    some.take(JPEG, 1)
    assert some.acknowledge(5, credit=4) == []
    assert some.pending == 1


def test_after_a_lost_connection_the_kept_frames_go_first() -> None:
    some = window()
    for number in range(3):
        some.take(JPEG, number)
    sent(some)
    some.acknowledge(0, credit=4)
    some.lost()
    some.take(JPEG, 3)  # a capture while nobody is there
    some.started(started(resume_from_seq=1024))
    some.take(JPEG, 4)
    assert sent(some) == [1, 2, 3, 1024]
    assert (some.sent, some.resent) == (5, 2)


def test_the_first_connection_resumes_where_the_server_says() -> None:
    later = Window()
    later.started(started(resume_from_seq=77))
    assert later.take(JPEG, 1) == 77


@dataclass
class Log:
    """A server that takes in order what is new to it, and may lose what is on its way."""

    seqs: list[int] = field(default_factory=list)

    def take(self, seq: int) -> None:
        if not self.seqs or seq > self.seqs[-1]:
            self.seqs.append(seq)


steps = st.lists(st.sampled_from(["capture", "send", "take", "acknowledge", "cut"]), max_size=200)


@given(steps, st.integers(1, 5))
def test_whatever_happens_the_log_gets_every_frame_once_and_in_order(steps: list[str], credit: int) -> None:
    some, log, captured = window(credit), Log(), []
    under_way: list[int] = []
    for step in [*steps, "cut", *["send", "take"] * 20, "acknowledge"]:
        match step:
            case "capture" if some.room:
                captured.append(some.take(JPEG, 1))
            case "send" if (frame := some.next_to_send()) is not None and frame.seq is not None:
                under_way.append(frame.seq)
            case "take" if under_way:
                log.take(under_way.pop(0))
            case "acknowledge" if log.seqs:
                some.acknowledge(log.seqs[-1], credit)
            case "cut":
                under_way.clear()
                some.lost()
                some.started(started(credit))
            case _:
                pass
        assert some.pending <= credit
        assert some.unsent <= some.pending
    assert log.seqs == captured
    assert some.pending == 0
    assert some.acknowledged == some.sent == len(captured)
