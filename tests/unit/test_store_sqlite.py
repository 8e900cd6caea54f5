"""What concerns the SQLite file alone: where it cannot be opened or written, other processes, indexes."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from services.runtime.store import Conflict, StoreUnavailable, sqlite_file
from services.runtime.store.sqlite import SqliteStore
from services.runtime.store.sqlite_query import condition, order_by


async def start_fails(path: Path, match: str) -> None:
    store = SqliteStore(path)
    with pytest.raises(StoreUnavailable, match=match) as caught:
        await store.start()
    assert str(path) in str(caught.value)
    with pytest.raises(StoreUnavailable):
        await store.check()


async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    await start_fails(
        tmp_path / "file" / "store.sqlite", "cannot make the store's file .*: (Not a directory|File exists)"
    )


async def test_a_folder_in_the_files_place(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").mkdir()
    await start_fails(tmp_path / "store.sqlite", "Is a directory")


async def test_a_file_that_may_not_be_written(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.touch(mode=0o400)
    try:
        path.open("r+b").close()
    except PermissionError:
        await start_fails(path, "Permission denied")
    else:
        pytest.skip("this user may write every file")


async def test_a_file_that_is_something_else(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"not a database at all " * 1000)
    await start_fails(path, "not a store; move it away")


async def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "new" / "folder" / "store.sqlite")
    await store.start()
    await store.insert("users", {"_id": "ada"})
    modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "new" / "folder").iterdir()}
    await store.close()
    assert modes == dict.fromkeys(("store.sqlite", "store.sqlite-wal", "store.sqlite-shm"), 0o600)


async def test_a_full_disk_refuses_writes_and_reads_on(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.sqlite")
    await store.start()
    try:
        await store.insert("metrics", {"_id": "before"})
        # The limit stands for the disk's end: SQLite answers both with SQLITE_FULL.
        pages = await limit_pages(store, 1)
        with pytest.raises(StoreUnavailable, match="the disk is full; free some space"):
            await store.upsert_many("metrics", [{"_id": "big", "text": "x" * 10 * 4096}])
        assert await store.find("metrics") == [{"_id": "before"}]
        await limit_pages(store, pages + 100)
        await store.upsert_many("metrics", [{"_id": "big", "text": "x" * 10 * 4096}])
        assert await store.count("metrics") == 2
    finally:
        await store.close()


async def test_a_batch_that_fails_leaves_nothing(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.sqlite")
    await store.start()
    try:
        await store.insert("users", {"_id": "1", "username": "ada"})
        with pytest.raises(Conflict):
            await store.upsert_many("users", [{"_id": "2", "username": "bob"}, {"_id": "3", "username": "ada"}])
        assert await store.find("users") == [{"_id": "1", "username": "ada"}]
    finally:
        await store.close()


async def limit_pages(store: SqliteStore, pages: int) -> int:
    assert store._writer is not None
    return await store._writer.run(lambda db: int(db.execute(f"PRAGMA max_page_count = {pages}").fetchone()[0]))


async def test_a_file_that_another_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_S", 0.02)
    path = tmp_path / "store.sqlite"
    store = SqliteStore(path)
    await store.start()
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable, match="another process holds it"):
                await store.insert("metrics", {"_id": "a"})
            with pytest.raises(StoreUnavailable, match="another process holds it"):
                await store.check()
            assert await store.count("metrics") == 0  # reading goes on
        await store.insert("metrics", {"_id": "a"})
    finally:
        await store.close()


async def test_a_mistake_in_the_code_is_not_called_an_outage(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.sqlite")
    await store.start()
    try:
        with pytest.raises(sqlite3.OperationalError, match="syntax error"):
            await store._read(lambda db: db.execute("SELEKT").rowcount)
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("collection", "where", "sort", "index"),
    [
        ("metrics", {"session_id": "s", "captured_at_ms": {"$gte": 1, "$lt": 9}}, "captured_at_ms", "captured_at_ms"),
        ("users", {"username": "ada"}, None, "username"),
        ("sessions", {"lecture_code": {"$in": ["a", "b"]}}, None, "lecture_code"),
    ],
)
async def test_queries_use_their_index(
    tmp_path: Path, collection: str, where: dict[str, object], sort: str | None, index: str
) -> None:
    store = SqliteStore(tmp_path / "store.sqlite")
    await store.start()
    await store.close()
    sql, values = condition(where)
    order = order_by([(sort, 1)] if sort else [])
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as db:
        plan = db.execute(f"EXPLAIN QUERY PLAN SELECT doc FROM {collection} WHERE {sql}{order}", values).fetchall()  # noqa: S608
    assert any("SEARCH" in step[3] and index in step[3] for step in plan), plan


WRITER = """
import asyncio, sys
from pathlib import Path
from services.runtime.store.sqlite import SqliteStore

async def main(path, name, documents):
    store = SqliteStore(Path(path))
    await store.start()
    for n in range(int(documents)):
        await store.insert("metrics", {"_id": f"{name}:{n}"})
        print(n, flush=True)
    await store.close()

asyncio.run(main(*sys.argv[1:]))
"""


def writer(path: Path, name: str, documents: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), name, str(documents)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def test_processes_that_start_together_share_the_file(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    processes = [writer(path, name, 50) for name in "abc"]
    assert [len(process.communicate()[0].splitlines()) for process in processes] == [50] * 3
    assert [process.returncode for process in processes] == [0] * 3
    store = SqliteStore(path)
    await store.start()
    assert await store.count("metrics") == 150
    await store.close()


async def test_what_was_confirmed_outlives_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    process = writer(path, "a", 1_000_000)
    assert process.stdout is not None
    for line in process.stdout:
        if line == "200\n":
            break
    process.kill()
    confirmed = 200 + len(process.communicate()[0].splitlines())
    store = SqliteStore(path)
    await store.start()
    assert await store.count("metrics") >= confirmed + 1
    await store.check()
    await store.close()
