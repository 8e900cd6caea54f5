"""`Store`: documents with an `_id` in named collections. A small part of what MongoDB does, so that either can serve.

A filter names fields (dotted for nested ones) and what they must be: a value (equal), or operators
`{"$gte": …, "$gt": …, "$lte": …, "$lt": …, "$ne": …, "$in": […]}`. All its fields must hold. Values are scalars; a
field that is missing is null; values of different kinds (number, text, boolean, null) are never equal nor ordered.
Fields that filters and sorts name hold scalars: what they say of lists and objects is each adapter's own.

A document is what JSON can hold, with finite numbers, whole ones of 64 bits, and a text as `_id`, which comes first;
names of fields have no dot and do not begin with `$`. It comes back as it went in. What cannot be stored, an unknown
collection and a filter that means nothing raise `ValueError`: those are mistakes in the code.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Document = dict[str, Any]
Filter = Mapping[str, Any]


class Conflict(Exception):
    """A document with this `_id` or this unique value is there already."""


class StoreUnavailable(Exception):
    """The store cannot be reached or cannot write. What was asked for may be tried again."""


class Store(Protocol):
    """Every call raises `StoreUnavailable` while the store cannot be reached or written."""

    async def start(self) -> None:
        """Open the store; make the collections and indexes of `collections.py`. Raises `StoreUnavailable`."""

    async def close(self) -> None: ...

    async def insert(self, collection: str, document: Document) -> None:
        """Add one document; raises `Conflict`."""

    async def upsert_many(
        self, collection: str, documents: Sequence[Document], *, newest_by: str | None = None
    ) -> None:
        """Put documents by their `_id`, replacing what is there; of two with one `_id` the last stays.

        `newest_by` names a top-level field that holds an integer: then a document whose number is below that of the
        one that is there changes nothing. A missing number is below all others.

        Raises `Conflict`. One transaction on SQLite. On MongoDB what fails may have written a part: ask again."""

    async def update(
        self, collection: str, key: str, changes: Mapping[str, Any], where: Filter | None = None
    ) -> Document | None:
        """Set top-level fields of one document, if it also matches `where`.

        One step: of several callers that name the same old value, one wins. Returns the document as it is now; None
        when nothing matched. Fields that are new come last, in any order. Raises `Conflict`."""

    async def get(self, collection: str, key: str) -> Document | None: ...

    async def find(
        self,
        collection: str,
        where: Filter | None = None,
        *,
        sort: Sequence[tuple[str, int]] = (),
        limit: int = 0,
        skip: int = 0,
    ) -> list[Document]:
        """Documents that match; sorted by (field, 1 or −1), null first, equals by `_id`; `limit` 0 means all."""

    async def count(self, collection: str, where: Filter | None = None) -> int: ...

    async def delete(self, collection: str, where: Filter) -> int:
        """Delete what matches; returns how many."""

    async def expire(self, now_ms: int) -> int:
        """Delete documents past their collection's lifetime; returns how many."""

    async def check(self) -> None:
        """Raises `StoreUnavailable` when the store does not answer; for readiness."""
