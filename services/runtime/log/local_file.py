"""The SQLite file of the local log: its schema and every statement. Blocking; called from the log's own threads.

A record's row id is `partition_id << 40 | offset`: a partition is one run of ids, read without a second index. The
value comes last in the row, so that keys and times are read without it. `end_bytes` counts what a partition ever
took, so the size of what is there is one subtraction.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.topics import Topic
from services.runtime.log.port import LogStartFailed, LogUnavailable, Record, TopicPartition

OFFSET_BITS = 40
SCHEMA_VERSION = 1
SPARE_PAGES = 4096  # 16 MiB
_SCHEMA = """
CREATE TABLE partitions (
  id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL, floor INTEGER NOT NULL DEFAULT 0,
  UNIQUE (topic, partition)
);
CREATE TABLE records (
  id INTEGER PRIMARY KEY, timestamp_ms INTEGER NOT NULL, end_bytes INTEGER NOT NULL,
  key TEXT NOT NULL, headers TEXT NOT NULL, value BLOB NOT NULL
);
CREATE TABLE offsets (
  consumer_group TEXT NOT NULL, partition_id INTEGER NOT NULL, committed INTEGER NOT NULL,
  PRIMARY KEY (consumer_group, partition_id)
) WITHOUT ROWID;
CREATE TABLE checks (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL);
"""
_OPENINGS = "CREATE TABLE IF NOT EXISTS openings (id INTEGER PRIMARY KEY, count INTEGER NOT NULL)"

Row = tuple[int, int, int, str, str, bytes]  # the columns of `records`


@dataclass(slots=True)
class Head:
    """Where a partition begins and ends. Records from `oldest` to below `next` may be there."""

    next: int
    oldest: int
    oldest_ms: int | None
    begin_bytes: int
    end_bytes: int

    @property
    def size_bytes(self) -> int:
        return self.end_bytes - self.begin_bytes


def row_id(partition_id: int, offset: int) -> int:
    return partition_id << OFFSET_BITS | offset


def row_size_bytes(key: str, headers: str, value: bytes) -> int:
    """What a record is counted as: its parts and its share of the page."""
    return len(key) + len(headers) + len(value) + 64


def plain_words(error: sqlite3.Error, path: Path) -> str:
    """What went wrong with the file, for a person."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return f"the disk that holds {path} is full; free some space there"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return f"{path} cannot be written; check the permissions of the file and its folder"
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return f"{path} is damaged or not a log of Rapt's; move it away to begin with an empty one"
    return f"{path}: {error}"


