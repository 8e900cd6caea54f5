"""Records of the event topics as documents with natural keys. Pure.

The key names what the event is about (a session's frame, window or sample), so that a record read twice is the same
document written twice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic_core import from_json

from schemas import topics
from schemas.base import Contract
from schemas.events import FrameMetrics, Prediction, RecordingEvent, Signal, StatusChanged
from services.runtime.deadletters import Malformed
from services.runtime.epochs import epoch_of
from services.runtime.log import Record
from services.runtime.records import decoded
from services.runtime.store import Document
from services.runtime.store.collections import (
    ACTIVE_PREDICTIONS,
    CHANGE_SCORES,
    FEATURES,
    METRICS,
    PREDICTIONS,
    SIGNALS,
    STATUS,
)

Event = TypeVar("Event", bound=Contract)

TOPICS = (topics.METRICS, topics.STATUS, topics.PREDICTIONS, topics.RECORDINGS, topics.SIGNALS)


@dataclass(frozen=True, slots=True)
class Put:
    """Write this document over whatever has its `_id`."""

    collection: str
    document: Document


@dataclass(frozen=True, slots=True)
class Merge:
    """Carry a recording's document on by this event, written under this epoch (`services.sink.recordings`)."""

    event: RecordingEvent
    epoch: int = 0


Writes = tuple[Put | Merge, ...]


def parse(record: Record) -> Writes:
    """What a record asks the store to do. Raises `Malformed` naming what is wrong.

    Documents of records that an owner wrote carry the `epoch` of its assignment: a later one's stay.
    """
    read = _READERS.get(record.topic)
    if read is None:
        raise Malformed(f"records of topic {record.topic!r} have no place in the store")
    writes, epoch = read(record), epoch_of(record)
    if not epoch:
        return writes
    return tuple(
        Put(write.collection, {**write.document, "epoch": epoch})
        if isinstance(write, Put)
        else Merge(write.event, epoch)
        for write in writes
    )


def _put(model: type[Event], collection: str, key: Callable[[Event], str]) -> Callable[[Record], Writes]:
    def read(record: Record) -> Writes:
        event = decoded(record, model)
        return (Put(collection, {"_id": key(event), **_fields(event)}),)

    return read


def _prediction(record: Record) -> Writes:
    """A window's features, its change score and the prediction go different ways; what is active is gone in an hour,
    counted from the log's clock: the windows' own times are the cameras'."""
    event = decoded(record, Prediction)
    fields = _fields(event)
    window = {"_id": f"{event.session_id}:{event.window}"}
    window |= {name: fields[name] for name in ("session_id", "window", "from_ms", "to_ms")}
    features: dict[str, float | None] = fields.pop("features")
    return (
        Put(FEATURES.name, {**window, "names": list(features), "values": list(features.values())}),
        Put(CHANGE_SCORES.name, {**window, "change_score": fields["change_score"], "model": event.model}),
        Put(PREDICTIONS.name, {**window, **fields}),
        Put(ACTIVE_PREDICTIONS.name, {**window, **fields, "predicted_at_ms": record.timestamp_ms}),
    )


def _fields(event: Contract) -> dict[str, Any]:
    # Through JSON once more: there a value that is not a finite number is null.
    fields: dict[str, Any] = from_json(event.encode())
    return fields


def _metrics_key(event: FrameMetrics) -> str:
    return f"{event.session_id}:{event.seq}"


def _status_key(event: StatusChanged) -> str:
    return f"{event.session_id}:{event.seq}"


def _signal_key(event: Signal) -> str:
    return f"{event.session_id}:{event.kind}:{event.sampled_at_ms}"


_READERS: Mapping[str, Callable[[Record], Writes]] = {
    topics.METRICS.name: _put(FrameMetrics, METRICS.name, _metrics_key),
    topics.STATUS.name: _put(StatusChanged, STATUS.name, _status_key),
    topics.PREDICTIONS.name: _prediction,
    topics.SIGNALS.name: _put(Signal, SIGNALS.name, _signal_key),
    topics.RECORDINGS.name: lambda record: (Merge(decoded(record, RecordingEvent)),),
}
