"""Reading any suffix of the sink's topics again changes nothing in the store, wherever the sink died."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings

from services.runtime.store.mongo import MongoStore
from services.runtime.store.sqlite import SqliteStore
from tests.support.mongo import MongoServer, new_database
from tests.support.redelivery import History, clear, contents, deliver, expected, histories


@settings(max_examples=60, deadline=None)
@given(history=histories())
def test_reading_again_from_anywhere_changes_nothing_in_sqlite(history: History) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare(SqliteStore(Path(folder) / "store.sqlite"), history))


@settings(max_examples=60, deadline=None)
@given(history=histories())
def test_reading_again_from_anywhere_changes_nothing_in_mongodb(mongo: MongoServer, history: History) -> None:
    asyncio.run(compare(MongoStore(mongo.uri, new_database()), history))


async def compare(store: SqliteStore | MongoStore, history: History) -> None:
    await store.start()
    try:
        await deliver(store, history.records, history.batches)
        once = await contents(store)
        recordings = once.pop("recordings")
        assert once == expected(history.records)
        await clear(store)
        await deliver(store, history.with_redelivery, history.batches)
        assert await contents(store) == {**once, "recordings": recordings}
    finally:
        await store.close()
