"""`rapt dead-letters` as an operator runs it, on the local log and on Kafka: beside what runs, and what comes of it."""

import asyncio
import json
import os
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest

from schemas import examples
from schemas.topics import METRICS, SIGNALS
from services.runtime.deadletters import DeadLetters
from services.runtime.log import EventLog, Position, Record
from services.runtime.log.kafka import KafkaLog
from services.runtime.log.local import LocalLog
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings
from services.runtime.store.sqlite import SqliteStore
from services.sink.app import Sink, build_app
from tests.support.kafka import KafkaNode
from tests.support.processes import RAPT, RaptProcess

WITHIN_S = 60.0
GOOD = examples.SIGNAL


def rapt(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [str(RAPT), "dead-letters", *map(str, arguments)]
    return subprocess.run(
        command, env={**clean, **environment}, capture_output=True, text=True, timeout=WITHIN_S, check=False
    )


def told(*arguments: object, **environment: str) -> dict[str, Any]:
    """What a command says in JSON."""
    ended = rapt(*arguments, "--json", **environment)
    assert ended.returncode == 0, ended.stderr
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


async def listed(count: int, *arguments: object, **environment: str) -> list[dict[str, Any]]:
    """The letters, once there are so many."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            answer = await asyncio.to_thread(told, "list", *arguments, **environment)
            if answer["count"] >= count:
                letters: list[dict[str, Any]] = answer["letters"]
                assert len(letters) == answer["count"] == count
                return letters


async def bury(log: EventLog, record: Record) -> None:
    """As a group with a mistake in its code does."""
    await DeadLetters(log, Metrics(), "sink-store").send(record, ZeroDivisionError("a mistake, mended by now"))


async def write(log: EventLog, session_id: str, value: bytes) -> Position:
    position: Position = await (await log.send(METRICS, session_id, value))
    return position


async def test_beside_a_running_rapt_and_again_when_it_starts(tmp_path: Path) -> None:
    data = tmp_path / "data"
    log = LocalLog(data / "log.sqlite")
    await log.start()
    origin = await write(log, "s-1", b"no metrics")
    await bury(log, Record(SIGNALS.name, 0, 9, GOOD.session_id, GOOD.encode(), {}, 0))
    await log.close()
    process = RaptProcess("up", data)
    process.start()
    try:
        mended, letter = await listed(2, "--data", data)
        assert letter["origin"] == {"topic": "metrics", "partition": origin.partition, "offset": origin.offset}
        assert (letter["group"], letter["key"], letter["error_class"]) == ("sink-store", "s-1", "Malformed")
        assert "Invalid JSON" in letter["error"]
        shown = rapt("show", letter["id"], "--out", tmp_path / "value", "--data", data)
        assert shown.returncode == 0
        assert "no metrics" in shown.stdout
        assert (tmp_path / "value").read_bytes() == b"no metrics"
        assert "dead letters" in rapt("list", "--data", data).stdout
        refused = rapt("retry", letter["id"], "--data", data)
        assert refused.returncode == 1
        assert "in use by another Rapt" in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1
        assert not (await listed(2, "--data", data))[1]["retried_at_ms"]
    finally:
        assert process.terminate() == 0

    assert told("retry", "--all", "--data", data) == {"sent": 2, "left": {}}
    assert told("retry", "--all", "--data", data) == {"sent": 0, "left": {}}
    process.start()
    try:
        letters = await listed(3, "--data", data)
    finally:
        assert process.terminate() == 0
    assert [each["id"] for each in letters[:2]] == [mended["id"], letter["id"]]
    assert [each["retries"] for each in letters] == [0, 0, 1]
    assert [bool(each["retried_at_ms"]) for each in letters] == [True, True, False]
    store = SqliteStore(data / "store.sqlite")
    await store.start()
    assert await store.count("signals") == 1
    await store.close()


async def test_on_kafka_while_the_sink_runs(kafka: KafkaNode, tmp_path: Path) -> None:
    session_id = f"s-{uuid.uuid4().hex[:8]}"
    kafka.start()
    log, store = KafkaLog(kafka.bootstrap), SqliteStore(tmp_path / "store.sqlite")
    await log.start()
    await store.start()
    sink: Sink = build_app(Settings(rapt_data=tmp_path), log, store, Metrics())  # type: ignore[assignment]
    await sink.start()
    where = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap}
    mine = ("--session", session_id)
    try:
        origin = await write(log, session_id, b"no metrics")
        good = GOOD.model_copy(update={"session_id": session_id})
        await bury(log, Record(SIGNALS.name, 0, 9, session_id, good.encode(), {"epoch": "4"}, 0))
        letters = {each["origin"]["topic"]: each for each in await listed(2, *mine, **where)}
        assert letters["metrics"]["origin"]["offset"] == origin.offset
        assert letters["signals"]["headers"]["epoch"] == "4"
        assert await listed(1, *mine, "--error", "mended BY now", **where) == [letters["signals"]]
        shown = await asyncio.to_thread(told, "show", letters["metrics"]["id"], **where)
        assert shown == letters["metrics"]

        ids = [each["id"] for each in letters.values()]
        assert await asyncio.to_thread(told, "retry", *ids, **where) == {"sent": 2, "left": {}}
        *before, again = await listed(3, *mine, **where)
        assert all(each["retried_at_ms"] for each in before)
        assert (again["origin"]["topic"], again["retries"], again["retried_at_ms"]) == ("metrics", 1, None)
        assert again["origin"]["offset"] > origin.offset
        async with asyncio.timeout(WITHIN_S):
            while not (found := await store.find("signals", {"session_id": session_id})):
                await asyncio.sleep(0.02)
        assert [each["epoch"] for each in found] == [4]
    finally:
        await sink.stop()
        await store.close()
        await log.close()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("list",), 1, "there is no log at"),
        (("show", "3:17"), 1, "there is no log at"),
        (("show", "seventeen"), 2, "wanted partition:offset"),
        (("retry",), 2, "give letters, or --all"),
        (("retry", "1:2", "--all"), 2, "give letters, or --all"),
        (("retry", "1:2", "--topic", "frames"), 2, "give letters, or --all"),
    ],
)
def test_what_cannot_be_done_says_why(tmp_path: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    ended = rapt(*arguments, "--data", tmp_path)
    assert ended.returncode == code
    assert said in " ".join(ended.stderr.replace("│", " ").split())
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


async def test_a_letter_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    log = LocalLog(tmp_path / "log.sqlite")
    await log.start()
    await log.close()
    assert rapt("list", "--data", tmp_path).stdout == "no dead letters\n"
    for command in ("show", "retry"):
        ended = rapt(command, "3:17", "--data", tmp_path)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert ended.stderr.strip() == "rapt: no dead letter 3:17; `rapt dead-letters list` names all"


def test_a_broker_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    ended = rapt("list", "--data", tmp_path, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:9")
    assert ended.returncode == 1
    assert "127.0.0.1:9" in ended.stderr
    assert "Traceback" not in ended.stderr
