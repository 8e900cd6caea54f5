"""A session is killed at every single thing that it does to the disk or to the log, and resumed: nothing is lost.

Or it falls asleep there, another replica takes over, and it wakes up: the recording is the other's, and whole.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from schemas.events import RecordingEvent
from schemas.topics import HOUR_MS
from services.recorder.archive import Archive
from services.recorder.disk import Disk
from services.recorder.encoder import PyavEncoder
from services.recorder.session import Session, Tools
from services.recorder.verify import recorded_seqs
from services.runtime.clock import now_ms
from services.runtime.log import Record
from services.runtime.log.offsets import OffsetTracker
from services.runtime.metrics import Metrics
from tests.support.recordings import numbers_in, records_of, start_of

SEQS = [*range(25), *range(28, 50)]
BATCH = 6
PREPARED = 3  # deeds before the first record is read: three folders


class Killed(BaseException):
    """No `except Exception` holds it, as nothing holds kill -9."""


class Fate:
    """Counts what is done, and kills at one of these deeds: before it, or with half of it done."""

    def __init__(self, kill_at: int | None) -> None:
        self._kill_at = kill_at
        self.deeds = 0

    def deed(self, half: Callable[[], object] = lambda: None) -> None:
        self.deeds += 1
        if self.deeds == self._kill_at:
            half()
            raise Killed


class MortalDisk(Disk):
    def __init__(self, fate: Fate) -> None:
        self._fate = fate

    def make_folder(self, folder: Path) -> None:
        self._fate.deed()
        super().make_folder(folder)

    def write(self, path: Path, content: bytes) -> None:
        self._fate.deed(lambda: path.write_bytes(content[: len(content) // 2]))
        super().write(path, content)

    def append(self, path: Path, content: bytes, valid_bytes: int) -> int:
        def half() -> None:
            with path.open("ab") as file:
                file.write(content[: len(content) // 2])

        self._fate.deed(half)
        return super().append(path, content, valid_bytes)

    def create(self, path: Path, content: bytes) -> bool:
        self._fate.deed(lambda: path.write_bytes(content[: len(content) // 2]))
        return super().create(path, content)

    def publish(self, temporary: Path, final: Path) -> None:
        self._fate.deed()
        super().publish(temporary, final)

    def remove(self, path: Path) -> None:
        self._fate.deed()
        super().remove(path)


class Publisher:
    """Stands in for the log's side; killed before or after an event is in the log."""

    def __init__(self, fate: Fate, events: list[RecordingEvent]) -> None:
        self._fate = fate
        self._events = events

    async def event(self, event: RecordingEvent, epoch: int) -> None:
        self._fate.deed()
        self._events.append(event)
        self._fate.deed()

    async def dead_letter(self, record: Record, error: Exception) -> None:
        raise AssertionError(f"no record here is malformed, but: {error}")


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


class Life:
    """A recorder that reads a session's records, dies when fate wants it, and starts again at what was committed."""

    def __init__(self, folder: Path, threads: ThreadPoolExecutor, dev_mode: bool) -> None:
        self.folder = folder
        self.events: list[RecordingEvent] = []
        self._threads = threads
        self._records = records_of(SEQS, start_of(dev_mode=dev_mode))
        self._committed = 0

    def live(self, kill_at: int | None = None) -> int:
        """Read to the end, or to the deed of that number; returns how many deeds there were."""
        fate = Fate(kill_at)
        tracker = OffsetTracker(self._committed)
        tools = Tools(
            archive=Archive(self.folder, "h264", None, PyavEncoder, MortalDisk(fate)),
            publisher=Publisher(fate, self.events),  # type: ignore[arg-type]
            finish=lambda record: tracker.finish(record.offset),
            threads=self._threads,
            metrics=Metrics(),
            now_ms=lambda: 1,
        )
        left = self._records[self._committed :]
        for record in left:
            tracker.add(record.offset)

        async def read() -> None:
            tools.archive.prepare()
            session = Session("s-1", 1, tools)
            for at in range(0, len(left), BATCH):
                await session.take(left[at : at + BATCH])

        try:
            asyncio.run(read())
        except Killed:
            pass
        else:
            assert kill_at is None or fate.deeds < kill_at
        self._committed = tracker.committable
        return fate.deeds

    @property
    def done(self) -> bool:
        return self._committed == len(self._records)


