"""`MongoStore`: the store in a MongoDB, for services on any number of machines.

Writes are confirmed by a majority of the members (`w: majority`) unless the URI says otherwise. Nothing here needs
transactions, change streams, collation, partial indexes or TTL: what several writers do to one document is one
conditional write, and what expires is deleted by whoever calls `expire`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pymongo
from pymongo import IndexModel, ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import InvalidName, PyMongoError
from pymongo.monitoring import ConnectionPoolListener

from services.runtime.lifecycle import StartFailed
from services.runtime.settings import WrongSetting
from services.runtime.store import collections
from services.runtime.store.collections import Collection
from services.runtime.store.documents import check_settable, checked_id
from services.runtime.store.filters import conditions, order
from services.runtime.store.mongo_bulk import last_of_each, upsert
from services.runtime.store.mongo_client import new_client, without_password
from services.runtime.store.mongo_errors import plain_errors, reason
from services.runtime.store.port import Document, Filter, StoreUnavailable

# Documents of one bulk: it has to fit into the time limit of a call.
BULK_DOCUMENTS = 1_000
CHECK_WITHIN_S = 1.5  # readiness wants its answer within two
# An index over many documents takes its time; only a start waits for it.
INDEXES_WITHIN_S = 600.0
_PROBE = "_rapt_probe"


class MongoStartFailed(StoreUnavailable, StartFailed):
    """MongoDB cannot be used; one line says what is wrong and what to do."""


class MongoStore:
    """See `Store` for what each call promises. `collections` are those there are; others are refused."""

    name = "store"

    def __init__(
        self,
        uri: str,
        db_name: str,
        collections: Sequence[Collection] = collections.COLLECTIONS,
        listeners: Sequence[ConnectionPoolListener] = (),
    ) -> None:
        """Connects to nothing yet. Raises `WrongSetting`."""
        self._uri = uri
        self._client = new_client(uri, listeners)
        try:
            self._db = self._client[db_name]
        except InvalidName as error:
            raise WrongSetting(f"DB_NAME={db_name!r}: {error}") from None
        self._collections = {collection.name: collection for collection in collections}
        self._is_open = False

    async def start(self) -> None:
        """Raises `MongoStartFailed`."""
        try:
            await self._client.admin.command("ping")
            with pymongo.timeout(INDEXES_WITHIN_S):
                for collection in self._collections.values():
                    if indexes := _indexes(collection):
                        await self._db[collection.name].create_indexes(indexes)
        except PyMongoError as error:
            await self._client.close()
            raise MongoStartFailed(
                f"cannot use {without_password(self._uri)}: {reason(error)}; start it, or mend MONGO_URI"
            ) from None
        self._is_open = True

    async def close(self) -> None:
        """May be called twice."""
        self._is_open = False
        await self._client.close()

    async def stop(self) -> None:
        await self.close()

    async def check(self) -> None:
        """Writes a document of its own: a MongoDB without a primary, a majority or room still reads."""
        self._opened()
        with plain_errors(), pymongo.timeout(CHECK_WITHIN_S):
            await self._db[_PROBE].update_one({"_id": "probe"}, {"$inc": {"writes": 1}}, upsert=True)

    async def insert(self, collection: str, document: Document) -> None:
        target = self._collection(collection)
        checked_id(document)
        with plain_errors():
            await target.insert_one(document)

    async def upsert_many(
        self, collection: str, documents: Sequence[Document], *, newest_by: str | None = None
    ) -> None:
        target, chosen = self._collection(collection), last_of_each(documents, newest_by)
        for begin in range(0, len(chosen), BULK_DOCUMENTS):
            await upsert(target, chosen[begin : begin + BULK_DOCUMENTS], newest_by)

    async def update(
        self, collection: str, key: str, changes: Mapping[str, Any], where: Filter | None = None
    ) -> Document | None:
        target, condition = self._collection(collection), _query(where)
        check_settable(changes)
        checked_id({**changes, "_id": key})
        matching = {"_id": key, "$and": [condition]} if condition else {"_id": key}
        with plain_errors():
            if not changes:
                return await target.find_one(matching)
            return await target.find_one_and_update(
                matching, {"$set": dict(changes)}, return_document=ReturnDocument.AFTER
            )

    async def get(self, collection: str, key: str) -> Document | None:
        found = await self.find(collection, {"_id": key})
        return found[0] if found else None

    async def find(
        self,
        collection: str,
        where: Filter | None = None,
        *,
        sort: Sequence[tuple[str, int]] = (),
        limit: int = 0,
        skip: int = 0,
    ) -> list[Document]:
        if limit < 0 or skip < 0:
            raise ValueError(f"limit is {limit}, skip is {skip}; wanted 0 or more")
        target, query, terms = self._collection(collection), _query(where), order(sort)
        with plain_errors():
            found = target.find(query, sort=terms or None, limit=limit, skip=skip, allow_disk_use=bool(terms) or None)
            return await found.to_list()

    async def count(self, collection: str, where: Filter | None = None) -> int:
        target, query = self._collection(collection), _query(where)
        with plain_errors():
            return await target.count_documents(query)

    async def delete(self, collection: str, where: Filter) -> int:
        target, query = self._collection(collection), _query(where)
        with plain_errors():
            return (await target.delete_many(query)).deleted_count

    async def expire(self, now_ms: int) -> int:
        """By deletes: MongoDB's own expiry wants dates, and the port's times are numbers."""
        deleted = 0
        for each in self._collections.values():
            if each.lifetime_ms is not None and each.expires_from is not None:
                deleted += await self.delete(each.name, {each.expires_from: {"$lte": now_ms - each.lifetime_ms}})
        return deleted

    def _collection(self, name: str) -> AsyncCollection[dict[str, Any]]:
        if name not in self._collections:
            raise ValueError(f"no collection {name!r}; there are {', '.join(self._collections)}")
        self._opened()
        return self._db[name]

    def _opened(self) -> None:
        if not self._is_open:
            raise StoreUnavailable("the store is not open")


def _query(where: Filter | None) -> dict[str, Any]:
    query: dict[str, dict[str, Any]] = {}
    for field, operator, value in conditions(where):
        query.setdefault(field, {})[operator] = value
    return query


def _indexes(collection: Collection) -> list[IndexModel]:
    # `_id` comes last, so that an ascending sort with its tie-break is read off the index. A unique one is sparse:
    # documents without the field do not collide.
    models = [
        IndexModel(
            list(index.fields), name="__".join((collection.name, *index.fields, "unique")), unique=True, sparse=True
        )
        if index.unique
        else IndexModel([*index.fields, "_id"], name="__".join((collection.name, *index.fields)))
        for index in collection.indexes
    ]
    if collection.expires_from is not None:
        models.append(IndexModel([collection.expires_from], name=f"{collection.name}__{collection.expires_from}"))
    return models
