"""What every adapter of `Store` promises. A further adapter joins as one more parameter of `opened`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from services.runtime.store import Conflict, Document, Filter, Store, StoreUnavailable
from services.runtime.store.collections import COLLECTIONS, Collection, Index
from services.runtime.store.mongo import MongoStore
from services.runtime.store.sqlite import SqliteStore
from tests.support.mongo import MongoServer, new_database

PEOPLE = Collection("people", (Index(("username",), unique=True),))
FRAMES = Collection("frames", (Index(("session_id", "at_ms")),))
BRIEF = Collection("brief", lifetime_ms=1_000, expires_from="made_ms")

# Opens a store on the same data each time it is called.
Open = Callable[[], AbstractAsyncContextManager[Store]]


@contextlib.asynccontextmanager
async def running(store: SqliteStore | MongoStore) -> AsyncIterator[Store]:
    await store.start()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture(params=["sqlite", "mongo"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    collections = (PEOPLE, FRAMES, BRIEF)
    if request.param == "sqlite":
        return lambda: running(SqliteStore(tmp_path / "data" / "store.sqlite", collections))
    server: MongoServer = request.getfixturevalue("mongo")
    database = new_database()
    return lambda: running(MongoStore(server.uri, database, collections))


@pytest.fixture
async def store(opened: Open) -> AsyncIterator[Store]:
    async with opened() as store:
        yield store


def ids(documents: list[Document]) -> list[str]:
    return [document["_id"] for document in documents]


# --- one document ---


async def test_a_document_comes_back_as_it_went_in(store: Store) -> None:
    document = {
        "_id": "s-1:7",
        "text": "ünïcödé \U0001f642 'quoted' \"twice\" \\ \n",
        "whole": 2**53,
        "negative": -3,
        "fraction": 0.1,
        "whole fraction": 2.0,
        "yes": True,
        "no": False,
        "nothing": None,
        "numbers": [0.5, 1, -2],
        "nested": {"deep": {"list": [{"a": 1}]}},
        "empty": {},
    }
    await store.insert("frames", document)
    found = await store.get("frames", "s-1:7")
    assert found == document
    assert found is not None
    assert list(found) == list(document)
    assert [type(value) for value in found.values()] == [type(value) for value in document.values()]


async def test_what_is_not_there_is_none(store: Store) -> None:
    assert await store.get("frames", "nobody") is None
    assert await store.find("frames") == []
    assert await store.count("frames") == 0


async def test_insert_refuses_an_id_that_is_there(store: Store) -> None:
    await store.insert("frames", {"_id": "a", "n": 1})
    with pytest.raises(Conflict, match="_id"):
        await store.insert("frames", {"_id": "a", "n": 2})
    assert await store.get("frames", "a") == {"_id": "a", "n": 1}


async def test_insert_refuses_a_unique_value_that_is_there(store: Store) -> None:
    await store.insert("people", {"_id": "1", "username": "ada"})
    with pytest.raises(Conflict, match="username"):
        await store.insert("people", {"_id": "2", "username": "ada"})
    assert await store.count("people") == 1


async def test_documents_without_the_unique_field_do_not_collide(store: Store) -> None:
    await store.insert("people", {"_id": "1"})
    await store.insert("people", {"_id": "2"})
    assert await store.count("people") == 2


@pytest.mark.parametrize("document", [{}, {"_id": ""}, {"_id": 3}, {"_id": None}])
async def test_a_document_needs_a_text_as_id(store: Store, document: Document) -> None:
    with pytest.raises(ValueError, match="_id"):
        await store.insert("frames", document)


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], object(), b"bytes", 2**63, {1: 1}])
async def test_a_value_that_no_adapter_can_hold_is_refused_before_anything_is_written(store: Store, value: Any) -> None:
    with pytest.raises(ValueError, match="'bad'"):
        await store.upsert_many("frames", [{"_id": "good"}, {"_id": "bad", "value": value}])
    assert await store.count("frames") == 0


async def test_an_unknown_collection_is_named(store: Store) -> None:
    with pytest.raises(ValueError, match="no collection 'nowhere'"):
        await store.find("nowhere")


# --- many documents ---


async def test_upsert_adds_and_replaces_whole_documents(store: Store) -> None:
    await store.insert("frames", {"_id": "a", "old": 1, "kept": False})
    await store.upsert_many("frames", [{"_id": "a", "n": 1}, {"_id": "b", "n": 2}])
    assert await store.find("frames", sort=[("_id", 1)]) == [{"_id": "a", "n": 1}, {"_id": "b", "n": 2}]


async def test_upsert_of_the_same_documents_changes_nothing(store: Store) -> None:
    documents = [{"_id": f"s:{seq}", "seq": seq} for seq in range(10)]
    await store.upsert_many("frames", documents)
    await store.upsert_many("frames", documents[5:])
    assert await store.find("frames", sort=[("seq", 1)]) == documents


async def test_of_two_documents_with_one_id_the_last_stays(store: Store) -> None:
    await store.upsert_many("frames", [{"_id": "a", "n": 1}, {"_id": "b"}, {"_id": "a", "n": 2}])
    assert await store.get("frames", "a") == {"_id": "a", "n": 2}


async def test_upsert_keeps_what_is_newer(store: Store) -> None:
    def documents(*epochs: int | None) -> list[Document]:
        return [{"_id": f"s-{n}"} | ({} if epoch is None else {"epoch": epoch}) for n, epoch in enumerate(epochs)]

    await store.upsert_many("frames", documents(None, 2, 2, 2, None), newest_by="epoch")
    late = [{**document, "late": True} for document in documents(1, None, 1, 2, None, 1)]
    await store.upsert_many("frames", late, newest_by="epoch")
    taken = await store.find("frames", {"late": True}, sort=[("_id", 1)])
    assert ids(taken) == ["s-0", "s-3", "s-4", "s-5"]
    await store.upsert_many("frames", [{"_id": "s-9", "epoch": 2}, {"_id": "s-9", "epoch": 1}], newest_by="epoch")
    assert await store.get("frames", "s-9") == {"_id": "s-9", "epoch": 2}


async def test_of_writers_at_once_the_newest_stays(store: Store) -> None:
    def batch(epoch: int) -> list[Document]:
        return [{"_id": f"s:{seq}", "epoch": epoch} for seq in range(50)]

    epochs = [3, 1, 8, 2, 9, 4, 7, 5, 6]
    await asyncio.gather(*(store.upsert_many("frames", batch(epoch), newest_by="epoch") for epoch in epochs))
    assert await store.find("frames", sort=[("_id", 1)]) == sorted(batch(9), key=lambda document: str(document["_id"]))


async def test_upsert_of_nothing_is_fine(store: Store) -> None:
    await store.upsert_many("frames", [])


async def test_upsert_keeps_unique_values_unique(store: Store) -> None:
    await store.upsert_many("people", [{"_id": "1", "username": "ada"}])
    with pytest.raises(Conflict):
        await store.upsert_many("people", [{"_id": "2", "username": "ada"}])


async def test_big_batches(store: Store) -> None:
    documents = [{"_id": f"s:{seq}", "session_id": "s", "at_ms": seq, "text": "x" * 500} for seq in range(5_000)]
    await store.upsert_many("frames", documents)
    assert await store.count("frames", {"session_id": "s"}) == 5_000
    page = await store.find("frames", {"session_id": "s", "at_ms": {"$gte": 4_998}}, sort=[("at_ms", 1)])
    assert ids(page) == ["s:4998", "s:4999"]


async def test_a_long_list_of_values(store: Store) -> None:
    await store.upsert_many("frames", [{"_id": f"s:{seq}"} for seq in range(2_000)])
    listed = {"_id": {"$in": [f"s:{seq}" for seq in range(1_000, 4_000)]}}
    assert await store.count("frames", listed) == 1_000


# --- update ---


async def test_update_sets_fields_and_returns_the_document(store: Store) -> None:
    await store.insert("frames", {"_id": "a", "n": 1, "kept": {"x": 1}})
    assert await store.update("frames", "a", {"n": None, "more": [1]}) == {
        "_id": "a",
        "n": None,
        "kept": {"x": 1},
        "more": [1],
    }
    assert await store.get("frames", "a") == {"_id": "a", "n": None, "kept": {"x": 1}, "more": [1]}


async def test_update_makes_no_document(store: Store) -> None:
    assert await store.update("frames", "a", {"n": 1}) is None
    assert await store.count("frames") == 0


async def test_update_only_where_the_filter_holds(store: Store) -> None:
    await store.insert("frames", {"_id": "a", "state": "live"})
    assert await store.update("frames", "a", {"state": "ended"}, {"state": "created"}) is None
    assert await store.update("frames", "a", {"state": "ended"}, {"state": {"$in": ["created", "live"]}}) is not None
    assert await store.update("frames", "a", {"state": "live"}, {"state": "live"}) is None
    assert await store.get("frames", "a") == {"_id": "a", "state": "ended"}


async def test_update_keeps_unique_values_unique(store: Store) -> None:
    await store.upsert_many("people", [{"_id": "1", "username": "ada"}, {"_id": "2", "username": "bob"}])
    with pytest.raises(Conflict):
        await store.update("people", "2", {"username": "ada"})
    assert await store.get("people", "2") == {"_id": "2", "username": "bob"}


@pytest.mark.parametrize("field", ["_id", "a.b", "$set"])
async def test_update_sets_top_level_fields_only(store: Store, field: str) -> None:
    with pytest.raises(ValueError, match="top-level"):
        await store.update("frames", "a", {field: 1})


async def test_compare_and_set_has_one_winner(store: Store) -> None:
    await store.insert("frames", {"_id": "a", "owner": None})
    results = await asyncio.gather(
        *(store.update("frames", "a", {"owner": f"task-{n}"}, {"owner": None}) for n in range(20))
    )
    winners = [result for result in results if result is not None]
    assert len(winners) == 1
    assert await store.get("frames", "a") == winners[0]


# --- filters ---

ANIMALS: list[Document] = [
    {"_id": "ant", "legs": 6, "size": {"cm": 0.5}, "wild": True, "name": "ant"},
    {"_id": "bee", "legs": 6, "size": {"cm": 1}, "wild": False, "name": "bee"},
    {"_id": "cat", "legs": 4, "size": {"cm": 40}, "wild": False, "name": None},
    {"_id": "eel", "legs": 0, "size": {"cm": 90.0}, "wild": True},
    {"_id": "fly", "legs": "6", "size": {}, "wild": 1, "name": "fly"},
    {"_id": "gnu", "legs": None, "size": {"cm": None}, "wild": 0, "name": "gnu"},
]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, "ant bee cat eel fly gnu"),
        ({"legs": 6}, "ant bee"),
        ({"legs": 6.0}, "ant bee"),
        ({"legs": "6"}, "fly"),
        ({"legs": None}, "gnu"),
        ({"legs": 0}, "eel"),
        ({"wild": True}, "ant eel"),
        ({"wild": False}, "bee cat"),
        ({"wild": 1}, "fly"),
        ({"wild": 0}, "gnu"),
        ({"name": None}, "cat eel"),  # null and missing alike
        ({"name": {"$ne": None}}, "ant bee fly gnu"),
        ({"legs": {"$ne": 6}}, "cat eel fly gnu"),
        ({"missing": {"$ne": 6}}, "ant bee cat eel fly gnu"),
        ({"missing": None}, "ant bee cat eel fly gnu"),
        ({"wild": {"$ne": True}}, "bee cat fly gnu"),
        ({"legs": {"$gt": 4}}, "ant bee"),
        ({"legs": {"$gte": 4}}, "ant bee cat"),
        ({"legs": {"$lt": 4}}, "eel"),
        ({"legs": {"$lte": 4}}, "cat eel"),
        ({"legs": {"$gt": 0, "$lt": 6}}, "cat"),
        ({"legs": {"$gte": "5"}}, "fly"),
        ({"legs": {"$lt": "7"}}, "fly"),
        ({"wild": {"$gte": 0}}, "fly gnu"),
        ({"name": {"$gt": "ant", "$lte": "fly"}}, "bee fly"),
        ({"legs": {"$in": [4, "6"]}}, "cat fly"),
        ({"legs": {"$in": []}}, ""),
        ({"legs": {"$in": [None, 0]}}, "eel gnu"),
        ({"wild": {"$in": [True, 0]}}, "ant eel gnu"),
        ({"size.cm": 1}, "bee"),
        ({"size.cm": {"$gte": 1}}, "bee cat eel"),
        ({"size.cm": None}, "fly gnu"),
        ({"size.cm.more": None}, "ant bee cat eel fly gnu"),
        ({"_id": "cat"}, "cat"),
        ({"_id": {"$in": ["cat", "dog"]}}, "cat"),
        ({"_id": {"$ne": "cat"}}, "ant bee eel fly gnu"),
        ({"_id": {"$gte": "eel"}}, "eel fly gnu"),
        ({"_id": None}, ""),
        ({"legs": 6, "wild": True}, "ant"),
        ({"legs": {"$ne": 6, "$in": [4, 6]}}, "cat"),
        ({"name": "' OR 1=1 --"}, ""),
    ],
)
async def test_filters(store: Store, where: Filter, expected: str) -> None:
    await store.upsert_many("frames", ANIMALS)
    assert " ".join(sorted(ids(await store.find("frames", where)))) == expected
    assert await store.count("frames", where) == len(expected.split())
    assert await store.delete("frames", where) == len(expected.split())
    assert await store.count("frames") == len(ANIMALS) - len(expected.split())


@pytest.mark.parametrize(
    "where",
    [
        {"legs": {"$near": 1}},
        {"legs": {}},
        {"legs": [1, 2]},
        {"legs": {"$in": "abc"}},
        {"legs": {"$in": [[1]]}},
        {"legs": {"$gt": None}},
        {"legs": {"$gt": True}},
        {"legs": float("nan")},
        {"legs": 2**63},
        {"": 1},
        {"a..b": 1},
        {'a"b': 1},
    ],
)
async def test_a_filter_that_means_nothing_is_refused(store: Store, where: Filter) -> None:
    with pytest.raises(ValueError, match=r"."):
        await store.find("frames", where)
    with pytest.raises(ValueError, match=r"."):
        await store.delete("frames", where)


# --- order and pages ---


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ([("_id", -1)], "gnu fly eel cat bee ant"),
        ([("size.cm", 1)], "fly gnu ant bee cat eel"),  # null and missing first
        ([("size.cm", -1)], "eel cat bee ant fly gnu"),
        ([("name", 1), ("_id", -1)], "eel cat ant bee fly gnu"),
    ],
)
async def test_sort(store: Store, sort: list[tuple[str, int]], expected: str) -> None:
    await store.upsert_many("frames", ANIMALS)
    assert " ".join(ids(await store.find("frames", sort=sort))) == expected


async def test_a_wrong_direction_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="direction"):
        await store.find("frames", sort=[("n", 0)])


async def test_pages_cover_everything_once_even_among_equals(store: Store) -> None:
    await store.upsert_many("frames", [{"_id": f"{n:03}", "same": 1} for n in range(50)])
    pages = [await store.find("frames", sort=[("same", -1)], limit=7, skip=skip) for skip in range(0, 56, 7)]
    assert [len(page) for page in pages] == [7] * 7 + [1]
    assert len({document["_id"] for page in pages for document in page}) == 50


async def test_limit_and_skip(store: Store) -> None:
    await store.upsert_many("frames", [{"_id": str(n)} for n in range(5)])
    by_id = [("_id", 1)]
    assert ids(await store.find("frames", sort=by_id, limit=2)) == ["0", "1"]
    assert ids(await store.find("frames", sort=by_id, skip=3)) == ["3", "4"]
    assert ids(await store.find("frames", sort=by_id, limit=0)) == ["0", "1", "2", "3", "4"]
    assert await store.find("frames", sort=by_id, skip=9) == []
    with pytest.raises(ValueError, match="limit"):
        await store.find("frames", limit=-1)


# --- delete and expiry ---


async def test_delete_by_an_empty_filter_empties_one_collection(store: Store) -> None:
    await store.upsert_many("frames", ANIMALS)
    await store.insert("people", {"_id": "1"})
    assert await store.delete("frames", {}) == len(ANIMALS)
    assert await store.count("people") == 1


async def test_documents_expire_after_their_lifetime(store: Store) -> None:
    await store.upsert_many(
        "brief",
        [
            {"_id": "old", "made_ms": 8_999},
            {"_id": "due", "made_ms": 9_000},
            {"_id": "young", "made_ms": 9_001},
            {"_id": "unstamped"},
            {"_id": "text", "made_ms": "9000"},
        ],
    )
    await store.insert("frames", {"_id": "forever", "made_ms": 0})
    assert await store.expire(10_000) == 2
    assert ids(await store.find("brief", sort=[("_id", 1)])) == ["text", "unstamped", "young"]
    assert await store.expire(10_000) == 0
    assert await store.count("frames") == 1


# --- life ---


async def test_everything_is_there_after_opening_again(opened: Open) -> None:
    async with opened() as store:
        await store.upsert_many("frames", ANIMALS)
        await store.insert("people", {"_id": "1", "username": "ada"})
    async with opened() as store:
        assert await store.find("frames", sort=[("_id", 1)]) == ANIMALS
        with pytest.raises(Conflict):
            await store.insert("people", {"_id": "2", "username": "ada"})


async def test_two_stores_share_the_data(opened: Open) -> None:
    async with opened() as one, opened() as other:
        await asyncio.gather(
            *(
                store.upsert_many("frames", [{"_id": f"{name}:{n}"}])
                for n in range(50)
                for name, store in (("1", one), ("2", other))
            )
        )
        assert await one.count("frames") == await other.count("frames") == 100


async def test_many_tasks_at_once(store: Store) -> None:
    async def work(task: int) -> None:
        for n in range(10):
            await store.upsert_many("frames", [{"_id": f"{task}:{n}", "session_id": f"s-{task}", "at_ms": n}])
            assert await store.get("frames", f"{task}:{n}") is not None  # what is confirmed is seen
            assert await store.count("frames", {"session_id": f"s-{task}"}) == n + 1

    await asyncio.gather(*(work(task) for task in range(20)))
    assert await store.count("frames") == 200


async def test_a_cancelled_call_leaves_the_store_usable(store: Store) -> None:
    calls = [asyncio.create_task(store.upsert_many("frames", [{"_id": str(n)}])) for n in range(20)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [result for result in results[1::2] if result is not None] == []
    assert await store.count("frames", {"_id": {"$in": [str(n) for n in range(1, 20, 2)]}}) == 10
    await store.check()


async def test_a_closed_store_says_so(opened: Open) -> None:
    async with opened() as store:
        await store.check()
    with pytest.raises(StoreUnavailable):
        await store.get("frames", "a")
    with pytest.raises(StoreUnavailable):
        await store.check()
    await store.close()


def test_collections_are_named_once() -> None:
    assert len({collection.name for collection in COLLECTIONS}) == len(COLLECTIONS)
