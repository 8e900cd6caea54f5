"""Documents as one unordered bulk of conditional replaces: what `Store.upsert_many` means in MongoDB."""

from collections.abc import Sequence
from typing import Any

import bson
from bson.errors import InvalidDocument
from bson.raw_bson import RawBSONDocument
from pymongo import ReplaceOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from services.runtime.store.documents import key_and_json
from services.runtime.store.mongo_errors import DUPLICATE_KEY, index_of, plain_errors
from services.runtime.store.port import Document, StoreUnavailable

Replace = ReplaceOne[RawBSONDocument]
_BELOW_ALL = float("-inf")


def encoded(document: Document) -> tuple[str, RawBSONDocument]:
    """A document's `_id` and its BSON. Raises `ValueError` for what another adapter could not hold either."""
    key, _ = key_and_json(document)
    try:
        return key, RawBSONDocument(bson.encode(document))
    except (InvalidDocument, OverflowError, ValueError) as error:
        raise ValueError(f"document {key!r} cannot be stored: {error}") from None


def replaces(documents: Sequence[Document], newest_by: str | None) -> list[Replace]:
    """One operation per `_id`, since those of a bulk may run in any order. Raises `ValueError`."""
    chosen: dict[str, tuple[float, RawBSONDocument]] = {}
    for document in documents:
        key, row = encoded(document)
        number = _BELOW_ALL if newest_by is None or document.get(newest_by) is None else document[newest_by]
        if key not in chosen or chosen[key][0] <= number:
            chosen[key] = number, row
    if newest_by is None:
        return [ReplaceOne({"_id": key}, row, upsert=True) for key, (_, row) in chosen.items()]
    # Where a newer document is, the filter matches nothing and MongoDB tries to insert: a duplicate `_id`.
    return [
        ReplaceOne({"_id": key, newest_by: {"$not": {"$gt": number}}}, row, upsert=True)
        for key, (number, row) in chosen.items()
    ]


async def write(target: AsyncCollection[dict[str, Any]], operations: Sequence[Replace], *, newest: bool) -> None:
    """Run operations of `replaces`; `newest`: they were made with `newest_by`. Raises `Conflict`, `StoreUnavailable`.

    A duplicate `_id` may come of a race, two inserting at once: tried again, the loser replaces. With `newest`, one
    that comes back has met a newer document, which stays.
    """
    for _ in range(2):
        with plain_errors():
            try:
                await target.bulk_write(operations, ordered=False)
            except BulkWriteError as error:
                refused = _taken_ids(error)
                if refused is None:
                    raise
                operations = [operations[at] for at in refused]
            else:
                return
    if not newest:
        raise StoreUnavailable("MongoDB: other writers were in the way; try again")


def _taken_ids(error: BulkWriteError) -> list[int] | None:
    """Positions of the operations that a duplicate `_id` stopped; None when anything else went wrong as well."""
    details = error.details or {}
    refused = details.get("writeErrors") or []
    if details.get("writeConcernErrors") or not refused:
        return None
    if any(each.get("code") != DUPLICATE_KEY or index_of(each) != "_id_" for each in refused):
        return None
    return [each["index"] for each in refused]
