"""The contract: topics, models, codecs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas import events, examples, frames
from schemas.base import Contract, wrong_fields
from schemas.sessions import SessionStart
from schemas.topics import ANALYZER_STATE, BY_NAME, FRAMES, TOPICS, Topic
from schemas.wire import Ack, StartVideoSession


def ids(topic: Topic) -> str:
    return topic.name


@pytest.mark.parametrize("topic", TOPICS, ids=ids)
def test_every_topic_has_an_example_of_its_model(topic: Topic) -> None:
    if topic.model is None:
        assert isinstance(topic.example, bytes)
    else:
        assert isinstance(topic.example, topic.model)
        assert topic.model.decode(topic.example.encode()) == topic.example


def test_topic_names_are_unique() -> None:
    assert len(BY_NAME) == len(TOPICS)


def test_state_has_as_many_partitions_as_the_frames_it_belongs_to() -> None:
    assert ANALYZER_STATE.partitions == FRAMES.partitions
    assert ANALYZER_STATE.compacted


def test_a_producer_cannot_invent_a_field() -> None:
    with pytest.raises(ValidationError, match="mood"):
        events.Quality.model_validate({"face_px": 1.0, "mood": "good"})


def test_a_producer_cannot_send_a_wrong_type() -> None:
    with pytest.raises(ValidationError, match="window"):
        events.Prediction(**{**examples.PREDICTION.model_dump(), "window": "3"})


def test_a_consumer_ignores_what_a_newer_producer_added() -> None:
    newer = examples.METRICS.encode()[:-1] + b',"heart_rate_bpm":71}'
    assert events.FrameMetrics.decode(newer) == examples.METRICS


def test_a_consumer_refuses_what_it_cannot_read() -> None:
    with pytest.raises(ValidationError, match="session_id"):
        events.FrameMetrics.decode(b"{}")


@pytest.mark.parametrize("name", ["../etc/passwd", "a/b", "", ".hidden", "a b", "x" * 129, "é"])
def test_identifiers_cannot_become_paths(name: str) -> None:
    with pytest.raises(ValidationError, match="session_id"):
        SessionStart(**{**examples.SESSION_START.model_dump(), "session_id": name})


def test_wire_messages_speak_camel_case() -> None:
    assert Ack(seq=3, credit=61).encode() == b'{"type":"ack","seq":3,"credit":61}'
    spoken = b'{"type":"start_video_session","studentId":"s","lectureCode":"L","frameWidth":320,"frameHeight":240}'
    assert StartVideoSession.decode(spoken).lecture_code == "L"


def test_not_a_number_is_written_as_null() -> None:
    assert b'"blur":null' in events.Quality(blur=float("nan")).encode()


@given(
    st.builds(
        frames.FrameHeaders,
        session_id=st.text(min_size=1),
        kind=st.sampled_from(["start", "frame", "end"]),
        seq=st.integers(0, 2**32 - 1),
        captured_at_ms=st.integers(0, 2**53),
        received_at_ms=st.integers(0, 2**53),
    )
)
def test_frame_headers_round_trip(headers: frames.FrameHeaders) -> None:
    assert frames.FrameHeaders.decode(headers.encode()) == headers


@pytest.mark.parametrize("missing", ["session_id", "kind", "seq", "captured_at_ms", "received_at_ms"])
def test_a_missing_frame_header_is_named(missing: str) -> None:
    headers = frames.FrameHeaders("s", "frame", 1, 2, 3).encode()
    del headers[missing]
    with pytest.raises(frames.BadFrame, match=missing):
        frames.FrameHeaders.decode(headers)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))
def test_wire_frames_round_trip(seq: int, captured_at_ms: int) -> None:
    frame = frames.WireFrame(examples.JPEG, seq, captured_at_ms)
    assert len(frame.encode()) == frames.FRAME_PREFIX_BYTES + len(examples.JPEG)
    assert frames.WireFrame.decode(frame.encode()) == frame


def test_a_bare_jpeg_is_a_frame() -> None:
    assert frames.WireFrame.decode(examples.JPEG) == frames.WireFrame(examples.JPEG, None, None)


def test_the_size_of_a_jpeg_is_read_from_its_header() -> None:
    assert frames.check_jpeg(examples.JPEG) == (8, 8)


@pytest.mark.parametrize(
    ("jpeg", "code"),
    [
        (b"", "empty_frame"),
        (b"\x89PNG\r\n", "not_a_jpeg"),
        (examples.JPEG[:20], "not_a_jpeg"),
        (b"\xff\xd8" + b"\x00" * 100, "not_a_jpeg"),
        # Headers that would keep the loop busy for a tenth of a second each.
        (b"\xff\xd8" + b"\xff" * 500_000 + examples.JPEG[2:], "not_a_jpeg"),
        (b"\xff\xd8" + b"\xff\xfe\x00\x02" * 100_000 + examples.JPEG[2:], "not_a_jpeg"),
        (examples.JPEG + bytes(frames.MAX_FRAME_BYTES), "frame_too_large"),
        (bytes.fromhex("ffd8ffc0000b08 1001 0010 01 011100".replace(" ", "")), "frame_dimensions"),
        (bytes.fromhex("ffd8ffc0000b08 0000 0010 01 011100".replace(" ", "")), "frame_dimensions"),
    ],
)
def test_what_is_not_an_acceptable_jpeg_is_refused_with_its_code(jpeg: bytes, code: str) -> None:
    with pytest.raises(frames.BadFrame) as refused:
        frames.check_jpeg(jpeg)
    assert refused.value.code == code


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_header_reader(garbage: bytes) -> None:
    try:
        width, height = frames.jpeg_size(b"\xff\xd8" + garbage)
    except frames.BadFrame:
        return
    assert 0 <= width < 2**16
    assert 0 <= height < 2**16


def test_what_is_wrong_with_a_value_is_told_by_field_and_without_the_value() -> None:
    with pytest.raises(ValidationError) as wrong:
        StartVideoSession.decode(
            b'{"studentId": "../ann", "lectureCode": "PHYS-101", "frameWidth": 0, "frameHeight": 240}'
        )
    told = wrong_fields(wrong.value)
    assert told.startswith("studentId: String should match pattern")
    assert told.endswith("; frameWidth: Input should be greater than or equal to 1")
    assert "ann" not in told
    with pytest.raises(ValidationError) as wrong:
        SessionStart.decode(b"[]")
    assert wrong_fields(wrong.value).startswith("value: ")


def test_models_are_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        examples.METRICS.seq = 18  # type: ignore[misc]
    assert all(
        model.model_config["frozen"] for model in (t.model for t in TOPICS) if model and issubclass(model, Contract)
    )
