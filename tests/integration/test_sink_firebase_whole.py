"""Firebase at the end of all: stopped and going on, shared by replicas on Kafka, behind a student who streams."""

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import psutil
import pytest

from schemas import examples, topics
from schemas.events import SessionTotals, StatusChanged
from services.client.drawn import draw_jpeg
from services.client.stream import StudentClient
from services.client.timetable import Timetable
from services.runtime.clock import now_ms
from services.runtime.log import EventLog
from services.runtime.log.kafka import KafkaLog
from services.runtime.log.local import LocalLog
from services.runtime.metrics import Metrics
from services.runtime.settings import load_settings
from services.sink import firebase
from services.sink.firebase import FirebaseGroup
from services.sink.firebase_attendance import Json
from services.sink.firebase_client import firebase_client
from tests.support.firebase import Control, Fault, FirebaseServer
from tests.support.kafka import KafkaNode
from tests.support.log_reader import until
from tests.support.processes import PASSWORD, Embedded, free_port

AT_MS = 1_760_000_000_000
TOTALS = SessionTotals(frames=1, analyzed=1, skipped=0, blink_count=0, yawn_count=0, last_seq=0)


class Process(Control):
    """The server as a process of its own."""

    def __init__(self) -> None:
        port = free_port()
        self.host = f"127.0.0.1:{port}"
        super().__init__(f"http://{self.host}")
        self._process = subprocess.Popen([sys.executable, "-m", "tests.support.firebase", "--port", str(port)])

    def send(self, what: signal.Signals) -> None:
        os.kill(self._process.pid, what)

    def stop(self) -> None:
        """SIGSTOP, seen to have come about."""
        self.send(signal.SIGSTOP)
        while psutil.Process(self._process.pid).status() != psutil.STATUS_STOPPED:
            assert self._process.poll() is None, "the server is gone"

    def answers(self) -> bool:
        try:
            self.dump()
        except URLError:
            return False
        return True

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def process() -> Iterator[Process]:
    process = Process()
    yield process
    process.close()


@pytest.fixture
def server() -> Iterator[FirebaseServer]:
    server = FirebaseServer()
    yield server
    server.close()


def group_of(log: EventLog, host: str, timeout_s: float) -> FirebaseGroup:
    client = firebase_client(load_settings(firebase_database_emulator_host=host), (timeout_s, timeout_s))
    assert client is not None
    return FirebaseGroup(client, log, Metrics(), create_lectures=True, tick_s=0.05)


def status(student_id: str, seq: int, lecture_code: str = "PHYS-101", *, ended: bool = False) -> StatusChanged:
    said = {
        "session_id": f"of-{student_id}",
        "student_id": student_id,
        "lecture_code": lecture_code,
        "seq": seq,
        "started_at_ms": AT_MS,
        "gaze": "left" if seq % 2 else "right",
        "emotion": None,
    }
    if ended:
        said |= {"totals": TOTALS, "ended_at_ms": AT_MS + seq}
    return examples.STATUS.model_copy(update=said)


async def publish(log: EventLog, *events: StatusChanged) -> None:
    for future in [await log.send(topics.STATUS, each.session_id, each.encode()) for each in events]:
        await future


def shown(tree: Json, lecture_code: str, student_id: str) -> tuple[Json, ...]:
    """Check-in, check-out, and of the status its seq and its gaze."""
    node = tree["lectures"][lecture_code]["attendens"][student_id]
    return node["check_in_time"], node.get("check_out_time"), node["status"]["seq"], node["status"]["gaze"]


