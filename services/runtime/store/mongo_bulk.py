"""Documents as one unordered bulk of conditional replaces: what `Store.upsert_many` means in MongoDB."""

from collections.abc import Sequence
from typing import Any

from pymongo import ReplaceOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from services.runtime.store.documents import checked_id
from services.runtime.store.mongo_errors import DUPLICATE_KEY, index_of, plain_errors
from services.runtime.store.port import Document, StoreUnavailable

Replace = ReplaceOne[Document]
_BELOW_ALL = float("-inf")


def replaces(documents: Sequence[Document], newest_by: str | None) -> list[Replace]:
    """One operation per `_id`, since those of a bulk may run in any order. Raises `ValueError`."""
    chosen: dict[str, tuple[float, Document]] = {}
    for document in documents:
        key = checked_id(document)
        number = _BELOW_ALL if newest_by is None or document.get(newest_by) is None else document[newest_by]
        if key not in chosen or chosen[key][0] <= number:
            chosen[key] = number, document
    if newest_by is None:
        return [ReplaceOne({"_id": key}, document, upsert=True) for key, (_, document) in chosen.items()]
    # Where a newer document is, the filter matches nothing and MongoDB tries to insert: a duplicate `_id`.
    return [
        ReplaceOne({"_id": key, newest_by: {"$not": {"$gt": number}}}, document, upsert=True)
        for key, (number, document) in chosen.items()
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
