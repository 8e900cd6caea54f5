"""What is refused of a record before anybody acts on it, and for which reason."""

from collections.abc import Mapping

import pytest

from schemas import examples
from schemas.events import Control, JobEvent, Signal
from schemas.frames import FrameHeaders
from schemas.sessions import SessionStart
from schemas.topics import TOPICS, Topic
from services.runtime.deadletters import Malformed
from services.runtime.log import Record
from services.runtime.records import checked, decoded, frame_headers

SESSION = examples.SIGNAL.session_id
FRAME = FrameHeaders(SESSION, "frame", 7, 1_760_000_000_000, 1_760_000_000_010).encode()


def record(topic: str, value: bytes = b"{}", key: str = SESSION, headers: Mapping[str, str] | None = None) -> Record:
    return Record(topic, 0, 0, key, value, headers or {}, 1_760_000_000_000)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_each_topics_example_passes(topic: Topic) -> None:
    value = topic.example if isinstance(topic.example, bytes) else topic.example.encode()
    assert checked(record(topic.name, value, headers={"schema": topic.schema, "session_id": SESSION})) is topic


def test_another_producer_may_leave_the_schema_and_the_session_out() -> None:
    assert decoded(record("signals", examples.SIGNAL.encode()), Signal) == examples.SIGNAL


def test_fields_that_are_unknown_are_passed_over() -> None:
    value = examples.SIGNAL.encode()[:-1] + b', "mood": "good"}'
    assert decoded(record("signals", value), Signal) == examples.SIGNAL


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (record("signals", b""), "the value is empty"),
        (record("signals", b"\xff\xd8"), "Invalid JSON"),
        (record("signals", b"{}"), "session_id: Field required"),
        (record("signals", examples.SIGNAL.encode(), key=""), "the record has no key; wanted its session_id"),
        (record("signals", examples.SIGNAL.encode(), key="../../etc"), "the key is '../../etc'; wanted"),
        (record("signals", examples.SIGNAL.encode(), key="s\n"), "wanted 1 to 128"),
        (record("signals", examples.SIGNAL.encode(), key="other"), "key is 'other', but the value's session_id is"),
        (record("signals", headers={"session_id": "other"}), "but header session_id says 'other'"),
        (record("signals", headers={"schema": "signals.v2"}), "'signals.v2': newer than signals.v1"),
        (record("signals", headers={"schema": "metrics.v1"}), "'metrics.v1'; wanted signals.v1"),
        (record("signals", headers={"schema": ""}), "schema is ''; wanted signals.v1"),
        (record("signals", b'"' + bytes(1 << 20) + b'"'), "has 1048578 bytes; signals takes at most 262144"),
        (record("frames", bytes((1 << 20) + 1)), "has 1048577 bytes; frames takes at most 1048576"),
        (record("weather"), "Rapt has no topic 'weather'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_named(bad: Record, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        decoded(bad, Signal)
    assert reason in str(caught.value)


def test_the_key_is_the_one_that_the_topic_names() -> None:
    for_session = Control(kind="recording", enabled=True, session_id="s-1", issued_at_ms=1, issued_by="x")
    for control in (examples.CONTROL, for_session):
        key = control.lecture_code or control.session_id or ""
        # A lecture is no session: what the header says of one does not count here.
        at = record("control", control.encode(), key=key, headers={"session_id": key})
        assert decoded(at, Control) == control
        with pytest.raises(Malformed, match="the value's lecture_code or session_id is"):
            decoded(record("control", control.encode(), key="other"), Control)
    with pytest.raises(Malformed, match="the value's job_id is 'j-12'"):
        decoded(record("jobs", examples.JOB.encode(), key=SESSION), JobEvent)


def test_a_sessions_start_is_the_keys() -> None:
    value = examples.SESSION_START.encode()
    assert decoded(record("frames", value, headers=FRAME), SessionStart) == examples.SESSION_START
    with pytest.raises(Malformed, match="the value's session_id"):
        decoded(record("frames", value, key="other"), SessionStart)
    with pytest.raises(Malformed, match="JSON may have"):
        decoded(record("frames", value + b" " * (1 << 19), headers=FRAME), SessionStart)


def test_the_headers_of_a_frame() -> None:
    assert frame_headers(record("frames", b"", headers=FRAME)).seq == 7


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({name: text for name, text in FRAME.items() if name != "seq"}, "header seq is missing"),
        ({name: text for name, text in FRAME.items() if name != "session_id"}, "header session_id is missing"),
        ({name: text for name, text in FRAME.items() if name != "kind"}, "header kind is missing"),
        ({**FRAME, "kind": "noise"}, "header kind is 'noise'; wanted one of"),
        ({**FRAME, "seq": "-1"}, "header seq is '-1'; wanted a whole number up to 4294967295"),
        ({**FRAME, "seq": "1_0"}, "header seq is '1_0'"),
        ({**FRAME, "seq": str(2**32)}, "header seq is '4294967296'"),
        ({**FRAME, "captured_at_ms": "soon"}, "header captured_at_ms is 'soon'"),
        ({**FRAME, "received_at_ms": str(2**53 + 1)}, "header received_at_ms is '9007199254740993'"),
        ({**FRAME, "session_id": "other"}, "but header session_id says 'other'"),
        ({**FRAME, "schema": "frames.v2"}, "newer than frames.v1"),
    ],
)
def test_a_frames_wrong_headers_are_named(headers: dict[str, str], reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        frame_headers(record("frames", examples.JPEG, headers=headers))
    assert reason in str(caught.value)
