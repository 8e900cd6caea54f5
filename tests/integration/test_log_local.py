"""The local log and its file: killed processes, a second process, a full disk, retention."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from services.runtime.clock import now_ms
from services.runtime.log import LogStartFailed, LogUnavailable, Record, local, local_writer
from services.runtime.log.local import LocalLog
from services.runtime.log.local_file import LogFile, Row
from tests.support.log_reader import WITHIN_S, Reader, until
from tests.support.log_topics import BIG, SMALL, STATE
from tests.support.needs import REPOSITORY

TOPICS = [BIG, SMALL, STATE]


def writer_process(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.log_process", str(path)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_a_killed_process_loses_nothing_acknowledged(tmp_path: Path) -> None:
    with writer_process(tmp_path / "log.sqlite") as process:
        assert process.stdout is not None
        acknowledged = 0
        while acknowledged < 500:
            acknowledged = int(process.stdout.readline())
        process.kill()
        acknowledged = max([acknowledged, *(int(line) for line in process.stdout.read().split())])
    log = LocalLog(tmp_path / "log.sqlite", [BIG])
    await log.start()
    reader = Reader(log, [BIG], group="after")
    await reader.consumer.start()
    await until(lambda: len(reader.records) >= acknowledged, "all that was acknowledged is there")
    for key in range(5):
        numbers = [int(value) for value in reader.values(f"key-{key}")]
        assert numbers == list(range(key, len(numbers) * 5 + key, 5)), "in order, none missing, none twice"
    await (await log.send(BIG, "key-0", b"next"))
    await until(lambda: reader.values()[-1] == b"next", "the log goes on")
    await reader.consumer.stop()
    await log.close()


def test_a_second_process_is_told_who_has_the_log(tmp_path: Path) -> None:
    with writer_process(tmp_path / "log.sqlite") as first:
        assert first.stdout is not None
        first.stdout.readline()
        with writer_process(tmp_path / "log.sqlite") as second:
            output, error = second.communicate(timeout=WITHIN_S)
        first.kill()
    assert second.returncode == 1
    assert output == ""
    assert error.strip() == (
        f"{tmp_path} is in use by another Rapt (process {first.pid}); stop it or choose another data directory"
    )


async def test_a_file_that_is_no_log_is_named(tmp_path: Path) -> None:
    (tmp_path / "log.sqlite").write_bytes(b"something else entirely" * 100)
    with pytest.raises(LogStartFailed, match=r"log\.sqlite is damaged or not a log of Rapt's"):
        await LocalLog(tmp_path / "log.sqlite").start()


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(LogStartFailed, match=r"cannot write in .*taken"):
        await LocalLog(tmp_path / "taken" / "log.sqlite").start()


async def test_a_newer_file_is_left_alone(tmp_path: Path) -> None:
    log = LocalLog(tmp_path / "log.sqlite", TOPICS)
    await log.start()
    assert log._file is not None
    log._file.db.execute("PRAGMA user_version=99")
    await log.close()
    with pytest.raises(LogStartFailed, match="newer Rapt"):
        await LocalLog(tmp_path / "log.sqlite", TOPICS).start()


async def fill_up(log: LocalLog) -> None:
    for _ in range(200):
        await (await log.send(BIG, "key", bytes(20_000)))


async def test_a_full_disk_is_told_and_passes(tmp_path: Path) -> None:
    log = LocalLog(tmp_path / "log.sqlite", TOPICS)
    await log.start()
    assert log._file is not None
    (pages,) = log._file.db.execute("PRAGMA page_count").fetchone()
    log._file.db.execute(f"PRAGMA max_page_count={pages + 12}")
    futures = [await log.send(BIG, "key", bytes(20_000)) for _ in range(10)]
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert any(isinstance(result, LogUnavailable) and "full; free some space" in str(result) for result in results)
    with pytest.raises(LogUnavailable, match="full"):
        await fill_up(log)
    log._file.db.execute("PRAGMA max_page_count=1000000")
    await log.check()
    await (await log.send(BIG, "key", b"after"))
    reader = Reader(log, [BIG], group="group")
    await reader.consumer.start()
    await until(lambda: reader.values()[-1:] == [b"after"], "what came after is there")
    await reader.consumer.stop()
    await log.close()


async def test_what_was_sent_behind_a_failed_record_does_not_overtake_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go_on = threading.Event(), threading.Event()
    append = LogFile.append

    def fail_once(file: LogFile, rows: Sequence[Row]) -> None:
        monkeypatch.setattr(LogFile, "append", append)
        entered.set()
        go_on.wait(WITHIN_S)
        raise sqlite3.OperationalError("disk I/O error")

    log = LocalLog(tmp_path / "log.sqlite", [BIG])
    await log.start()
    monkeypatch.setattr(LogFile, "append", fail_once)
    first = await log.send(BIG, "key", b"first")
    await asyncio.to_thread(entered.wait, WITHIN_S)
    second = await log.send(BIG, "key", b"second")
    go_on.set()
    for failed in (first, second):
        with pytest.raises(LogUnavailable):
            await failed
    for value in (b"first", b"second"):
        await (await log.send(BIG, "key", value))
    reader = Reader(log, [BIG], group="after")
    await reader.consumer.start()
    await until(lambda: len(reader.records) == 2, "both are there")
    assert reader.values("key") == [b"first", b"second"]
    await reader.consumer.stop()
    await log.close()


async def test_a_disk_nearly_full_is_told_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LocalLog(tmp_path / "log.sqlite", TOPICS)
    await log.start()
    await log.check()
    monkeypatch.setattr(local, "LEAST_FREE_BYTES", 1 << 60)
    with pytest.raises(LogUnavailable, match="MiB are left on the disk"):
        await log.check()
    await log.close()


async def test_old_records_go_and_their_offsets_stay_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LocalLog(tmp_path / "log.sqlite", TOPICS, upkeep_every_s=0.02)
    await log.start()
    for number in range(200):
        position = await (await log.send(BIG, "key", b"%d" % number))
    monkeypatch.setattr(local_writer, "now_ms", lambda: now_ms() + 2 * 3_600_000)
    reader_file = log._reader
    assert reader_file is not None
    await until(lambda: reader_file.db.execute("SELECT count(*) FROM records").fetchone()[0] == 0, "all are gone")
    monkeypatch.undo()
    await log.close()
    log = LocalLog(tmp_path / "log.sqlite", TOPICS)
    await log.start()
    assert await (await log.send(BIG, "key", b"new")) == (position.partition, position.offset + 1)
    await log.close()


async def test_a_topic_keeps_to_its_size(tmp_path: Path) -> None:
    log = LocalLog(tmp_path / "log.sqlite", TOPICS, upkeep_every_s=0.02)
    await log.start()
    for number in range(100):
        await (await log.send(SMALL, f"key-{number}", b"%d" % number + bytes(5_000)))
    writer = log._writer
    assert writer is not None
    await until(lambda: writer.topic_bytes()["small"] <= 100_000 + 3 * 6_000, "the oldest are gone")
    await log.close()
    log = LocalLog(tmp_path / "log.sqlite", TOPICS)
    await log.start()
    reader = Reader(log, [SMALL], group="late")
    await reader.consumer.start()
    await until(lambda: any(value.startswith(b"99\0") for value in reader.values()), "the newest is there")
    assert len(reader.records) < 30
    await reader.consumer.stop()
    await log.close()


async def test_the_publisher_waits_for_a_live_group_that_lags(tmp_path: Path) -> None:
    class Stuck(Reader):
        gate = asyncio.Event()

        async def handle(self, records: Sequence[Record]) -> None:
            await self.gate.wait()
            await super().handle(records)

    log = LocalLog(tmp_path / "log.sqlite", TOPICS, upkeep_every_s=0.02)
    await log.start()
    stuck = Stuck(log, [SMALL], group="group")
    stuck.gate.clear()
    await stuck.consumer.start()
    sent = 0

    async def publish() -> None:
        nonlocal sent
        for number in range(100):
            await (await log.send(SMALL, f"key-{number}", b"%d" % number + bytes(5_000)))
            sent += 1

    publishing = asyncio.create_task(publish())
    await until(lambda: log._room["small"].bytes > 100_000, "the topic is full")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(publishing), 0.3)
    assert sent < 30
    stuck.gate.set()
    await until(lambda: len(stuck.records) == 100, "nothing was dropped")
    await publishing
    await stuck.consumer.stop()
    await log.close()


async def test_a_compacted_topic_shrinks_to_its_keys(tmp_path: Path) -> None:
    log = LocalLog(tmp_path / "log.sqlite", TOPICS, upkeep_every_s=0.02)
    await log.start()
    for version in range(50):
        for key in range(6):
            await (await log.send(STATE, f"key-{key}", b"%d" % version))
    reader_file = log._reader
    assert reader_file is not None
    await until(lambda: reader_file.db.execute("SELECT count(*) FROM records").fetchone()[0] == 6, "one a key is left")
    await log.close()
    log = LocalLog(tmp_path / "log.sqlite", TOPICS)
    await log.start()
    found = [await log.snapshot(STATE, number) for number in range(STATE.partitions)]
    assert {key: record.value for each in found for key, record in each.items()} == {
        f"key-{key}": b"49" for key in range(6)
    }
    reader = Reader(log, [STATE], group="group")
    await reader.consumer.start()
    await until(lambda: len(reader.records) == 6, "the gaps are no hindrance")
    await until(lambda: not reader.consumer.delivery.committable(), "committed")  # type: ignore[attr-defined]
    await reader.consumer.stop()
    await log.close()


async def test_a_group_that_lags_far_behind_reads_all_from_the_file(tmp_path: Path) -> None:
    log = LocalLog(tmp_path / "log.sqlite", TOPICS)
    await log.start()
    count = log.tail._max_records + 500
    futures = [await log.send(BIG, f"key-{number % 7}", b"%d" % number) for number in range(count)]
    await asyncio.gather(*futures)
    reader = Reader(log, [BIG], group="late")
    await reader.consumer.start()
    await until(lambda: len(reader.records) == count, "all arrived")
    for key in range(7):
        numbers = [int(value) for value in reader.values(f"key-{key}")]
        assert numbers == sorted(numbers)
    await reader.consumer.stop()
    await log.close()
