"""Sessions on a real log become files: complete, at their own speed, and playable; troubles stay where they arise."""

import asyncio
import errno
import hashlib
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from schemas.events import RecordingEvent
from schemas.frames import FrameHeaders
from schemas.sessions import SessionStart
from schemas.topics import DEAD_LETTERS, FRAMES, RECORDINGS
from services.recorder.app import Recorder, build_app
from services.recorder.disk import Disk
from services.recorder.encoder import Codec, PyavEncoder
from services.recorder.verify import decoded_frames, recorded_frames, recorded_seqs, times_in_file
from services.runtime.lifecycle import StartFailed
from services.runtime.log import Record, TopicPartition
from services.runtime.log.local import LocalLog
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings
from tests.support.needs import absent
from tests.support.recordings import (
    STARTED_AT_MS,
    end_of,
    headers_of,
    numbered_jpeg,
    numbers_in,
    start_of,
)


def streams_of(file: str) -> list[dict[str, str]]:
    """What ffprobe says of a file; every frame is decoded."""
    arguments = ["ffprobe", "-v", "error", "-show_streams", "-count_frames", "-of", "json", file]
    streams: list[dict[str, str]] = json.loads(subprocess.check_output(arguments))["streams"]
    return streams


OVER = {"completed", "failed", "deleted"}


