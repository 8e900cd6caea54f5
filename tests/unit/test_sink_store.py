"""The store as a destination: bulk upserts, recordings by compare-and-set, outages."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from schemas import examples
from schemas.events import RecordingEvent
from schemas.topics import METRICS, PREDICTIONS, RECORDINGS, STATUS, Topic
from services.runtime.deadletters import Malformed
from services.runtime.log import Record
from services.runtime.metrics import Metrics
from services.runtime.store import Document, Filter, StoreUnavailable
from services.runtime.store.sqlite import SqliteStore
from services.sink.destination import DestinationDown
from services.sink.documents import Writes
from services.sink.store_destination import StoreDestination


class FlakyStore(SqliteStore):
    """Fails the next `failures` writes; runs `meanwhile` between reading and writing."""

    failures = 0
    upserts = 0
    meanwhile: RecordingEvent | None = None

    async def upsert_many(
        self, collection: str, documents: Sequence[Document], *, newest_by: str | None = None
    ) -> None:
        self.upserts += 1
        self._fail()
        await super().upsert_many(collection, documents, newest_by=newest_by)

    async def get(self, collection: str, key: str) -> Document | None:
        found = await super().get(collection, key)
        event, self.meanwhile = self.meanwhile, None
        if event is not None:
            await StoreDestination(self, Metrics()).write([parsed(RECORDINGS, event)])
        return found

    async def update(
        self, collection: str, key: str, changes: Mapping[str, Any], where: Filter | None = None
    ) -> Document | None:
        self._fail()
        return await super().update(collection, key, changes, where)

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("disk full")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FlakyStore]:
    store = FlakyStore(tmp_path / "store.sqlite")
    await store.start()
    yield store
    await store.close()


def parsed(topic: Topic, event: Any, **headers: str) -> Writes:
    record = Record(topic.name, 0, 0, event.session_id, event.encode(), headers, 0)
    return StoreDestination(SqliteStore(Path("unused")), Metrics()).parse(record)


def metrics_of(seq: int) -> Writes:
    return parsed(METRICS, examples.METRICS.model_copy(update={"seq": seq}))


def recording(kind: str, at_ms: int) -> Writes:
    return parsed(RECORDINGS, recording_event(kind, at_ms))


def recording_event(kind: str, at_ms: int) -> RecordingEvent:
    return examples.RECORDING.model_copy(update={"kind": kind, "at_ms": at_ms})


async def test_a_batch_is_one_upsert_per_collection(store: FlakyStore) -> None:
    metrics = Metrics()
    batch = [metrics_of(1), parsed(STATUS, examples.STATUS), metrics_of(2)]
    await StoreDestination(store, metrics).write(batch)
    assert store.upserts == 2
    assert await store.count("metrics") == 2
    assert await store.get("status", "s-7f3a:17") is not None
    written = metrics.registry.get_sample_value("rapt_documents_written_total", {"collection": "metrics"})
    assert written == 2


async def test_writing_again_changes_nothing(store: FlakyStore) -> None:
    destination = StoreDestination(store, Metrics())
    batch = [metrics_of(1), recording("started", 1), recording("completed", 2)]
    await destination.write(batch)
    before = [await store.find(collection) for collection in ("metrics", "recordings")]
    await destination.write(batch)
    await destination.write(batch[:2])
    assert [await store.find(collection) for collection in ("metrics", "recordings")] == before


async def test_what_an_owner_before_the_present_one_says_changes_nothing(store: FlakyStore) -> None:
    sink = StoreDestination(store, Metrics())
    present = examples.METRICS.model_copy(update={"blink_count": 7})
    await sink.write([parsed(METRICS, present, epoch="5")])
    await sink.write([parsed(METRICS, examples.METRICS, epoch="4")])
    found = await store.find("metrics")
    assert [(document["blink_count"], document["epoch"]) for document in found] == [(7, 5)]
    await sink.write([parsed(METRICS, examples.METRICS, epoch="10")])  # above 5, though "10" is below "5"
    found = await store.find("metrics")
    assert [document["epoch"] for document in found] == [10]


@pytest.mark.parametrize("epoch", ["-1", "1.5", "x", "", "²", "1" * 19])
async def test_an_epoch_that_is_no_number_is_malformed(epoch: str) -> None:
    with pytest.raises(Malformed, match="epoch"):
        parsed(METRICS, examples.METRICS, epoch=epoch)


async def test_active_predictions_are_gone_after_an_hour(store: FlakyStore) -> None:
    logged_at_ms = 1_760_000_005_000
    record = Record(PREDICTIONS.name, 0, 0, "s-7f3a", examples.PREDICTION.encode(), {}, logged_at_ms)
    destination = StoreDestination(store, Metrics())
    await destination.write([destination.parse(record)] * 2)
    kept = ("features", "change_scores", "predictions")
    for later_ms, active in ((3_599_999, 1), (3_600_000, 0)):
        await store.expire(logged_at_ms + later_ms)
        assert await store.count("active_predictions") == active
        assert [await store.count(collection) for collection in kept] == [1, 1, 1]


async def test_an_absent_store_is_a_destination_down(store: FlakyStore) -> None:
    destination = StoreDestination(store, Metrics())
    store.failures = 1
    with pytest.raises(DestinationDown, match="disk full"):
        await destination.write([metrics_of(1)])
    await destination.write([metrics_of(1), recording("started", 1)])
    store.failures = 1
    with pytest.raises(DestinationDown, match="disk full"):
        await destination.write([recording("completed", 2)])
    await destination.write([recording("completed", 2)])
    document = await store.get("recordings", "r-91c2")
    assert document is not None
    assert document["status"] == "completed"


@pytest.mark.parametrize("before", [[], [recording_event("started", 1)]], ids=["new", "known"])
async def test_another_writer_in_between_is_not_overwritten(store: FlakyStore, before: list[RecordingEvent]) -> None:
    destination = StoreDestination(store, Metrics())
    await destination.write([parsed(RECORDINGS, event) for event in before])
    store.meanwhile = recording_event("deleted", 5)
    await destination.write([recording("segment", 4)])
    document = await store.get("recordings", "r-91c2")
    assert document is not None
    assert document["status"] == "deleted"


async def test_writers_at_the_same_time_agree_on_the_last_event(store: FlakyStore) -> None:
    events = [recording("segment", at_ms) for at_ms in range(20)] + [recording("completed", 20)]
    await asyncio.gather(*(StoreDestination(store, Metrics()).write([event]) for event in reversed(events)))
    document = await store.get("recordings", "r-91c2")
    assert document is not None
    assert (document["status"], document["at_ms"]) == ("completed", 20)
