"""The sink's Firebase group with the real firebase-admin, over a real log, against a server that fails as told."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas import examples, topics
from schemas.events import RecordingEvent, SessionTotals, StatusChanged
from services.runtime.log.local import LocalLog
from services.runtime.metrics import Metrics
from services.runtime.settings import load_settings
from services.sink import firebase, firebase_pending
from services.sink.firebase import FirebaseGroup
from services.sink.firebase_attendance import Json
from services.sink.firebase_client import firebase_client
from tests.support.firebase import Fault, FirebaseServer
from tests.support.log_reader import Reader, until

TICK_S = 0.02
AT_MS = 1_760_000_000_000
TOTALS = SessionTotals(frames=1, analyzed=1, skipped=0, blink_count=0, yawn_count=0, last_seq=0)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firebase, "LONGEST_WAIT_S", 0.05)
    monkeypatch.setattr(firebase_pending, "SETTLED_AFTER_S", 0.5)


@pytest.fixture
def server() -> Iterator[FirebaseServer]:
    server = FirebaseServer()
    yield server
    server.close()


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LocalLog]:
    log = LocalLog(tmp_path / "log.sqlite")
    await log.start()
    yield log
    await log.close()


Start = Callable[..., Awaitable["Running"]]


class Running:
    """A group, as one replica has it."""

    def __init__(self, log: LocalLog, server: FirebaseServer, *, create: bool = True, timeout_s: float = 5.0) -> None:
        client = firebase_client(load_settings(firebase_database_emulator_host=server.host), (timeout_s, timeout_s))
        assert client is not None
        self.metrics = Metrics()
        self.group = FirebaseGroup(client, log, self.metrics, create_lectures=create, tick_s=TICK_S)
        self._server = server

    async def lag(self) -> int:
        """Records not committed, of the partitions that this replica has; it waits until it has some."""
        async with asyncio.timeout(30):
            while not (behind := await self.group._consumer.lag()):
                await asyncio.sleep(0.01)
        return sum(behind.values())

    async def until_done(self) -> None:
        """Every record is finished and its offset committed."""
        async with asyncio.timeout(30):
            while await self.lag():
                await asyncio.sleep(0.01)

    def left_out(self) -> float:
        return self.metrics.registry.get_sample_value("rapt_firebase_left_out_total") or 0.0


@pytest.fixture
async def start(log: LocalLog, server: FirebaseServer) -> AsyncIterator[Start]:
    running: list[Running] = []

    async def begin(**options: object) -> Running:
        replica = Running(log, server, **options)  # type: ignore[arg-type]
        await replica.group.start()
        running.append(replica)
        return replica

    yield begin
    for replica in running:
        await replica.group.stop()


def status(session: str = "s", seq: int = 0, *, ended: bool = False, **said: object) -> StatusChanged:
    said = {"student_id": "student", "started_at_ms": AT_MS, "state": "engaged", "emotion": None, **said}
    if ended:
        said |= {"totals": TOTALS, "ended_at_ms": AT_MS + 60_000}
    return examples.STATUS.model_copy(update={"session_id": session, "seq": seq, **said})


def recording(session: str = "s", kind: str = "completed", **said: object) -> RecordingEvent:
    said = {"student_id": "student", "started_at_ms": AT_MS, "filename": f"{session}.mp4", "ended_at_ms": None, **said}
    return examples.RECORDING.model_copy(
        update={"session_id": session, "recording_id": f"r-{session}", "kind": kind, **said}
    )


async def publish(log: LocalLog, *events: StatusChanged | RecordingEvent, epoch: int = 1) -> None:
    for event in events:
        topic = topics.STATUS if isinstance(event, StatusChanged) else topics.RECORDINGS
        acknowledged = await log.send(topic, event.session_id, event.encode(), {"epoch": str(epoch)})
    await acknowledged


def student(server: FirebaseServer, student_id: str = "student", lecture_code: str = "PHYS-101") -> dict[str, Json]:
    """What Firebase has of a student."""
    tree = server.dump() or {}
    node: dict[str, Json] = tree.get("lectures", {}).get(lecture_code, {}).get("attendens", {}).get(student_id, {})
    return node


def updates(server: FirebaseServer) -> int:
    return sum(status == 204 for _, _, status in server.requests("PATCH"))


# -- what is written ------------------------------------------------------------------------------------------------


async def test_the_tree_of_a_lecture(log: LocalLog, server: FirebaseServer, start: Start) -> None:
    replica = await start()
    kept: dict[str, Any] = {"student_id": "jane.doe"}
    dev: dict[str, Any] = {"student_id": "joe"}
    await publish(log, status("a", 1, **kept), recording("a", "started", filename=None, **kept))
    await publish(log, status("a", 7, ended=True, state="drowsy", **kept), recording("a", **kept))
    # A `dev_mode` session: its recording is deleted at the end and never had a name.
    await publish(log, status("b", 1, **dev), recording("b", "deleted", filename=None, **dev))
    await replica.until_done()
    tree = server.dump()
    assert list(tree) == ["lectures"]
    assert list(tree["lectures"]) == ["PHYS-101"]
    attendens = tree["lectures"]["PHYS-101"]["attendens"]
    assert set(attendens) == {"jane%2Edoe", "joe"}
    jane, joe = attendens["jane%2Edoe"], attendens["joe"]
    assert set(jane) == {"check_in_time", "check_out_time", "status", "lecture_video_path"}
    assert (jane["check_in_time"], jane["check_out_time"]) == (AT_MS, AT_MS + 60_000)
    assert jane["lecture_video_path"] == "a.mp4"
    assert jane["status"] == {
        "state": "drowsy",
        "gaze": "center",
        "head_pose": "forward",
        "yawning": False,
        "session_id": "a",
        "session_started_at_ms": AT_MS,
        "epoch": 1,
        "seq": 7,
        "ended": True,
        "changed_at_ms": examples.STATUS.changed_at_ms,
        "video": {"recording_id": "r-a", "started_at_ms": AT_MS, "deleted": False},
    }
    assert set(joe) == {"check_in_time", "status"}


async def test_nothing_is_written_twice(log: LocalLog, server: FirebaseServer, start: Start) -> None:
    replica = await start()
    await publish(log, status(seq=1))
    await replica.until_done()
    before = updates(server)
    await publish(log, *[status(seq=1)] * 20, recording(kind="segment", filename=None))
    await replica.until_done()
    assert updates(server) == before == 1


async def test_a_deleted_recordings_path_goes(log: LocalLog, server: FirebaseServer, start: Start) -> None:
    replica = await start()
    await publish(log, status(), recording())
    await replica.until_done()
    assert student(server)["lecture_video_path"] == "s.mp4"
    await publish(log, recording(kind="deleted"))
    await replica.until_done()
    assert "lecture_video_path" not in student(server)


async def test_a_class_whose_students_are_numbers(log: LocalLog, server: FirebaseServer, start: Start) -> None:
    """Firebase answers lists there; what it had of each must be found all the same."""
    earlier = {"check_in_time": AT_MS - 5_000}
    server.load({"lectures": {"PHYS-101": {"attendens": {str(n): earlier for n in range(8)}}}})
    replica = await start()
    await publish(log, *(status(f"s{n}", student_id=str(n)) for n in range(8)))
    await replica.until_done()
    assert {student(server, str(n))["check_in_time"] for n in range(8)} == {AT_MS - 5_000}
    assert {student(server, str(n))["status"]["session_id"] for n in range(8)} == {f"s{n}" for n in range(8)}


async def test_somebody_elses_values_stay(log: LocalLog, server: FirebaseServer, start: Start) -> None:
    server.load({"lectures": {"PHYS-101": {"title": "Physics", "attendens": {"student": {"seat": 7}}}}})
    replica = await start()
    await publish(log, status())
    await replica.until_done()
    assert server.dump()["lectures"]["PHYS-101"]["title"] == "Physics"
    assert student(server)["seat"] == 7


# -- unknown lectures -----------------------------------------------------------------------------------------------


async def test_unknown_lectures_are_left_out_where_that_is_set(
    log: LocalLog, server: FirebaseServer, start: Start
) -> None:
    server.load({"lectures": {"MATH%2E101": {"title": "Algebra"}}})
    replica = await start(create=False)
    unknown = [status("u", seq) for seq in range(5)]
    await publish(log, *unknown, status("k", lecture_code="MATH.101", student_id="joe"))
    await replica.until_done()
    assert set(server.dump()["lectures"]) == {"MATH%2E101"}
    assert student(server, "joe", "MATH%2E101")["check_in_time"] == AT_MS
    assert 1 <= replica.left_out() <= 5


# -- Firebase slow, failing, away -----------------------------------------------------------------------------------


async def test_a_slow_firebase_gets_the_latest_status_and_all_attendance(
    log: LocalLog, server: FirebaseServer, start: Start
) -> None:
    server.fail(Fault(delay_s=0.2, methods=["PATCH"]))
    replica = await start()
    students = [f"student{number}" for number in range(3)]
    for seq in range(200):
        await publish(log, *(status(f"of-{each}", seq, student_id=each) for each in students))
    await publish(log, *(status(f"of-{each}", 200, ended=True, student_id=each) for each in students))
    await replica.until_done()
    for each in students:
        node = student(server, each)
        assert (node["check_in_time"], node["check_out_time"]) == (AT_MS, AT_MS + 60_000)
        assert (node["status"]["seq"], node["status"]["ended"]) == (200, True)
    assert updates(server) < 100  # of 603 statuses


@pytest.mark.parametrize("code", [503, 412, 500, 401, 404])
async def test_errors_for_a_while(log: LocalLog, server: FirebaseServer, start: Start, code: int) -> None:
    replica = await start()
    await publish(log, status(seq=1))
    await replica.until_done()
    server.fail(Fault(status=code))
    await publish(log, status(seq=2, state="drowsy"), status("t", ended=True, student_id="joe"), recording())
    await until(lambda: replica.group.trouble is not None)
    assert await replica.lag() > 0
    await replica.group.measure_lag()
    age_s = replica.metrics.registry.get_sample_value("rapt_consumer_lag_seconds", {"group": "sink-firebase"})
    assert age_s is not None
    assert age_s > 0
    await publish(log, status(seq=3, state="absent"))
    server.mend()
    await replica.until_done()
    assert replica.group.trouble is None
    assert student(server)["status"]["state"] == "absent"
    assert student(server)["lecture_video_path"] == "s.mp4"
    assert student(server, "joe")["check_out_time"] == AT_MS + 60_000


async def test_firebase_gone_and_back(log: LocalLog, server: FirebaseServer, start: Start) -> None:
    replica = await start()
    await publish(log, status(seq=1))
    await replica.until_done()
    server.stop()
    await publish(log, *(status(seq=seq) for seq in range(2, 50)), recording(), status("t", student_id="joe"))
    await until(lambda: replica.group.trouble is not None)
    await replica.group.stop()  # and Rapt is started anew meanwhile
    again = await start()
    await until(lambda: again.group.trouble is not None)
    server.start()
    await again.until_done()
    assert again.group.trouble is None
    assert student(server)["status"]["seq"] == 49
    assert student(server)["lecture_video_path"] == "s.mp4"
    assert student(server, "joe")["check_in_time"] == AT_MS


async def test_a_write_whose_answer_was_lost(log: LocalLog, server: FirebaseServer, start: Start) -> None:
    replica = await start()
    server.fail(Fault(lost=True, methods=["PATCH"], times=3))
    await publish(log, status(seq=1), recording())
    await publish(log, status(seq=2, gaze="left"))
    await replica.until_done()
    assert student(server)["status"]["gaze"] == "left"
    assert student(server)["lecture_video_path"] == "s.mp4"


async def test_a_write_that_comes_after_a_newer_one(log: LocalLog, server: FirebaseServer, start: Start) -> None:
    replica = await start(timeout_s=0.3)
    await publish(log, status(seq=1))
    await replica.until_done()
    server.fail(Fault(delay_s=0.7, methods=["PATCH"], times=1))  # given up after 0.3 s, done after 0.7 s
    await publish(log, status(seq=2, gaze="left"))
    await until(lambda: replica.group.trouble is not None)
    await publish(log, status(seq=3, gaze="right"), recording())
    await until(lambda: updates(server) >= 3)
    await replica.until_done()
    assert (student(server)["status"]["gaze"], student(server)["status"]["seq"]) == ("right", 3)
    assert student(server)["lecture_video_path"] == "s.mp4"


async def test_what_firebase_refuses_is_a_dead_letter_and_holds_nobody_up(
    log: LocalLog, server: FirebaseServer, start: Start
) -> None:
    letters = Reader(log, [topics.DEAD_LETTERS], group=None)
    await letters.consumer.start()
    server.load({"lectures": {"PHYS-101": {"attendens": {"a": {"seat": 1}, "b": {"seat": 2}}}}})
    server.fail(Fault(status=400, methods=["PATCH"], times=2))  # the update of both, and then that of the first alone
    replica = Running(log, server)
    await publish(log, status("s", student_id="a"), status("s", student_id="b"))
    await replica.group.start()
    await until(lambda: len(letters.records) == 1)
    await replica.until_done()
    await replica.group.stop()
    await letters.consumer.stop()
    assert letters.records[0].headers["error_class"] == "FirebaseRefused"
    assert letters.records[0].headers["group"] == "sink-firebase"
    written = {name for name in "ab" if "check_in_time" in student(server, name)}
    assert len(written) == 1


async def test_a_record_that_cannot_be_read_is_a_dead_letter(
    log: LocalLog, server: FirebaseServer, start: Start
) -> None:
    letters = Reader(log, [topics.DEAD_LETTERS], group=None)
    await letters.consumer.start()
    replica = await start()
    await (await log.send(topics.STATUS, "s", b"{}"))
    await publish(log, status())
    await replica.until_done()
    await until(lambda: len(letters.records) == 1)
    await letters.consumer.stop()
    assert "Field required" in letters.records[0].headers["error"]
    assert student(server)["check_in_time"] == AT_MS


async def test_so_much_waits_and_no_more(
    log: LocalLog, server: FirebaseServer, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firebase, "MOST_HELD", 10)
    monkeypatch.setattr(firebase, "MOST_RECORDS", 4)
    monkeypatch.setattr(firebase, "ROOM_WITHIN_S", 0.05)
    server.fail(Fault(status=503))
    replica = await start()
    await publish(log, *(status(f"s{n}", student_id=f"student{n}") for n in range(60)))
    await until(lambda: replica.group._full)
    assert replica.group._pending.count < 10 + 4
    server.mend()
    await replica.until_done()
    assert all(student(server, f"student{n}") for n in range(60))


# -- restarts -------------------------------------------------------------------------------------------------------


async def test_nothing_older_overwrites_newer_after_a_restart(
    log: LocalLog, server: FirebaseServer, start: Start
) -> None:
    first = await start()
    await publish(log, status("new", 5, started_at_ms=AT_MS + 9_000, gaze="right"))
    await first.until_done()
    await first.group.stop()
    tree = server.dump()
    second = await start()
    await publish(log, status("new", 4, started_at_ms=AT_MS + 9_000, gaze="up"))  # an earlier one again
    await publish(log, status("new", 99, started_at_ms=AT_MS + 9_000, gaze="left"), epoch=0)
    await second.until_done()
    assert server.dump() == tree
    # A session of before that is ended late, by the idle rule: its check-out counts, its status does not.
    await publish(log, status("old", 99, ended=True, gaze="left"))
    await second.until_done()
    assert student(server)["status"]["session_id"] == "new"
    assert student(server)["check_in_time"] == AT_MS
    assert student(server)["check_out_time"] == AT_MS + 60_000


async def test_two_replicas_share_a_student(log: LocalLog, server: FirebaseServer, start: Start) -> None:
    """The page was loaded anew: the old session, of another partition, is ended while the new one goes on."""
    replicas = [await start(), await start()]
    names = (f"s{number}" for number in itertools.count())
    sessions = [next(names) for _ in range(12)]
    for number, session in enumerate(sessions):
        await publish(log, status(session, 1, started_at_ms=AT_MS + number * 1_000, gaze="left"))
    for replica in replicas:
        await replica.until_done()
    await publish(log, status(sessions[-1], 2, started_at_ms=AT_MS + 11_000, gaze="right"))
    await publish(
        log, *(status(each, 2, ended=True, started_at_ms=AT_MS + n * 1_000) for n, each in enumerate(sessions[:-1]))
    )
    for replica in replicas:
        await replica.until_done()
    node = student(server)
    assert (node["status"]["session_id"], node["status"]["gaze"]) == (sessions[-1], "right")
    assert (node["check_in_time"], node["check_out_time"]) == (AT_MS, AT_MS + 60_000)