class Seen:
    """What came out of the recorder: its events and dead letters."""

    def __init__(self) -> None:
        self.events: list[RecordingEvent] = []
        self.dead: list[Record] = []
        self._changed = asyncio.Condition()

    async def assigned(self, partitions: frozenset[TopicPartition], epoch: int) -> None: ...

    async def revoked(self, partitions: frozenset[TopicPartition]) -> None: ...

    async def handle(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.topic == RECORDINGS.name:
                self.events.append(RecordingEvent.decode(record.value))
            else:
                self.dead.append(record)
        async with self._changed:
            self._changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with self._changed, asyncio.timeout(20):
            await self._changed.wait_for(condition)

    async def event(self, session_id: str = "s-1", kinds: set[str] = OVER) -> RecordingEvent:
        """The first event of these kinds for this session."""

        def found() -> list[RecordingEvent]:
            return [event for event in self.events if event.session_id == session_id and event.kind in kinds]

        await self.until(lambda: bool(found()))
        return found()[0]


class Rig:
    """A log with a recorder on it, and whoever watches."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.recordings = data / "recordings"
        self.seen = Seen()
        self.log = LocalLog(data / "log.sqlite")
        self.metrics = Metrics()
        self.recorder: Recorder | None = None

    async def start(self, **settings: object) -> Recorder:
        return await self.run(build_app(Settings(rapt_data=self.data, **settings), self.log, self.metrics))  # type: ignore[arg-type]

    async def run(self, recorder: Recorder) -> Recorder:
        self.recorder = recorder
        await recorder.start()
        return recorder

    async def begin(self, start: SessionStart) -> None:
        await self.publish("start", 0, start.encode(), start.session_id)

    async def frames(self, seqs: Sequence[int], session_id: str = "s-1") -> None:
        for seq in seqs:
            await self.publish("frame", seq, numbered_jpeg(seq), session_id)

    async def end(self, session_id: str = "s-1") -> RecordingEvent:
        await self.publish("end", 0, end_of(session_id).encode(), session_id)
        return await self.seen.event(session_id)

    async def publish(self, kind: str, seq: int, value: bytes, session_id: str = "s-1") -> None:
        await (await self.log.send(FRAMES, session_id, value, headers_of(kind, seq, session_id)))

    async def until_all_is_done(self) -> None:
        """Until the group has nothing left to read or to finish."""
        assert self.recorder is not None
        async with asyncio.timeout(20):
            while sum((await self.recorder._consumer.lag()).values()):
                await asyncio.sleep(0.01)

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.recordings)) for path in self.recordings.rglob("*") if path.is_file())


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path)
    await rig.log.start()
    watcher = rig.log.consumer([RECORDINGS, DEAD_LETTERS], rig.seen, group=None)
    await watcher.start()
    yield rig
    await watcher.stop()
    if rig.recorder is not None:
        await rig.recorder.stop()
    await rig.log.close()


async def test_a_session_becomes_a_file_at_its_own_speed(rig: Rig) -> None:
    await rig.start()
    await rig.begin(start_of())
    captured = [STARTED_AT_MS + at_ms for at_ms in (0, 33, 66, 100, 350, 360, 2_500, 2_600, 9_000, 9_001, 9_100)]
    for seq, at_ms in enumerate(captured):
        headers = FrameHeaders("s-1", "frame", seq, at_ms, at_ms + 20).encode()
        await (await rig.log.send(FRAMES, "s-1", numbered_jpeg(seq), headers))
    event = await rig.end()
    await rig.until_all_is_done()

    assert event.kind == "completed"
    assert event.filename == "ann_PHYS-101_20251009T085320000Z.mp4"
    file = rig.recordings / event.filename
    assert numbers_in(file) == list(range(len(captured)))
    assert decoded_frames(file) == event.frame_count == len(captured)
    assert times_in_file(file) == pytest.approx([at_ms - captured[0] for at_ms in captured], abs=1)
    assert recorded_frames(rig.recordings, event.recording_id) == [
        (seq, at_ms - captured[0]) for seq, at_ms in enumerate(captured)
    ]
    content = file.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    assert (event.file_size_bytes, event.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (event.width, event.height, event.first_seq, event.last_seq) == (96, 32, 0, len(captured) - 1)
    assert event.duration_seconds is not None
    assert 9.1 < event.duration_seconds < 10
    thumbnail = cv2.imread(str(file.with_suffix(".jpg")))
    assert thumbnail is not None
    assert thumbnail.shape == (32, 96, 3)
    assert rig.files() == sorted([file.name, file.with_suffix(".jpg").name, "metadata/r-s-1.json"])
    assert [event.kind for event in rig.seen.events] == ["started", "completed"]


@pytest.mark.parametrize(("codec", "name"), [("h264", "h264"), ("avc1", "h264"), ("mp4v", "mpeg4")])
async def test_players_know_the_file(rig: Rig, codec: str, name: str) -> None:
    if shutil.which("ffprobe") is None:
        absent("ffprobe", "not installed")
    await rig.start(recording_default_codec=codec)
    await rig.begin(start_of())
    await rig.frames(range(30))
    event = await rig.end()
    assert event.filename is not None
    file = str(rig.recordings / event.filename)
    [stream] = await asyncio.to_thread(streams_of, file)
    assert (stream["codec_name"], stream["pix_fmt"], stream["nb_read_frames"]) == (name, "yuv420p", "30")
    assert float(stream["duration"]) == pytest.approx(3.0, abs=0.001)
    assert stream.get("color_range", "tv") == "tv"


async def test_what_comes_again_is_taken_once(rig: Rig) -> None:
    await rig.start()
    await rig.begin(start_of())
    await rig.frames(range(12))
    await rig.begin(start_of())
    await rig.frames(range(5, 40))
    await rig.frames([3, 39])
    event = await rig.end()
    await rig.frames(range(40))
    await rig.publish("end", 0, end_of().encode())
    await rig.until_all_is_done()
    assert event.filename is not None
    assert numbers_in(rig.recordings / event.filename) == list(range(40))
    assert [event.frame_count for event in rig.seen.events if event.kind == "completed"] == [40] * (
        len(rig.seen.events) - 1
    )


@pytest.mark.parametrize(("record", "consent"), [(True, False), (False, True)])
async def test_nothing_is_written_without_wish_and_consent(rig: Rig, record: bool, consent: bool) -> None:
    await rig.start()
    await rig.begin(start_of(record=record, consent=consent))
    await rig.frames(range(5))
    await rig.publish("end", 5, end_of().encode())
    await rig.until_all_is_done()
    assert rig.files() == []
    assert rig.seen.events == []


async def test_a_dev_mode_session_leaves_no_file_and_no_name(rig: Rig) -> None:
    await rig.start()
    await rig.begin(start_of(dev_mode=True))
    await rig.frames(range(30))
    event = await rig.end()
    await rig.until_all_is_done()
    assert (event.kind, event.frame_count, event.filename) == ("deleted", 30, None)
    assert rig.files() == []
    assert all(event.filename is None for event in rig.seen.events)


async def test_damaged_frames_go_to_dead_letters_and_the_rest_is_recorded(rig: Rig) -> None:
    await rig.start()
    await rig.begin(start_of())
    await rig.frames([0, 1])
    await rig.publish("frame", 2, numbered_jpeg(2)[:-40])
    await rig.publish("frame", 3, b"")
    await rig.frames([4])
    await (await rig.log.send(FRAMES, "s-1", numbered_jpeg(5), {"kind": "frame", "session_id": "s-1"}))
    await rig.publish("start", 5, b"{}")
    event = await rig.end()
    await rig.seen.until(lambda: len(rig.seen.dead) == 4)
    assert event.kind == "completed"
    assert recorded_seqs(rig.recordings, event.recording_id) == [0, 1, 4]
    assert {record.headers.get("seq") for record in rig.seen.dead} == {"2", "3", None, "5"}
    assert all(record.headers["origin_topic"] == "frames" and record.headers["error"] for record in rig.seen.dead)


async def test_pictures_of_every_size_and_kind_end_up_in_one_file(rig: Rig) -> None:
    await rig.start()
    await rig.begin(start_of())
    sizes = [(96, 32), (192, 64), (97, 33), (48, 16), (960, 320)]
    for seq in range(50):
        await rig.publish("frame", seq, numbered_jpeg(seq, sizes[seq // 10]))
    grey = cv2.imencode(".jpg", np.full((32, 96), 90, np.uint8))[1].tobytes()
    await rig.publish("frame", 50, grey)
    event = await rig.end()
    assert event.filename is not None
    assert (event.width, event.height) == (96, 32)
    assert numbers_in(rig.recordings / event.filename)[:50] == list(range(50))
    assert event.frame_count == 51


async def test_the_resolution_setting_is_the_recordings_size(rig: Rig) -> None:
    await rig.start(recording_default_resolution="193x65")
    await rig.begin(start_of())
    await rig.frames(range(5))
    event = await rig.end()
    assert event.filename is not None
    assert (event.width, event.height) == (192, 64)
    assert numbers_in(rig.recordings / event.filename) == list(range(5))


async def test_frames_are_done_though_no_more_arrive(rig: Rig) -> None:
    await rig.start()
    await rig.begin(start_of())
    await rig.frames(range(3))
    await rig.until_all_is_done()
    assert recorded_seqs(rig.recordings, "r-s-1") == [0, 1, 2]


async def test_a_stop_leaves_a_playable_file_and_the_next_start_goes_on(rig: Rig) -> None:
    first = await rig.start()
    await rig.begin(start_of())
    await rig.frames(range(25))
    await rig.seen.event(kinds={"started"})
    await first.stop()
    [file] = rig.recordings.glob("*.mp4")
    seen = numbers_in(file)
    assert seen == recorded_seqs(rig.recordings, "r-s-1") == list(range(len(seen)))

    await rig.start()
    await rig.frames(range(20, 50))
    event = await rig.end()
    assert event.filename == file.name
    assert numbers_in(file) == list(range(50))


async def test_a_session_without_frames_says_so(rig: Rig) -> None:
    await rig.start()
    await rig.begin(start_of())
    event = await rig.end()
    assert (event.kind, event.error) == ("failed", "no frame arrived that could be recorded")
    assert not list(rig.recordings.glob("*.mp4"))


class FullDisk(Disk):
    """Takes so many segments of one session, then refuses all of its, `times` times (None: for ever)."""

    def __init__(self, segments: int, times: int | None, session_id: str = "s-1") -> None:
        self._left = segments
        self._times = times
        self._folder = f"r-{session_id}"
        self.refused = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def write(self, path: Path, content: bytes) -> None:
        if path.parent.name == self._folder and path.suffix == ".mp4":
            if self._left == 0 and self._times != 0:
                self._times = None if self._times is None else self._times - 1
                path.write_bytes(content[:100])
                self._loop.call_soon_threadsafe(self.refused.set)
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
            self._left -= self._left > 0
        super().write(path, content)


async def test_a_full_disk_is_waited_for(rig: Rig) -> None:
    disk = FullDisk(segments=2, times=3)
    await rig.run(build_app(Settings(rapt_data=rig.data), rig.log, rig.metrics, disk=disk))
    for session_id in ("s-1", "s-2"):
        await rig.begin(start_of(session_id).model_copy(update={"student_id": session_id}))
    await rig.frames(range(90))
    await rig.frames(range(90), "s-2")
    other = await rig.end("s-2")
    ended = await rig.end("s-1")
    await rig.until_all_is_done()

    assert disk.refused.is_set()
    assert (other.kind, other.frame_count) == ("completed", 90)
    assert (ended.kind, ended.frame_count) == ("completed", 90)
    assert ended.filename is not None
    assert numbers_in(rig.recordings / ended.filename) == recorded_seqs(rig.recordings, "r-s-1") == list(range(90))


async def test_a_disk_that_stays_full_leaves_the_rest_to_the_next_recorder(rig: Rig) -> None:
    disk = FullDisk(segments=2, times=None)
    first = build_app(Settings(rapt_data=rig.data), rig.log, rig.metrics, disk=disk)
    await rig.run(first)
    await rig.begin(start_of())
    await rig.frames(range(90))
    await disk.refused.wait()
    await first.stop()
    assert recorded_seqs(rig.recordings, "r-s-1") == list(range(42))

    await rig.start()
    ended = await rig.end()
    await rig.until_all_is_done()
    assert (ended.kind, ended.frame_count) == ("completed", 90)
    assert recorded_seqs(rig.recordings, "r-s-1") == list(range(90))


async def test_a_segment_that_was_damaged_fails_the_recording_by_name(rig: Rig) -> None:
    await rig.start()
    await rig.begin(start_of())
    await rig.frames(range(21))
    await rig.until_all_is_done()
    segment = rig.recordings / "open" / "r-s-1" / "000000-1.mp4"
    segment.write_bytes(segment.read_bytes()[:-100])
    await rig.frames(range(21, 42))
    event = await rig.end()
    await rig.until_all_is_done()
    assert event.kind == "failed"
    assert event.error is not None
    assert event.error.startswith("the file could not be finished: 000000-1.mp4: ")
    assert (segment.parent / "000001-1.mp4").exists()


async def broken_manifest(rig: Rig, break_it: Callable[[bytes], bytes]) -> None:
    """Record 21 frames, stop, break the manifest, start again and go on with the session."""
    first = await rig.start()
    await rig.begin(start_of())
    await rig.frames(range(21))
    await rig.until_all_is_done()
    await first.stop()
    [manifest] = (rig.recordings / "open" / "r-s-1").glob("manifest*")
    manifest.write_bytes(break_it(manifest.read_bytes()))
    await rig.start()
    await rig.frames(range(21, 30))


async def test_a_manifest_that_breaks_off_ends_as_failed_with_what_can_be_read(rig: Rig) -> None:
    await broken_manifest(rig, lambda content: content + b"rubbish\n")
    event = await rig.seen.event()
    assert event.kind == "failed"
    assert event.error is not None
    assert "line 3 of the manifest cannot be read" in event.error
    rig.seen.events.clear()
    event = await rig.end()
    await rig.until_all_is_done()
    assert (event.kind, event.frame_count, event.error is not None) == ("failed", 21, True)
    assert event.filename is not None
    assert numbers_in(rig.recordings / event.filename) == list(range(21))


async def test_a_manifest_that_tells_nothing_puts_the_end_among_the_dead_letters(rig: Rig) -> None:
    await broken_manifest(rig, lambda content: b"rubbish\n" + content)
    await rig.publish("end", 30, end_of().encode())
    await rig.until_all_is_done()
    await rig.seen.until(lambda: len(rig.seen.dead) == 1)
    [letter] = rig.seen.dead
    assert (letter.headers["kind"], letter.headers["error_class"]) == ("end", "ManifestBroken")
    assert "line 1 of the manifest cannot be read" in letter.headers["error"]
    assert (rig.recordings / "open" / "r-s-1" / "000000-1.mp4").exists()


async def test_a_session_that_starts_again_is_told_that_its_manifest_tells_nothing(rig: Rig) -> None:
    await broken_manifest(rig, lambda content: b"rubbish\n" + content)
    await rig.begin(start_of())
    event = await rig.seen.event()
    assert event.error is not None
    assert "line 1 of the manifest cannot be read" in event.error
    await rig.publish("end", 30, end_of().encode())
    await rig.until_all_is_done()
    assert rig.seen.dead == []


class WornAtOpening(Disk):
    """Takes no further manifest."""

    def create(self, path: Path, content: bytes) -> bool:
        if path.suffix == ".jsonl":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return super().create(path, content)


async def test_a_recording_that_cannot_be_gone_on_with_fails_and_keeps_what_is_there(rig: Rig) -> None:
    first = await rig.start()
    await rig.begin(start_of())
    await rig.frames(range(21))
    await rig.until_all_is_done()
    await first.stop()
    await rig.run(build_app(Settings(rapt_data=rig.data), rig.log, rig.metrics, disk=WornAtOpening()))
    await rig.frames(range(21, 30))
    event = await rig.seen.event()
    assert (event.kind, event.error) == ("failed", "the recording cannot be written: Input/output error")
    assert event.frame_count == 21
    await rig.until_all_is_done()
    assert recorded_seqs(rig.recordings, "r-s-1") == list(range(21))


class HomelessDisk(Disk):
    """Has no place for final files."""

    def publish(self, temporary: Path, final: Path) -> None:
        raise OSError(errno.EIO, "Input/output error", str(final))


async def test_a_file_that_cannot_be_finished_keeps_its_segments(rig: Rig) -> None:
    await rig.run(build_app(Settings(rapt_data=rig.data), rig.log, rig.metrics, disk=HomelessDisk()))
    await rig.begin(start_of())
    await rig.frames(range(10))
    event = await rig.end()
    await rig.until_all_is_done()
    assert (event.kind, event.filename) == ("failed", None)
    assert event.error == "the file could not be finished: Input/output error"
    assert recorded_seqs(rig.recordings, "r-s-1") == list(range(10))
    assert decoded_frames(rig.recordings / "open" / "r-s-1" / "000000-1.mp4") == 10


class ClosedDisk(Disk):
    """Lets nothing begin."""

    def create(self, path: Path, content: bytes) -> bool:
        raise OSError(errno.EROFS, "Read-only file system", str(path))


async def test_a_recording_that_cannot_begin_says_why_and_holds_nothing_up(rig: Rig) -> None:
    await rig.run(build_app(Settings(rapt_data=rig.data), rig.log, rig.metrics, disk=ClosedDisk()))
    await rig.begin(start_of())
    await rig.frames(range(5))
    event = await rig.end()
    await rig.until_all_is_done()
    assert (event.kind, event.error) == ("failed", "the recording cannot be written: Read-only file system")


class BrokenEncoder(PyavEncoder):
    """Fails in a way that nobody foresaw."""

    def __init__(self, codec: Codec, size: tuple[int, int] | None) -> None:
        super().__init__(codec, size)
        self._left = 30

    def add(self, jpeg: bytes, pts_ms: int) -> None:
        self._left -= 1
        if self._left == 0:
            raise RuntimeError("a bug")
        super().add(jpeg, pts_ms)


async def test_a_bug_ends_the_recording_and_not_the_recorder(rig: Rig) -> None:
    await rig.run(build_app(Settings(rapt_data=rig.data), rig.log, rig.metrics, encoder=BrokenEncoder))
    await rig.begin(start_of())
    await rig.frames(range(60))
    event = await rig.seen.event()
    assert event.kind == "failed"
    assert event.error == "the recording cannot be written: a bug"
    await rig.until_all_is_done()


async def test_a_folder_that_cannot_be_made_stops_the_start(rig: Rig) -> None:
    rig.recordings.write_text("a file is in the way")
    with pytest.raises(StartFailed, match=r"recordings cannot be written to .*VIDEO_STORAGE_PATH"):
        await build_app(Settings(rapt_data=rig.data), rig.log, rig.metrics).start()


async def test_many_sessions_of_one_moment_within_tight_bounds(rig: Rig) -> None:
    recorder = build_app(Settings(rapt_data=rig.data), rig.log, rig.metrics)
    recorder._handler._max_bytes = 5_000  # a few frames
    await rig.run(recorder)
    sessions = [f"s-{number}" for number in range(8)]
    for session_id in sessions:
        await rig.begin(start_of(session_id))
    for seq in range(0, 30, 10):
        for session_id in sessions:
            await rig.frames(range(seq, seq + 10), session_id)
    for session_id in sessions:
        event = await rig.end(session_id)
        assert event.filename is not None
        assert numbers_in(rig.recordings / event.filename) == list(range(30))
    await rig.until_all_is_done()
    assert len(list(rig.recordings.glob("*.mp4"))) == len(sessions)
