"""Opening the store's file: its permissions, pragmas, tables and indexes."""

import os
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path

from services.runtime.store.collections import Collection
from services.runtime.store.sqlite_query import expression

BUSY_TIMEOUT_S = 5.0
_WAL_KEPT_BYTES = 64 << 20


def make_file(path: Path) -> None:
    """Make the file and its folder, readable by the owner alone (it holds password hashes). Raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def open_connection(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """A connection that any thread may use, one at a time. Raises `sqlite3.Error`."""
    # isolation_level None: transactions begin and end where the code says so.
    db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        _to_wal(db)
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
        if read_only:
            db.execute("PRAGMA query_only = ON")
    except BaseException:
        db.close()
        raise
    return db


def make_tables(db: sqlite3.Connection, collections: Iterable[Collection]) -> None:
    """Make what is missing. Raises `sqlite3.Error`."""
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute("CREATE TABLE IF NOT EXISTS _rapt_probe (writes INTEGER NOT NULL)")
        db.execute("INSERT INTO _rapt_probe SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM _rapt_probe)")
        for collection in collections:
            db.execute(
                f'CREATE TABLE IF NOT EXISTS "{collection.name}" (_id TEXT NOT NULL PRIMARY KEY, doc TEXT NOT NULL)'
            )
            for fields, unique in _indexes(collection):
                name = "__".join((collection.name, *fields, *(["unique"] if unique else [])))
                columns = ", ".join(map(expression, fields))
                kind = "UNIQUE INDEX" if unique else "INDEX"
                db.execute(f'CREATE {kind} IF NOT EXISTS "{name}" ON "{collection.name}" ({columns})')
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _indexes(collection: Collection) -> Iterable[tuple[tuple[str, ...], bool]]:
    for index in collection.indexes:
        yield index.fields, index.unique
    if collection.expires_from is not None:
        yield (collection.expires_from,), False


def _to_wal(db: sqlite3.Connection) -> None:
    # Changing the mode does not wait for a lock as other statements do, and several processes may start at once.
    deadline_s = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > deadline_s:
                raise
            time.sleep(0.01)