def test_a_recording_survives_a_kill_at_every_deed(tmp_path: Path, threads: ThreadPoolExecutor) -> None:
    deeds = Life(tmp_path / "whole", threads, dev_mode=False).live()
    assert deeds > 20
    for kill_at in range(1, deeds + 1):
        life = Life(tmp_path / str(kill_at), threads, dev_mode=False)
        life.live(kill_at)
        life.live()
        assert life.done, kill_at
        [file] = life.folder.glob("*.mp4")
        assert numbers_in(file) == SEQS, kill_at
        assert recorded_seqs(life.folder, "r-s-1") == SEQS
        assert life.events[-1].kind == "completed", kill_at
        assert life.events[-1].filename == file.name
        assert list((life.folder / "open").iterdir()) == [], kill_at


def test_two_kills_are_survived(tmp_path: Path, threads: ThreadPoolExecutor) -> None:
    deeds = Life(tmp_path / "whole", threads, dev_mode=False).live()
    for first in range(1, deeds + 1, 5):
        life = Life(tmp_path / str(first), threads, dev_mode=False)
        life.live(first)
        life.live(4)
        life.live()
        [file] = life.folder.glob("*.mp4")
        assert numbers_in(file) == SEQS, first
        assert life.done


def test_a_dev_mode_session_leaves_nothing_whenever_it_is_killed(tmp_path: Path, threads: ThreadPoolExecutor) -> None:
    deeds = Life(tmp_path / "whole", threads, dev_mode=True).live()
    for kill_at in range(1, deeds + 1):
        life = Life(tmp_path / str(kill_at), threads, dev_mode=True)
        life.live(kill_at)
        life.live()
        assert life.done, kill_at
        assert sorted(path.name for path in life.folder.rglob("*")) == ["metadata", "open"], kill_at
        assert [event.kind for event in life.events][-1] == "deleted", kill_at
        assert all(event.filename is None for event in life.events)


class Sleep(Fate):
    """At one of the deeds, `meanwhile` happens first."""

    def __init__(self, sleep_at: int) -> None:
        super().__init__(None)
        self._sleep_at = sleep_at
        self.meanwhile: Callable[[], object] = lambda: None

    def deed(self, half: Callable[[], object] = lambda: None) -> None:
        super().deed(half)
        if self.deeds == self._sleep_at:
            self.meanwhile()


class Owner:
    """A recorder that reads a session's records, as far as it is told to."""

    def __init__(self, folder: Path, fate: Fate, epoch: int, *, dev_mode: bool = False) -> None:
        self.events: list[RecordingEvent] = []
        self._records = records_of(SEQS, start_of(dev_mode=dev_mode))
        self._tracker = OffsetTracker(0)
        self._at = 0
        self._loop = asyncio.new_event_loop()
        self._threads = ThreadPoolExecutor(1)
        tools = Tools(
            archive=Archive(folder, "h264", None, PyavEncoder, MortalDisk(fate)),
            publisher=Publisher(fate, self.events),  # type: ignore[arg-type]
            finish=lambda record: self._tracker.finish(record.offset),
            threads=self._threads,
            metrics=Metrics(),
            now_ms=lambda: 1,
        )
        tools.archive.prepare()
        self._session = Session("s-1", epoch, tools)

    @property
    def committed(self) -> int:
        return self._tracker.committable

    def read(self, records: int, begin_at: int | None = None) -> None:
        """Take so many records more, in a thread of its own: the caller's may belong to the other's loop."""

        def take() -> None:
            for _ in range(records):
                for record in self._records[self._at : self._at + 1]:
                    self._at += 1
                    self._tracker.add(record.offset)
                    self._loop.run_until_complete(self._session.take([record]))

        self._at = self._at if begin_at is None else begin_at
        with ThreadPoolExecutor(1) as thread:
            thread.submit(take).result()

    def whole(self) -> None:
        """Take all that is left, and end."""
        self.read(1000)
        self.close()

    def close(self) -> None:
        self._threads.shutdown()
        self._loop.close()


