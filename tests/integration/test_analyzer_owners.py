"""Analyzers on a real Kafka that sleep through the loss of their partitions, die, come and go while students stream:
the counts are the script's, and each frame has one result, of its newest owner."""

import asyncio
import os
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

pytest.importorskip("mediapipe", reason="the analyzer's extra is not installed")

from schemas.events import FrameMetrics, SessionTotals, StatusChanged
from schemas.examples import SESSION_END, SESSION_START
from schemas.frames import FrameHeaders, Kind
from schemas.topics import DEAD_LETTERS, FRAMES, METRICS, PREDICTIONS, STATUS
from services.client.drawn import draw_jpeg
from services.client.timetable import Timetable
from services.runtime.clock import now_ms
from services.runtime.epochs import epoch_of
from services.runtime.log.kafka import KafkaLog
from services.runtime.log.partitions import partition_of
from services.runtime.metrics import Metrics
from services.runtime.store.sqlite import SqliteStore
from services.sink.store_destination import StoreDestination
from tests.support.kafka import kafka_node
from tests.support.log_reader import Reader
from tests.support.processes import RaptProcess

FPS = 10
FRAMES_EACH = 180
RESULTS_WITHIN_S = 60.0

Deed = Callable[[], object]


def on_partitions(numbers: set[int]) -> list[str]:
    """A session for each of these partitions."""
    names = (f"s-{number}" for number in range(1000))
    first: dict[int, str] = {}
    for name in names:
        first.setdefault(partition_of(name, FRAMES.partitions), name)
    return [first[number] for number in sorted(numbers)]


SESSIONS = on_partitions({0, 3, 6, 9})


class Stage(NamedTuple):
    """A log with two analyzers, and what comes of it."""

    log: KafkaLog
    reader: Reader
    first: RaptProcess
    second: RaptProcess


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    with kafka_node() as kafka:
        log = KafkaLog(kafka.bootstrap)
        await log.start()
        reader = Reader(log, [METRICS, STATUS, PREDICTIONS, DEAD_LETTERS], group=None)
        await reader.consumer.start()
        # A busy machine may fall behind; that is no reason to leave frames out, where all are counted.
        environment = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "STALE_AFTER_MS": "60000"}
        first, second = (RaptProcess("analyzer", tmp_path / name, environment) for name in ("first", "second"))
        try:
            for process in (first, second):
                await asyncio.to_thread(process.start)
            yield Stage(log, reader, first, second)
        finally:
            for process in (first, second):
                process.kill()
            await reader.consumer.stop()
            await log.close()


async def test_an_owner_that_oversleeps_changes_nothing_when_it_wakes(stage: Stage, tmp_path: Path) -> None:
    await stream(
        stage,
        {
            30: lambda: os.kill(stage.first.pid, signal.SIGSTOP),
            110: lambda: os.kill(stage.first.pid, signal.SIGCONT),  # 2 s after the group gave its partitions away
        },
    )
    await compare(stage, tmp_path, owners=3)


async def test_owners_that_are_killed_join_and_leave_lose_nothing(stage: Stage, tmp_path: Path) -> None:
    codes: list[int] = []
    await stream(
        stage,
        {
            30: stage.first.kill,
            90: stage.first.start,
            150: lambda: codes.append(stage.second.terminate()),
        },
    )
    await compare(stage, tmp_path, owners=3)
    assert codes == [0]


async def stream(stage: Stage, deeds: Mapping[int, Deed]) -> None:
    """The same drawn student in every session, live, while the deeds are done, each at its frame; then the ends."""
    timetable, origin_ms = Timetable(7, FRAMES_EACH / FPS), now_ms()
    under_way: list[asyncio.Task[object]] = []

    async def tell(kind: Kind, seq: int, value: Callable[[str], bytes]) -> None:
        for name in SESSIONS:
            headers = FrameHeaders(name, kind, seq, origin_ms + seq * 1000 // FPS, now_ms()).encode()
            await stage.log.send(FRAMES, name, value(name), headers)

    await tell("start", 0, lambda name: SESSION_START.model_copy(update={"session_id": name}).encode())
    begun_s = asyncio.get_running_loop().time()
    for number in range(FRAMES_EACH):
        await asyncio.sleep(max(0.0, begun_s + number / FPS - asyncio.get_running_loop().time()))
        if (deed := deeds.get(number)) is not None:
            under_way.append(asyncio.create_task(asyncio.to_thread(deed)))
        jpeg = await asyncio.to_thread(draw_jpeg, timetable.pose_at(number / FPS), grain=number)
        await tell("frame", number + 1, lambda _, jpeg=jpeg: jpeg)  # type: ignore[misc]
    await asyncio.gather(*under_way)
    await tell("end", FRAMES_EACH, lambda name: SESSION_END.model_copy(update={"session_id": name}).encode())


async def compare(stage: Stage, tmp_path: Path, *, owners: int) -> None:
    """Every session was told its totals; the store keeps one document of each frame, its newest owner's."""
    records = stage.reader.records

    def totals() -> dict[str, SessionTotals]:
        said = [StatusChanged.decode(record.value) for record in records if record.topic == STATUS.name]
        return {status.session_id: status.totals for status in said if status.totals is not None}

    async with asyncio.timeout(RESULTS_WITHIN_S):
        while len(totals()) < len(SESSIONS):
            await asyncio.sleep(0.1)
    truth = Timetable(7, FRAMES_EACH / FPS).truth(FRAMES_EACH / FPS)
    assert set(totals().values()) == {
        SessionTotals(
            frames=FRAMES_EACH,
            analyzed=FRAMES_EACH,
            skipped=0,
            blink_count=truth.blinks,
            yawn_count=truth.yawns,
            last_seq=FRAMES_EACH,
        )
    }
    assert [record.headers for record in records if record.topic == DEAD_LETTERS.name] == []

    newest: defaultdict[str, int] = defaultdict(int)
    for record in records:
        if record.topic == METRICS.name:
            document = f"{record.key}:{FrameMetrics.decode(record.value).seq}"
            newest[document] = max(newest[document], epoch_of(record))
    assert len(set(newest.values())) >= owners
    store = SqliteStore(tmp_path / "store.sqlite")
    await store.start()
    destination = StoreDestination(store, Metrics())
    await destination.write([destination.parse(record) for record in records])
    for name in SESSIONS:
        found = await store.find(METRICS.name, {"session_id": name}, sort=[("seq", 1)])
        assert [each["seq"] for each in found] == list(range(1, FRAMES_EACH + 1))
        assert [each["epoch"] for each in found] == [newest[each["_id"]] for each in found]
        blinks = [each["blink_count"] for each in found]
        assert blinks == sorted(blinks)
        assert blinks[-1] == truth.blinks
    await store.close()
