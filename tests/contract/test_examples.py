"""The stored example of each event goes through its consumers: the sink's documents, the edge's messages, the clients.

`tests/integration/test_contract_live.py` holds the producers to the same contract.
"""

from pathlib import Path
from typing import NoReturn

import pytest
from pydantic import TypeAdapter

from schemas import events, examples, topics, wire
from schemas.frames import FrameHeaders
from services.analyzer.domain.state import SessionState, Skills
from services.analyzer.perceive import Vision
from services.analyzer.scheduler import Entry
from services.analyzer.turn import Subject, Turns
from services.analyzer.vision.pool import Pool
from services.ingest import messages
from services.runtime.log import Record
from services.sink.documents import Merge, Put, parse

STORED = Path(__file__).parent / "stored"
SERVER_MESSAGE: TypeAdapter[wire.ServerMessage] = TypeAdapter(wire.ServerMessage)


def stored(schema: str) -> bytes:
    return (STORED / f"{schema}.json").read_bytes().strip()


def read(topic: topics.Topic) -> Record:
    """The stored example as a reader of its topic gets it."""
    return Record(topic.name, 0, 0, "s-7f3a", stored(topic.schema), {"schema": topic.schema}, 0)


@pytest.mark.parametrize(
    ("topic", "key"),
    [
        (topics.METRICS, "s-7f3a:17"),
        (topics.STATUS, "s-7f3a:17"),
        (topics.SIGNALS, "s-7f3a:heart_rate:1760000001000"),
    ],
    ids=lambda value: value.name if isinstance(value, topics.Topic) else "",
)
def test_the_sink_stores_the_example_under_its_natural_key(topic: topics.Topic, key: str) -> None:
    (written,) = parse(read(topic))
    assert isinstance(written, Put)
    assert written.document["_id"] == key
    assert topic.model is not None
    assert topic.model.model_validate({**written.document, "_id": None}, strict=False, extra="ignore") == topic.example


def test_the_sink_stores_the_predictions_example_and_its_features_apart() -> None:
    documents = {each.collection: each.document for each in parse(read(topics.PREDICTIONS)) if isinstance(each, Put)}
    assert {document["_id"] for document in documents.values()} == {"s-7f3a:0"}
    kept = dict(zip(documents["features"]["names"], documents["features"]["values"], strict=True))
    again = events.Prediction.model_validate(
        {**documents["predictions"], "features": kept, "_id": None}, strict=False, extra="ignore"
    )
    assert again == examples.PREDICTION


def test_the_sink_reads_the_recordings_example() -> None:
    written = parse(read(topics.RECORDINGS))
    assert written == (Merge(examples.RECORDING),)


def test_the_edge_shows_the_metrics_example_as_the_wire_says() -> None:
    value = stored(topics.METRICS.schema)
    shown = SERVER_MESSAGE.validate_json(messages.metrics(12, value), strict=False)
    assert shown == wire.MetricsMessage(latency_ms=12.0, data=examples.METRICS)


def test_the_edge_shows_status_and_prediction_as_the_wire_says() -> None:
    status = SERVER_MESSAGE.validate_json(messages.status(stored(topics.STATUS.schema)), strict=False)
    assert status == wire.StatusMessage(data=examples.STATUS)
    prediction = SERVER_MESSAGE.validate_json(messages.prediction(stored(topics.PREDICTIONS.schema)), strict=False)
    assert prediction == wire.PredictionMessage(data=examples.PREDICTION)


def test_the_analyzer_takes_a_session_from_its_start_to_its_end() -> None:
    subject = Subject(SessionState("s-7f3a"))
    turns = Turns(Vision(Pool(_no_faces, most=1)), Skills(), lambda: examples.METRICS.analyzed_at_ms)
    taken = turns.run(subject, [_entry("start", stored("frames.start.v1")), _entry("end", stored("frames.end.v1"))])
    assert [outcome.error for outcome in taken] == [None, None]
    assert subject.state.start == examples.SESSION_START
    (last,) = taken[-1].messages
    totals = events.StatusChanged.decode(last.value).totals
    assert totals is not None
    assert totals.frames == 0


def _no_faces() -> NoReturn:  # a session without frames opens no model
    raise AssertionError("no frame was sent")


def _entry(kind: str, value: bytes) -> Entry:
    headers = FrameHeaders("s-7f3a", kind, 0, 1_760_000_000_000, 1_760_000_000_000)  # type: ignore[arg-type]
    return Entry(Record("frames", 0, 0, "s-7f3a", value, headers.encode(), 1_760_000_000_000), headers)