class LogFile:
    """One connection to the file. `writable` makes the file and its tables when they are not there."""

    def __init__(self, path: Path, *, writable: bool) -> None:
        self._path = path
        try:
            self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
            try:
                self._prepare(writable)
            except BaseException:
                self.db.close()
                raise
        except sqlite3.Error as error:
            raise LogStartFailed(plain_words(error, path)) from None

    def _prepare(self, writable: bool) -> None:
        self.db.execute("PRAGMA temp_store=MEMORY")
        if not writable:
            self.db.execute("PRAGMA query_only=ON")
            return
        version = self.db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise LogStartFailed(f"{self._path} was written by a newer Rapt; use that one, or another data directory")
        if version == 0:
            self.db.execute("PRAGMA auto_vacuum=INCREMENTAL")
        self.db.execute("PRAGMA journal_mode=WAL")
        # NORMAL: a commit survives the end of the process; at a power cut the last moments may be lost, never more.
        self.db.execute("PRAGMA synchronous=NORMAL")
        self.db.execute("PRAGMA wal_autocheckpoint=0")  # done beside the writer, see LocalWriter
        self.db.execute("PRAGMA journal_size_limit=67108864")
        if version == 0:
            self.db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")
        self.db.execute(_OPENINGS)

    def close(self) -> None:
        self.db.close()

    # -- opening ------------------------------------------------------------------------------------------------

    def declare(self, topics: Sequence[Topic]) -> dict[TopicPartition, int]:
        """Make sure that the topics' partitions are there; returns the ids of all partitions."""
        with self.db:
            self.db.execute("BEGIN IMMEDIATE")
            self.db.executemany(
                "INSERT OR IGNORE INTO partitions (topic, partition) VALUES (?, ?)",
                [(topic.name, partition) for topic in topics for partition in range(topic.partitions)],
            )
        rows = self.db.execute("SELECT topic, partition, id FROM partitions").fetchall()
        return {TopicPartition(topic, partition): partition_id for topic, partition, partition_id in rows}

    def count_opening(self) -> int:
        """How often the file was opened to be written, this time included."""
        (count,) = self.db.execute(
            "INSERT INTO openings VALUES (1, 1) ON CONFLICT DO UPDATE SET count = count + 1 RETURNING count"
        ).fetchone()
        return int(count)

    def head(self, partition_id: int) -> Head:
        """Read a partition's ends."""
        (floor,) = self.db.execute("SELECT floor FROM partitions WHERE id = ?", (partition_id,)).fetchone()
        span = (row_id(partition_id, 0), row_id(partition_id + 1, 0))
        columns = "SELECT id, timestamp_ms, end_bytes, key, headers, length(value) FROM records"
        newest = self.db.execute(f"{columns} WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT 1", span).fetchone()
        if newest is None:
            return Head(floor, floor, None, 0, 0)
        oldest = self.db.execute(f"{columns} WHERE id >= ? AND id < ? ORDER BY id LIMIT 1", span).fetchone()
        base = row_id(partition_id, 0)
        begin_bytes = oldest[2] - len(oldest[3]) - len(oldest[4]) - oldest[5] - 64
        return Head(max(floor, newest[0] - base + 1), oldest[0] - base, oldest[1], begin_bytes, newest[2])

    def offsets(self) -> list[tuple[str, int, int]]:
        """All committed offsets: group, partition id, offset."""
        return self.db.execute("SELECT consumer_group, partition_id, committed FROM offsets").fetchall()

    # -- writing (inside the writer's transactions) -------------------------------------------------------------

    def append(self, rows: Sequence[Row]) -> None:
        self.db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", rows)

    def commit_offsets(self, offsets: Iterable[tuple[str, int, int]]) -> None:
        self.db.executemany("INSERT OR REPLACE INTO offsets VALUES (?, ?, ?)", offsets)

    def note_check(self, at_ms: int) -> None:
        self.db.execute("INSERT OR REPLACE INTO checks VALUES (1, ?)", (at_ms,))

    def oldest(self, partition_id: int, limit: int) -> list[tuple[int, int, int]]:
        """The first rows of a partition: offset, timestamp_ms, end_bytes."""
        base = row_id(partition_id, 0)
        rows = self.db.execute(
            "SELECT id, timestamp_ms, end_bytes FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
            (base, row_id(partition_id + 1, 0), limit),
        )
        return [(found - base, timestamp_ms, end_bytes) for found, timestamp_ms, end_bytes in rows]

    def delete_below(self, partition_id: int, offset: int, floor: int) -> None:
        """Delete a partition's records below `offset`; `floor` keeps its next offset when nothing is left."""
        self.db.execute(
            "DELETE FROM records WHERE id >= ? AND id < ?", (row_id(partition_id, 0), row_id(partition_id, offset))
        )
        self.db.execute("UPDATE partitions SET floor = ? WHERE id = ?", (floor, partition_id))

    def delete_each(self, partition_id: int, offsets: Sequence[int], floor: int) -> None:
        """Delete single records of a compacted partition."""
        self.db.executemany("DELETE FROM records WHERE id = ?", [(row_id(partition_id, each),) for each in offsets])
        self.db.execute("UPDATE partitions SET floor = ? WHERE id = ?", (floor, partition_id))

    def keys(self, partition_id: int) -> list[tuple[int, int, str, int]]:
        """All records of a compacted partition, oldest first: offset, timestamp_ms, key, length of the value."""
        base = row_id(partition_id, 0)
        rows = self.db.execute(
            "SELECT id, timestamp_ms, key, length(value) FROM records WHERE id >= ? AND id < ? ORDER BY id",
            (base, row_id(partition_id + 1, 0)),
        )
        return [(found - base, timestamp_ms, key, length) for found, timestamp_ms, key, length in rows]

    def give_back_space(self) -> bool:
        """Give a few free pages back to the disk when more than half of the file is free; False when it is not.

        Else they stay for the next records: moving pages about costs more than the space is worth.
        """
        (free,) = self.db.execute("PRAGMA freelist_count").fetchone()
        (pages,) = self.db.execute("PRAGMA page_count").fetchone()
        if free * 2 <= pages or free < SPARE_PAGES:
            return False
        self.db.execute("PRAGMA incremental_vacuum(256)").fetchall()
        return True

    # -- reading ------------------------------------------------------------------------------------------------

    def partitions(self, topic: str) -> list[tuple[int, int]]:
        """A topic's partitions: id, number."""
        return self.db.execute(
            "SELECT id, partition FROM partitions WHERE topic = ? ORDER BY partition", (topic,)
        ).fetchall()

    def read(
        self, source: TopicPartition, partition_id: int, offset: int, upto: int, max_records: int, max_bytes: int
    ) -> tuple[list[Record], int]:
        """Records from `offset` to below `upto`, and the offset to go on from (`upto` when there are no more)."""
        rows = self.db.execute(
            "SELECT id, timestamp_ms, key, headers, value FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
            (row_id(partition_id, offset), row_id(partition_id, upto), max_records),
        )
        records: list[Record] = []
        size_bytes = 0
        for row in rows:
            size_bytes += len(row[4])
            if records and size_bytes > max_bytes:
                break
            records.append(_record(source, partition_id, row))
        rows.close()
        return records, records[-1].offset + 1 if records else upto

    def newest_by_key(self, source: TopicPartition, partition_id: int) -> Mapping[str, Record]:
        """The newest record of each key, of the highest epoch, without tombstones."""
        rows = self.db.execute(
            "SELECT id, timestamp_ms, key, headers, value FROM records WHERE id IN (SELECT id FROM"
            " (SELECT id, row_number() OVER"
            " (PARTITION BY key ORDER BY CAST(json_extract(headers, '$.epoch') AS INTEGER) DESC, id DESC) AS place"
            " FROM records WHERE id >= ? AND id < ?) WHERE place = 1) AND length(value) > 0 ORDER BY id",
            (row_id(partition_id, 0), row_id(partition_id + 1, 0)),
        )
        records = (_record(source, partition_id, row) for row in rows)
        return {record.key: record for record in records}


def _record(source: TopicPartition, partition_id: int, row: tuple[int, int, str, str, bytes]) -> Record:
    found, timestamp_ms, key, headers, value = row
    offset = found - row_id(partition_id, 0)
    return Record(source.topic, source.partition, offset, key, value, json.loads(headers), timestamp_ms)


def unavailable(error: sqlite3.Error, path: Path) -> LogUnavailable:
    return LogUnavailable(plain_words(error, path))
