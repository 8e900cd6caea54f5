"""What `Store.upsert_many` means in MongoDB: insert what is new, then replace what was there unless it is newer."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import InsertOne, ReplaceOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from services.runtime.store.documents import checked_id
from services.runtime.store.mongo_errors import DUPLICATE_KEY, duplicated, plain_errors
from services.runtime.store.port import Document

_BELOW_ALL = float("-inf")


def last_of_each(documents: Sequence[Document], newest_by: str | None) -> list[Document]:
    """One document per `_id`, since those of a bulk are written in any order. Raises `ValueError`."""
    chosen: dict[str, Document] = {}
    for document in documents:
        key = checked_id(document)
        if newest_by is None or key not in chosen or number(chosen[key], newest_by) <= number(document, newest_by):
            chosen[key] = document
    return list(chosen.values())


def number(document: Document, field: str) -> float:
    """The number that says how new a document is; a missing one is below all others."""
    value = document.get(field)
    return _BELOW_ALL if value is None else value


async def upsert(target: AsyncCollection[dict[str, Any]], documents: Sequence[Document], newest_by: str | None) -> None:
    """Write documents of `last_of_each` in two unordered bulks at most. Raises `Conflict`, `StoreUnavailable`.

    An insert costs the server half of an upsert, and most documents are new. Where a replace then matches nothing, a
    newer document is there, or this one was deleted meanwhile: as if it had been written just before that.
    """
    with plain_errors():
        try:
            await target.bulk_write([InsertOne(document) for document in documents], ordered=False)
            return
        except BulkWriteError as error:
            there = [documents[at] for at in _taken_ids(error)]
        await target.bulk_write([_replace(document, newest_by) for document in there], ordered=False)


def _replace(document: Document, newest_by: str | None) -> ReplaceOne[Document]:
    matching: dict[str, Any] = {"_id": document["_id"]}
    if newest_by is not None:
        matching[newest_by] = {"$not": {"$gt": number(document, newest_by)}}  # missing matches, unlike with $lte
    return ReplaceOne(matching, document)


def _taken_ids(error: BulkWriteError) -> list[int]:
    """Positions of the inserts that a duplicate `_id` stopped. Raises the error when anything else went wrong."""
    details: Mapping[str, Any] = error.details or {}
    refused = details.get("writeErrors") or []
    other = any(each.get("code") != DUPLICATE_KEY or duplicated(each) != "_id" for each in refused)
    if other or not refused or details.get("writeConcernErrors"):
        raise error
    return [each["index"] for each in refused]
