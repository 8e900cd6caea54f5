"""What a sink reads, and reads again: drawn histories of its topics, and their delivery in any batches."""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from schemas import examples
from schemas.base import Contract
from schemas.topics import METRICS, PREDICTIONS, RECORDINGS, SIGNALS, STATUS, Topic
from services.runtime.log import Record, TopicPartition
from services.runtime.metrics import Metrics
from services.runtime.store import Document, Store
from services.sink.documents import Put, parse
from services.sink.handlers import Delivery
from services.sink.store_destination import StoreDestination

COLLECTIONS = ("metrics", "status", "signals", "features", "change_scores", "predictions", "active_predictions")
SESSIONS = ("s-1", "s-2")
KINDS = ("started", "segment", "completed", "failed", "deleted")


class NoLetters:
    """Nothing here is malformed."""

    async def send(self, record: Record, error: BaseException) -> None:
        raise AssertionError(f"buried: {error}") from error


@dataclass(frozen=True)
class History:
    """Records in the order they were first read; after `crash` of them, those of `again` come once more, then the rest.

    `again` is a suffix of each partition's records before the crash, the partitions mixed in any way.
    """

    records: Sequence[Record]
    crash: int
    again: Sequence[Record]
    batches: Sequence[int]

    @property
    def with_redelivery(self) -> list[Record]:
        return [*self.records[: self.crash], *self.again, *self.records[self.crash :]]


@st.composite
def _events(draw: st.DrawFn) -> tuple[Topic, Contract]:
    """One event; `number` tells two about the same thing apart."""
    topic = draw(st.sampled_from((METRICS, STATUS, PREDICTIONS, SIGNALS, RECORDINGS)))
    session_id = draw(st.sampled_from(SESSIONS))
    at, number = draw(st.integers(0, 3)), draw(st.integers(0, 9))
    changes: dict[str, dict[str, Any]] = {
        METRICS.name: {"seq": at, "blink_count": number},
        STATUS.name: {"seq": at, "changed_at_ms": number},
        PREDICTIONS.name: {"window": at, "change_score": number / 10},
        SIGNALS.name: {"sampled_at_ms": at, "value": float(number)},
        RECORDINGS.name: {
            "recording_id": f"r-{session_id}-{at}",
            "kind": draw(st.sampled_from(KINDS)),
            "at_ms": number,
            "frame_count": draw(st.none() | st.integers(0, 3)),
            "error": draw(st.none() | st.just("disk full")),
        },
    }
    assert isinstance(topic.example, Contract)
    return topic, topic.example.model_copy(update={"session_id": session_id, **changes[topic.name]})


@st.composite
def histories(draw: st.DrawFn) -> History:
    records: list[Record] = []
    ends: dict[TopicPartition, int] = defaultdict(int)
    for topic, event in draw(st.lists(_events(), min_size=1, max_size=40)):
        epoch = draw(st.integers(0, 3))  # lower than one before: an owner that overslept
        key: str = event.session_id  # type: ignore[attr-defined]
        partition = TopicPartition(topic.name, SESSIONS.index(key))
        headers = {"epoch": str(epoch)} if epoch else {}
        logged_at_ms = examples.METRICS.analyzed_at_ms + len(records)
        records.append(Record(*partition, ends[partition], key, event.encode(), headers, logged_at_ms))
        ends[partition] += 1
    crash = draw(st.integers(0, len(records)))
    suffixes: dict[TopicPartition, deque[Record]] = defaultdict(deque)
    for record in records[:crash]:
        suffixes[record.source].append(record)
    for suffix in suffixes.values():
        for _ in range(draw(st.integers(0, len(suffix)))):
            suffix.popleft()
    turns = draw(st.permutations([source for source, suffix in suffixes.items() for _ in suffix]))
    again = [suffixes[source].popleft() for source in turns]
    return History(records, crash, again, draw(st.lists(st.integers(1, 10), min_size=1, max_size=5)))


async def deliver(store: Store, records: Sequence[Record], batches: Sequence[int]) -> None:
    """Through the sink's own handler, in batches of these sizes over and over. Every record must be finished."""
    finished: list[Record] = []
    delivery = Delivery(StoreDestination(store, Metrics()), finished.append, NoLetters())  # type: ignore[arg-type]
    left, turn = deque(records), 0
    while left:
        await delivery.handle([left.popleft() for _ in range(min(len(left), batches[turn % len(batches)]))])
        turn += 1
    assert len(finished) == len(records)


async def contents(store: Store) -> dict[str, list[Document]]:
    return {name: await store.find(name, sort=[("_id", 1)]) for name in (*COLLECTIONS, "recordings")}


def expected(records: Sequence[Record]) -> dict[str, list[Document]]:
    """What must be in the store: of each document the last one written under the highest epoch."""
    documents: dict[tuple[str, str], Document] = {}
    for record in records:
        for write in parse(record):
            if isinstance(write, Put):
                place = write.collection, write.document["_id"]
                there = documents.get(place, {})
                if write.document.get("epoch", 0) >= there.get("epoch", 0):
                    documents[place] = write.document
    return {name: [documents[place] for place in sorted(documents) if place[0] == name] for name in COLLECTIONS}


async def clear(store: Store) -> None:
    for name in (*COLLECTIONS, "recordings"):
        await store.delete(name, {})