def take_over(other: Owner, sleeper: Owner, records: int) -> None:
    other.read(records, begin_at=sleeper.committed)


@pytest.mark.parametrize("taken_meanwhile", [1, 24, 1000])
def test_who_wakes_up_after_it_was_replaced_lets_go(tmp_path: Path, taken_meanwhile: int) -> None:
    awake = Owner(tmp_path / "whole", fate := Fate(None), epoch=1)
    awake.read(1000)
    assert awake.committed == len(records_of(SEQS, start_of()))
    awake.close()
    for sleep_at in range(PREPARED + 1, fate.deeds + 1):
        folder = tmp_path / str(sleep_at)
        sleep = Sleep(sleep_at)
        other, sleeper = Owner(folder, Fate(None), epoch=2), Owner(folder, sleep, epoch=1)
        sleep.meanwhile = partial(take_over, other, sleeper, taken_meanwhile)
        sleeper.read(1000)
        other.read(1000)
        [file] = folder.glob("*.mp4")
        assert numbers_in(file) == SEQS, sleep_at
        assert recorded_seqs(folder, "r-s-1") == SEQS, sleep_at
        assert {event.kind for event in [*sleeper.events, *other.events]} <= {"started", "completed"}, sleep_at
        ends = [event for event in [*sleeper.events, *other.events] if event.kind == "completed"]
        assert {event.sha256 for event in ends} == {hashlib.sha256(file.read_bytes()).hexdigest()}, sleep_at
        assert list((folder / "open").iterdir()) == [], sleep_at
        sleeper.close()
        other.close()


@pytest.mark.parametrize("taken_meanwhile", [24, 1000])
def test_a_dev_mode_session_leaves_nothing_whoever_sleeps(tmp_path: Path, taken_meanwhile: int) -> None:
    Owner(tmp_path / "whole", fate := Fate(None), epoch=1, dev_mode=True).whole()
    for sleep_at in range(PREPARED + 1, fate.deeds + 1):
        folder = tmp_path / str(sleep_at)
        sleep = Sleep(sleep_at)
        other = Owner(folder, Fate(None), epoch=2, dev_mode=True)
        sleeper = Owner(folder, sleep, epoch=1, dev_mode=True)
        sleep.meanwhile = partial(take_over, other, sleeper, taken_meanwhile)
        sleeper.whole()
        other.whole()
        events = [*sleeper.events, *other.events]
        assert {event.kind for event in events} <= {"started", "deleted"}, sleep_at
        assert "deleted" in {event.kind for event in events}, sleep_at
        assert all(event.filename is None for event in events)
        sweep(folder, later_ms=30 * 60_000)
        sweep(folder, later_ms=2 * HOUR_MS)
        assert sorted(path.name for path in folder.rglob("*")) == ["metadata", "open"], sleep_at


def test_a_sweep_leaves_what_is_under_way(tmp_path: Path) -> None:
    for name, dev_mode in (("dev", True), ("kept", False)):
        owner = Owner(tmp_path / name, Fate(None), epoch=1, dev_mode=dev_mode)
        owner.read(40)
        owner.close()
        sweep(tmp_path / name, later_ms=30 * 60_000)
        assert recorded_seqs(tmp_path / name, "r-s-1")
    for name in ("dev", "kept"):
        sweep(tmp_path / name, later_ms=2 * HOUR_MS)
    assert recorded_seqs(tmp_path / "kept", "r-s-1")
    assert list((tmp_path / "dev" / "open").iterdir()) == []


def sweep(folder: Path, later_ms: int) -> None:
    Archive(folder, "h264", None, PyavEncoder, Disk()).sweep(now_ms() + later_ms)


def test_who_was_replaced_before_it_looked_does_not_take_the_recording_back(tmp_path: Path) -> None:
    """Its records were read before it fell asleep, so that it comes to them when it wakes."""
    other, sleeper = Owner(tmp_path, Fate(None), epoch=2), Owner(tmp_path, Fate(None), epoch=1)
    other.read(30)
    sleeper.read(1000)
    assert (sleeper.committed, sleeper.events) == (0, [])
    other.read(1000)
    [file] = tmp_path.glob("*.mp4")
    assert numbers_in(file) == SEQS
    for owner in (other, sleeper):
        owner.close()
