"""The whole sink over a real log and a real store."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from schemas import examples, topics
from schemas.base import Contract
from services.runtime.lifecycle import Part
from services.runtime.log import Record
from services.runtime.log.local import LocalLog
from services.runtime.metrics import Metrics
from services.runtime.settings import load_settings
from services.runtime.store import StoreUnavailable
from services.runtime.store.sqlite import SqliteStore
from services.sink import handlers
from services.sink.app import build_app


class Breakable(SqliteStore):
    """Refuses bulk writes while `broken`."""

    broken = False

    async def upsert_many(self, collection: str, documents: object, *, newest_by: str | None = None) -> None:
        if self.broken:
            raise StoreUnavailable("disk full")
        await super().upsert_many(collection, documents, newest_by=newest_by)  # type: ignore[arg-type]


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LocalLog]:
    log = LocalLog(tmp_path / "log.sqlite")
    await log.start()
    yield log
    await log.close()


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Breakable]:
    monkeypatch.setattr(handlers, "LONGEST_WAIT_S", 0.005)
    store = Breakable(tmp_path / "store.sqlite")
    await store.start()
    yield store
    await store.close()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.01)


async def publish(log: LocalLog, topic: topics.Topic, *events: Contract | bytes) -> None:
    for event in events:
        await (await log.send(topic, "s-7f3a", event if isinstance(event, bytes) else event.encode()))


def metrics_of(*seqs: int) -> list[Contract]:
    return [examples.METRICS.model_copy(update={"seq": seq}) for seq in seqs]


def sink(log: LocalLog, store: Breakable, metrics: Metrics | None = None) -> Part:
    return build_app(load_settings(), log, store, metrics or Metrics())


async def test_every_topic_arrives(log: LocalLog, store: Breakable) -> None:
    part = sink(log, store)
    await part.start()
    await part.check()
    sources = (topics.METRICS, topics.STATUS, topics.PREDICTIONS, topics.RECORDINGS, topics.SIGNALS)
    for topic in sources:
        await publish(log, topic, topic.example)

    async def all_arrived() -> bool:
        return all([await arrived(store, topic.name, 1) for topic in sources])

    await until(all_arrived)
    await part.stop()


async def arrived(store: Breakable, collection: str, documents: int) -> bool:
    return await store.count(collection) == documents


async def test_a_malformed_record_becomes_a_dead_letter(log: LocalLog, store: Breakable) -> None:
    letters: list[Record] = []

    class Reader:
        async def assigned(self, partitions: object, epoch: int) -> None: ...

        async def handle(self, records: object) -> None:
            letters.extend(records)  # type: ignore[arg-type]

        async def revoked(self, partitions: object) -> None: ...

    reader = log.consumer([topics.DEAD_LETTERS], Reader(), group=None)
    await reader.start()
    part = sink(log, store)
    await part.start()
    await publish(log, topics.METRICS, *metrics_of(1), b"{}", *metrics_of(2))
    await until(lambda: arrived(store, "metrics", 2))

    async def lettered() -> bool:
        return len(letters) == 1

    await until(lettered)
    await part.stop()
    await reader.stop()
    assert letters[0].value == b"{}"
    assert letters[0].headers["origin_topic"] == "metrics"


async def test_an_outage_and_a_restart_lose_nothing(log: LocalLog, store: Breakable) -> None:
    first = sink(log, store)
    await first.start()
    await publish(log, topics.METRICS, *metrics_of(1))
    await until(lambda: arrived(store, "metrics", 1))
    store.broken = True
    await publish(log, topics.METRICS, *metrics_of(2, 3))

    async def troubled() -> bool:
        try:
            await first.check()
        except RuntimeError as error:
            assert str(error) == "sink-store: disk full"  # noqa: PT017
            return True
        return False

    await until(troubled)
    await first.stop()
    store.broken = False
    assert await store.count("metrics") == 1

    second = sink(log, store)
    await second.start()
    await until(lambda: arrived(store, "metrics", 3))
    await second.check()
    await second.stop()


async def test_lag_is_measured(log: LocalLog, store: Breakable) -> None:
    metrics = Metrics()
    await publish(log, topics.METRICS, *metrics_of(1, 2, 3))
    part = sink(log, store, metrics)
    await part.start()

    async def measured() -> bool:
        labels = {"group": "sink-store", "topic": "metrics"}
        return metrics.registry.get_sample_value("rapt_consumer_lag_records", labels) is not None

    await until(measured)
    await part.stop()


async def test_a_sink_that_was_not_started_is_not_ready(log: LocalLog, store: Breakable) -> None:
    with pytest.raises(RuntimeError, match="not started"):
        await sink(log, store).check()
