"""`SqliteStore`: the store in one SQLite file. Any number of processes on one machine may share it.

One table per collection, a document per row as JSON, expression indexes over its fields. One thread writes, each call
one transaction; a few read beside it (WAL). A write that has returned outlives the process, killed or not; a power
cut may take the last moments (`synchronous=NORMAL`), never the file.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from services.runtime.store import collections
from services.runtime.store.collections import Collection
from services.runtime.store.documents import check_settable, checked_id
from services.runtime.store.port import Conflict, Document, Filter, StoreUnavailable
from services.runtime.store.sqlite_errors import plain_words
from services.runtime.store.sqlite_file import make_file, make_tables, open_connection
from services.runtime.store.sqlite_query import condition, newer, order_by
from services.runtime.store.sqlite_worker import SqliteWorker

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]

READERS = 3


class SqliteStore:
    """See `Store` for what each call promises. `collections` are the tables there are; others are refused."""

    name = "store"

    def __init__(self, path: Path, collections: Sequence[Collection] = collections.COLLECTIONS) -> None:
        self._path = path
        self._collections = {collection.name: collection for collection in collections}
        self._writer: SqliteWorker | None = None
        self._readers: SqliteWorker | None = None

    async def start(self) -> None:
        await asyncio.to_thread(self._open)

    async def close(self) -> None:
        """Wait for the calls under way, then close. May be called twice."""
        for worker in (self._readers, self._writer):
            if worker is not None:
                await asyncio.to_thread(worker.close)
        self._readers = self._writer = None

    async def stop(self) -> None:
        await self.close()

    async def check(self) -> None:
        """Writes a row of its own: a disk that is full or gone read-only still reads."""
        await self._write(_change("UPDATE _rapt_probe SET writes = writes + 1", [()]))

    async def insert(self, collection: str, document: Document) -> None:
        sql = f"INSERT INTO {self._table(collection)} VALUES (?, ?)"  # noqa: S608
        await self._write(_change(sql, [_row(document)]))

    async def upsert_many(
        self, collection: str, documents: Sequence[Document], *, newest_by: str | None = None
    ) -> None:
        table = self._table(collection)
        sql = (
            f"INSERT INTO {table} VALUES (?, ?) "  # noqa: S608
            f"ON CONFLICT (_id) DO UPDATE SET doc = excluded.doc{newer(table, newest_by)}"
        )
        if documents:
            await self._write(lambda db: _change(sql, [_row(document) for document in documents])(db))

    async def update(
        self, collection: str, key: str, changes: Mapping[str, Any], where: Filter | None = None
    ) -> Document | None:
        table = self._table(collection)
        sql, values = condition(where)
        check_settable(changes)

        def change(db: sqlite3.Connection) -> Document | None:
            row = db.execute(f"SELECT doc FROM {table} WHERE _id = ? AND {sql}", [key, *values]).fetchone()  # noqa: S608
            if row is None:
                return None
            document: Document = {**json.loads(row[0]), **changes}
            text = _row(document)[1]
            db.execute(f"UPDATE {table} SET doc = ? WHERE _id = ?", (text, key))  # noqa: S608
            return _load(text)

        return await self._write(change)

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
        sql, values = condition(where)
        query = f"SELECT doc FROM {self._table(collection)} WHERE {sql}{order_by(sort)} LIMIT ? OFFSET ?"  # noqa: S608
        return await self._read(
            lambda db: [_load(text) for (text,) in db.execute(query, [*values, limit or -1, skip]).fetchall()]
        )

    async def count(self, collection: str, where: Filter | None = None) -> int:
        sql, values = condition(where)
        query = f"SELECT count(*) FROM {self._table(collection)} WHERE {sql}"  # noqa: S608
        return await self._read(lambda db: int(db.execute(query, values).fetchone()[0]))

    async def delete(self, collection: str, where: Filter) -> int:
        sql, values = condition(where)
        query = f"DELETE FROM {self._table(collection)} WHERE {sql}"  # noqa: S608
        return await self._write(_change(query, [values]))

    async def expire(self, now_ms: int) -> int:
        deleted = 0
        for each in self._collections.values():
            if each.lifetime_ms is not None and each.expires_from is not None:
                deleted += await self.delete(each.name, {each.expires_from: {"$lte": now_ms - each.lifetime_ms}})
        return deleted

    def _open(self) -> None:
        try:
            make_file(self._path)
            with closing(open_connection(self._path, read_only=False)) as db:
                make_tables(db, self._collections.values())
            self._readers = SqliteWorker(self._path, threads=READERS, read_only=True)
            self._writer = SqliteWorker(self._path, threads=1, read_only=False)
        except OSError as error:
            raise StoreUnavailable(f"cannot make the store's file {self._path}: {error.strerror or error}") from error
        except sqlite3.Error as error:
            raise plain_words(error, self._path) from error

    def _table(self, collection: str) -> str:
        if collection not in self._collections:
            raise ValueError(f"no collection {collection!r}; there are {', '.join(self._collections)}")
        return f'"{collection}"'

    async def _write(self, job: Job[T]) -> T:
        def transaction(db: sqlite3.Connection) -> T:
            db.execute("BEGIN IMMEDIATE")  # take the write lock first: an upgrade from reading would fail, not wait
            try:
                result = job(db)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            return result

        return await self._run(self._writer, transaction)

    async def _read(self, job: Job[T]) -> T:
        return await self._run(self._readers, job)

    async def _run(self, worker: SqliteWorker | None, job: Job[T]) -> T:
        if worker is None:
            raise StoreUnavailable("the store is not open")
        try:
            return await worker.run(job)
        except sqlite3.IntegrityError as error:
            raise Conflict(f"there is already a document with this {_columns(error)}") from error
        except sqlite3.Error as error:
            raise plain_words(error, self._path) from error


def _change(sql: str, rows: Sequence[Sequence[Any]]) -> Job[int]:
    """Run the statement once per row; gives how many rows it changed.

    The cursor stays in its thread: one that dies in another resets a statement that its connection is using again.
    """
    return lambda db: db.executemany(sql, rows).rowcount


def _row(document: Document) -> tuple[str, str]:
    return checked_id(document), json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _load(text: str) -> Document:
    document: Document = json.loads(text)
    return document


def _columns(error: sqlite3.IntegrityError) -> str:
    # "UNIQUE constraint failed: users._id", or "... failed: index 'users__username__unique'"
    text = str(error)
    return "_id" if text.endswith("._id") else text.rpartition(": ")[2]
