"""MongoDB paused and killed: every call says so in time, and all goes on when it is back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from services.runtime.metrics import Metrics
from services.runtime.store import Store, StoreUnavailable
from services.runtime.store.collections import ACTIVE_PREDICTIONS, COLLECTIONS
from services.runtime.store.mongo import MongoStartFailed, MongoStore
from services.runtime.store.mongo_pool import PoolGauges
from tests.support.mongo import MongoServer, in_containers, mongo_server, new_database

SHORT = "timeoutMS=2000&connectTimeoutMS=2000"


@pytest.fixture(scope="module")
def server() -> Iterator[MongoServer]:
    """One that may be killed: nobody else's data is in it."""
    with mongo_server() as server:
        yield server


@asynccontextmanager
async def opened(store: MongoStore) -> AsyncIterator[MongoStore]:
    await store.start()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def paused(server: MongoServer) -> AsyncIterator[None]:
    server.pause()
    try:
        yield
    finally:
        server.resume()


CALLS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "insert": lambda store: store.insert("users", {"_id": "1"}),
    "upsert": lambda store: store.upsert_many("users", [{"_id": "1"}]),
    "upsert newest": lambda store: store.upsert_many("metrics", [{"_id": "1"}], newest_by="epoch"),
    "update": lambda store: store.update("users", "1", {"a": 1}),
    "get": lambda store: store.get("users", "1"),
    "find": lambda store: store.find("users", sort=[("a", 1)]),
    "count": lambda store: store.count("users"),
    "delete": lambda store: store.delete("users", {}),
    "expire": lambda store: store.expire(0),
    "check": lambda store: store.check(),
}


async def test_every_call_says_that_a_silent_server_does_not_answer(server: MongoServer) -> None:
    async with opened(MongoStore(f"{server.uri}/?{SHORT}", new_database())) as store:
        async with paused(server):
            answers = await asyncio.gather(*(call(store) for call in CALLS.values()), return_exceptions=True)
        assert {type(answer) for answer in answers} == {StoreUnavailable}, dict(zip(CALLS, answers, strict=True))
        assert {"\n" in str(answer) or "Topology" in str(answer) for answer in answers} == {False}
        await until(store.check)
        await store.insert("users", {"_id": "2"})


async def test_every_call_says_that_a_killed_server_is_gone(server: MongoServer) -> None:
    async with opened(MongoStore(f"{server.uri}/?{SHORT}", new_database())) as store:
        server.kill()
        try:
            answers = await asyncio.gather(*(call(store) for call in CALLS.values()), return_exceptions=True)
            assert {type(answer) for answer in answers} == {StoreUnavailable}, dict(zip(CALLS, answers, strict=True))
        finally:
            server.start()
        await until(store.check)
        await store.upsert_many("metrics", [{"_id": "1", "epoch": 3}], newest_by="epoch")
        assert await store.get("metrics", "1") == {"_id": "1", "epoch": 3}


async def until(call: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(30):
        while True:
            with suppress(StoreUnavailable):
                await call()
                return


async def test_indexes_are_made_once_and_hold_what_is_asked_for(mongo: MongoServer) -> None:
    database = new_database()
    for _ in range(2):
        async with opened(MongoStore(mongo.uri, database)):
            pass
    async with AsyncMongoClient[dict[str, Any]](mongo.uri) as client:
        found = {
            collection.name: await client[database][collection.name].index_information() for collection in COLLECTIONS
        }
    unique = found["users"]["users__username__unique"]
    assert (unique["key"], unique["unique"], unique["sparse"]) == ([("username", 1)], True, True)
    if in_containers():  # the server in Java keeps no others
        by_time = found["metrics"]["metrics__session_id__captured_at_ms"]
        assert by_time["key"] == [("session_id", 1), ("captured_at_ms", 1), ("_id", 1)]
        assert f"{ACTIVE_PREDICTIONS.name}__predicted_at_ms" in found[ACTIVE_PREDICTIONS.name]


async def test_documents_that_break_a_unique_index_stop_the_start_with_one_line(mongo: MongoServer) -> None:
    database = new_database()
    async with AsyncMongoClient[dict[str, Any]](mongo.uri) as client:
        await client[database]["users"].insert_many([{"_id": "1", "username": "ada"}, {"_id": "2", "username": "ada"}])
    with pytest.raises(MongoStartFailed, match="documents that are there break a unique index") as caught:
        await MongoStore(mongo.uri, database).start()
    assert "ada" not in str(caught.value)


def connections(metrics: Metrics) -> dict[str, float | None]:
    value = metrics.registry.get_sample_value
    return {state: value("rapt_store_connections", {"state": state}) for state in ("open", "in_use", "waiting")}


async def test_connections_are_counted_even_where_callers_give_up(server: MongoServer) -> None:
    metrics = Metrics()
    uri = f"{server.uri}/?timeoutMS=60000&connectTimeoutMS=60000&maxPoolSize=2"
    async with opened(MongoStore(uri, new_database(), listeners=[PoolGauges(metrics)])) as store:
        assert connections(metrics) == {"open": 1, "in_use": 0, "waiting": 0}
        async with paused(server):
            calls = [asyncio.create_task(store.count("users")) for _ in range(5)]
            # The second connection cannot be opened while the server is silent.
            await until_equal(lambda: connections(metrics), {"open": 2, "in_use": 1, "waiting": 4})
            calls[4].cancel()
            await until_equal(lambda: connections(metrics), {"open": 2, "in_use": 1, "waiting": 3})
        assert await asyncio.gather(*calls[:4]) == [0] * 4
        await until_equal(lambda: connections(metrics), {"open": 2, "in_use": 0, "waiting": 0})
    assert connections(metrics) == {"open": 0, "in_use": 0, "waiting": 0}


async def until_equal(read: Callable[[], object], wanted: object) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(30):
            while read() != wanted:
                await asyncio.sleep(0.01)
    assert read() == wanted


real = pytest.mark.skipif(not in_containers(), reason="only MongoDB itself shows it: RAPT_TEST_BACKENDS=containers")


@real
async def test_a_wrong_password_is_one_line(mongo: MongoServer) -> None:
    store = MongoStore(mongo.uri.replace(":secret@", ":wrong@"), new_database())
    with pytest.raises(MongoStartFailed, match="the user or the password is wrong"):
        await store.start()


@real
async def test_writes_ask_for_a_majority(mongo: MongoServer) -> None:
    database = new_database()
    async with AsyncMongoClient[dict[str, Any]](mongo.uri) as client, opened(MongoStore(mongo.uri, database)) as store:
        await client[database].command("profile", 2)
        await store.upsert_many("metrics", [{"_id": "1"}], newest_by="epoch")
        await client[database].command("profile", 0)
        seen = await client[database]["system.profile"].find_one({"op": "insert", "ns": f"{database}.metrics"})
    assert seen is not None
    assert seen["command"]["writeConcern"]["w"] == "majority"


@real
async def test_a_session_is_read_off_its_index_in_order(mongo: MongoServer) -> None:
    database = new_database()
    async with AsyncMongoClient[dict[str, Any]](mongo.uri) as client, opened(MongoStore(mongo.uri, database)):
        cursor = client[database]["metrics"].find(
            {"session_id": {"$eq": "s"}}, sort=[("captured_at_ms", 1), ("_id", 1)]
        )
        plan = str((await cursor.explain())["queryPlanner"]["winningPlan"])
    assert "metrics__session_id__captured_at_ms" in plan
    assert "SORT" not in plan
