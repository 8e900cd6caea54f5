"""Records as documents, and a recording's way through its events."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import examples, topics
from schemas.events import RecordingEvent
from services.runtime.deadletters import Malformed
from services.runtime.log import Record
from services.runtime.store import Document
from services.runtime.store.collections import BY_NAME
from services.sink.documents import TOPICS, Merge, Put, parse
from services.sink.recordings import merge

LOGGED_AT_MS = 1_760_000_005_040


def record(topic: str, value: bytes, key: str = "s-7f3a", **headers: str) -> Record:
    return Record(topic, 0, 0, key, value, headers, LOGGED_AT_MS)


@pytest.mark.parametrize(
    ("topic", "collection", "key"),
    [
        (topics.METRICS, "metrics", "s-7f3a:17"),
        (topics.STATUS, "status", "s-7f3a:17"),
        (topics.SIGNALS, "signals", "s-7f3a:heart_rate:1760000001000"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_an_event_is_a_document_under_its_natural_key(topic: topics.Topic, collection: str, key: str) -> None:
    assert not isinstance(topic.example, bytes)
    written = parse(record(topic.name, topic.example.encode()))
    assert written == (Put(collection, {"_id": key, **topic.example.model_dump(mode="json")}),)
    fields = {field for index in BY_NAME[collection].indexes for field in index.fields}
    assert fields <= topic.example.model_dump().keys()


def test_a_prediction_is_four_documents_under_one_key() -> None:
    written = parse(record("predictions", examples.PREDICTION.encode()))
    documents = {each.collection: each.document for each in written if isinstance(each, Put)}
    window = {"_id": "s-7f3a:0", "session_id": "s-7f3a", "window": 0, "from_ms": 1_760_000_000_000}
    window["to_ms"] = 1_760_000_005_000
    said = {name: value for name, value in examples.PREDICTION.model_dump(mode="json").items() if name != "features"}
    features = examples.PREDICTION.features
    assert documents == {
        "features": {**window, "names": list(features), "values": list(features.values())},
        "change_scores": {**window, "change_score": 0.12, "model": "centroids-1"},
        "predictions": {"_id": "s-7f3a:0", **said},
        "active_predictions": {"_id": "s-7f3a:0", **said, "predicted_at_ms": LOGGED_AT_MS},
    }
    for name, document in documents.items():
        collection = BY_NAME[name]
        assert {field for index in collection.indexes for field in index.fields} <= document.keys()
        assert collection.expires_from is None or collection.expires_from in document


def test_a_prediction_without_emotions_brings_none_into_the_store() -> None:
    silent = {"arousal", "valence", "probe", "emotion", "color"}
    event = examples.PREDICTION.model_copy(update=dict.fromkeys(silent))
    for each in parse(record("predictions", event.encode())):
        assert isinstance(each, Put)
        assert not silent & each.document.keys()


def test_a_recordings_event_is_merged() -> None:
    assert parse(record("recordings", examples.RECORDING.encode())) == (Merge(examples.RECORDING),)


def test_every_topic_of_the_sink_has_a_reader() -> None:
    for topic in TOPICS:
        assert not isinstance(topic.example, bytes)
        assert parse(record(topic.name, topic.example.encode()))


@pytest.mark.parametrize(
    ("topic", "value", "key", "reason"),
    [
        ("metrics", b"", "s-7f3a", "the value is empty"),
        ("metrics", b"\xff\xd8\xff", "s-7f3a", "Invalid JSON"),
        ("metrics", b"[]", "s-7f3a", "value: "),
        ("metrics", b'{"session_id": "s"}', "s-7f3a", "seq: Field required"),
        ("status", b'{"session_id": "../../etc"}', "s-7f3a", "session_id: String should match"),
        ("recordings", b'{"kind": "vanished"}', "s-7f3a", "kind: "),
        ("signals", examples.SIGNAL.encode(), "s-1", "the key is 's-1', but the value's session_id is 's-7f3a'"),
        ("signals", examples.SIGNAL.encode(), "", "no key"),
        ("frames", b"{}", "s-7f3a", "'frames' have no place"),
    ],
)
def test_a_malformed_record_says_what_is_wrong(topic: str, value: bytes, key: str, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(record(topic, value, key))
    assert reason in str(caught.value)


def test_a_newer_schema_is_refused() -> None:
    with pytest.raises(Malformed, match=r"newer than signals\.v1"):
        parse(record("signals", examples.SIGNAL.encode(), schema="signals.v2"))


def test_fields_of_a_newer_producer_are_left_out() -> None:
    value = json.dumps({**examples.SIGNAL.model_dump(), "mood": "good"}).encode()
    assert parse(record("signals", value)) == parse(record("signals", examples.SIGNAL.encode()))


def test_a_number_that_is_none_becomes_null() -> None:
    value = json.dumps({**examples.METRICS.model_dump(mode="json"), "mar": float("nan")}).encode()
    (write,) = parse(record("metrics", value))
    assert isinstance(write, Put)
    assert write.document["mar"] is None
    json.dumps(write.document, allow_nan=False)


# --- recordings ---

KINDS = ("started", "segment", "completed", "failed", "deleted")


def event(kind: str, at_ms: int, **fields: object) -> RecordingEvent:
    return RecordingEvent.model_validate(
        {
            "recording_id": "r-1",
            "session_id": "s-1",
            "student_id": "ada",
            "lecture_code": "PHYS",
            "started_at_ms": 0,
            "kind": kind,
            "at_ms": at_ms,
            **fields,
        }
    )


def after(*events: RecordingEvent) -> Document:
    document: Document | None = None
    for each in events:
        document = merge(document, each)
    assert document is not None
    return document


def test_a_whole_recording() -> None:
    document = after(
        event("started", 0, width=320, height=240),
        event("segment", 2_000, frame_count=20, last_seq=19),
        event("segment", 4_000, frame_count=40, last_seq=39),
        event("completed", 5_000, frame_count=45, last_seq=44, filename="ada.mp4", sha256="00"),
    )
    assert document["_id"] == "r-1"
    assert document["status"] == "completed"
    assert (document["frame_count"], document["last_seq"], document["width"]) == (45, 44, 320)


@pytest.mark.parametrize(
    ("kinds", "status"),
    [
        ("started", "recording"),
        ("started segment", "recording"),
        ("segment started", "recording"),
        ("completed segment started", "completed"),
        ("failed segment", "failed"),
        ("failed completed", "completed"),
        ("completed failed", "failed"),
        ("completed deleted completed failed segment", "deleted"),
    ],
)
def test_a_recording_never_goes_back(kinds: str, status: str) -> None:
    assert after(*(event(kind, at_ms) for at_ms, kind in enumerate(kinds.split())))["status"] == status


def test_an_earlier_ending_does_not_replace_a_later_one() -> None:
    assert after(event("completed", 9), event("failed", 5))["status"] == "completed"


def test_an_event_behind_changes_nothing() -> None:
    document = after(event("completed", 9))
    assert merge(document, event("segment", 10)) is document
    assert merge(document, event("completed", 8)) is document


def test_the_error_belongs_to_the_last_event() -> None:
    assert after(event("failed", 1, error="disk full"))["error"] == "disk full"
    assert after(event("failed", 1, error="disk full"), event("completed", 2))["error"] is None


def test_what_an_owner_before_the_present_one_says_changes_nothing() -> None:
    present = merge(None, event("segment", 5, frame_count=20), 7)
    assert present["epoch"] == 7
    # It overslept: it failed for want of its lock, an hour later by its own clock.
    assert merge(present, event("failed", 3_600_000, error="not mine any more"), 6) is present
    over = merge(present, event("completed", 4, frame_count=45), 7)
    assert merge(over, event("segment", 9), 7) is over


def test_a_present_owner_goes_on_with_what_one_before_it_ended() -> None:
    # The one that overslept was heard first, and its clock runs ahead.
    ended = merge(None, event("failed", 3_600_000, error="disk full"), 6)
    assert merge(ended, event("segment", 5), 7)["status"] == "recording"
    assert merge(merge(ended, event("deleted", 1)), event("completed", 5), 7)["status"] == "deleted"


def test_an_event_without_an_epoch_is_the_present_owners() -> None:
    present = merge(None, event("segment", 5), 7)
    after_it = merge(present, event("completed", 6))
    assert (after_it["status"], after_it["epoch"]) == ("completed", 7)
    assert "epoch" not in merge(None, event("started", 1))


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 5), st.none() | st.integers(0, 3)), min_size=1),
    st.integers(0, 20),
)
def test_reading_events_again_from_anywhere_changes_nothing(
    drawn: list[tuple[str, int, int | None]], again_from: int
) -> None:
    # The recorder's clock does not run back, so its events come in order of time.
    events = [event(kind, at_ms, frame_count=frames) for kind, at_ms, frames in sorted(drawn, key=lambda each: each[1])]
    document = after(*events)
    assert after(*events, *events[again_from:]) == document


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 5)), min_size=1))
def test_the_rank_never_falls(drawn: list[tuple[str, int]]) -> None:
    ranks = {"recording": 0, "completed": 1, "failed": 1, "deleted": 2}
    events = [event(kind, at_ms) for kind, at_ms in drawn]
    seen = [ranks[after(*events[: n + 1])["status"]] for n in range(len(events))]
    assert seen == sorted(seen)