async def test_what_waited_in_a_stopped_firebase_does_not_overwrite_what_came_after(
    tmp_path: Path, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It serves all that queued when it goes on, in any order: updates that were given up come beside the newest."""
    monkeypatch.setattr(firebase, "LONGEST_WAIT_S", 0.1)
    log = LocalLog(tmp_path / "log.sqlite")
    await log.start()
    group = group_of(log, process.host, timeout_s=0.5)
    await asyncio.to_thread(_wait_for, process)
    await group.start()
    try:
        await publish(log, status("a", 1), status("b", 1))
        await _until_done(group)
        await asyncio.to_thread(process.stop)
        for seq in range(2, 6):
            failures = group._failures
            await publish(log, status("a", seq), status("b", seq))
            await until(lambda failures=failures: group._failures > failures + 1, f"two failures at {seq}")  # type: ignore[misc]
        await publish(log, status("a", 8, ended=True))
        process.send(signal.SIGCONT)
        await _until_done(group)
        tree = process.dump()
    finally:
        process.send(signal.SIGCONT)
        await group.stop()
        await log.close()
    assert shown(tree, "PHYS-101", "a") == (AT_MS, AT_MS + 8, 8, "right")
    assert shown(tree, "PHYS-101", "b") == (AT_MS, None, 5, "left")


async def test_replicas_on_kafka_come_and_go(kafka: KafkaNode, server: FirebaseServer) -> None:
    lecture = f"L-{uuid.uuid4().hex[:8]}"
    students = [f"{lecture}-{number}" for number in range(12)]
    server.fail(Fault(delay_s=0.2))
    logs = [KafkaLog(kafka.bootstrap) for _ in range(2)]
    groups = []
    for log in logs:
        await log.start()
        groups.append(group_of(log, server.host, timeout_s=5.0))
    await groups[0].start()
    for seq in range(30):
        await publish(logs[0], *(status(each, seq, lecture) for each in students))
        if seq == 10:
            await groups[1].start()
        if seq == 20:
            await groups[0].stop()
    await publish(logs[0], *(status(each, 30, lecture, ended=True) for each in students))

    def all_told() -> bool:
        attendens = (server.dump() or {}).get("lectures", {}).get(lecture, {}).get("attendens", {})
        return len(attendens) == len(students) and all("check_out_time" in node for node in attendens.values())

    await until(all_told)
    await _until_done(groups[1])
    await groups[1].stop()
    for log in logs:
        await log.close()
    tree = server.dump()
    assert {shown(tree, lecture, each) for each in students} == {(AT_MS, AT_MS + 30, 30, "right")}


async def test_a_student_who_streams_is_in_the_tree(tmp_path: Path, server: FirebaseServer) -> None:
    pytest.importorskip("mediapipe", reason="the analyzer's extra is not installed")
    rapt = Embedded(tmp_path / "data", {"FIREBASE_DATABASE_EMULATOR_HOST": server.host})
    await asyncio.to_thread(rapt.start)
    try:
        timetable = Timetable(7, 3)
        async with StudentClient(rapt.url, "student", PASSWORD, "DEMO") as client:
            origin_ms = now_ms()
            for number in range(30):
                jpeg = await asyncio.to_thread(draw_jpeg, timetable.pose_at(number / 10), grain=number)
                await client.send(jpeg, captured_at_ms=origin_ms + number * 100)
            await client.drained()
            await client.stop()
            session = await client.api.session(client.session_id)

            def node() -> dict[str, Json]:
                tree = server.dump() or {}
                found: dict[str, Json] = (
                    tree.get("lectures", {}).get("DEMO", {}).get("attendens", {}).get("student", {})
                )
                return found

            await until(lambda: "lecture_video_path" in node() and node()["status"]["ended"])
            recordings = await client.api.recordings(client.session_id)
    finally:
        await asyncio.to_thread(rapt.stop)
    found = node()
    assert (found["check_in_time"], found["check_out_time"]) == (session.started_at_ms, session.ended_at_ms)
    assert found["lecture_video_path"] == recordings[0].filename
    assert found["status"]["session_id"] == session.session_id


def _wait_for(process: Process) -> None:
    while not process.answers():
        pass


async def _until_done(group: FirebaseGroup) -> None:
    async with asyncio.timeout(60):
        while not (behind := await group._consumer.lag()) or any(behind.values()):
            await asyncio.sleep(0.02)
