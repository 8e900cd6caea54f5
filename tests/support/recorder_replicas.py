"""`rapt recorder` twice on a real Kafka, with a crowd of sessions streaming to whichever owns them."""

import asyncio
import hashlib
import os
import re
import signal
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from schemas.events import RecordingEvent
from schemas.topics import FRAMES, RECORDINGS
from services.recorder.verify import recorded_seqs
from services.runtime.log import EventLog, Record, TopicPartition
from tests.support.processes import RaptProcess
from tests.support.recordings import end_of, headers_of, numbered_jpeg, numbers_in, start_of

FRAME_EVERY_S = 0.2
WITHIN_S = 60.0
SESSIONS = re.compile(r'^rapt_sessions\{service="recorder"\} (\S+)$', re.MULTILINE)


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition on processes or files; asked in a thread."""
    try:
        async with asyncio.timeout(WITHIN_S):
            while not await asyncio.to_thread(condition):
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"never happened: {what}") from None


class Replica(RaptProcess):
    """One recorder of several over the same folder."""

    def __init__(self, name: str, data: Path, bootstrap: str) -> None:
        super().__init__("recorder", data, {"KAFKA_BOOTSTRAP_SERVERS": bootstrap})
        self.output = data.parent / f"{name}.log"

    def sessions(self) -> int:
        """How many sessions it holds; 0 while it does not answer."""
        try:
            with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as answer:  # noqa: S310
                found = SESSIONS.search(answer.read().decode())
        except (urllib.error.URLError, OSError):
            return 0
        return int(float(found[1])) if found else 0

    def send(self, how: signal.Signals) -> None:
        os.kill(self.pid, how)


class Crowd:
    """Sessions that stream until they are told to end. `acknowledged`: session → the seqs that the log has."""

    def __init__(self, log: EventLog, names: Sequence[str]) -> None:
        self.acknowledged: dict[str, list[int]] = {name: [] for name in names}
        self.events: defaultdict[str, list[RecordingEvent]] = defaultdict(list)
        self._log = log
        self._reader = log.consumer([RECORDINGS], self, group=None)
        self._task: asyncio.Task[None] | None = None
        self._seq = 0
        self._ending = asyncio.Event()

    async def start(self) -> None:
        await self._reader.start()
        self._task = asyncio.create_task(self._stream(), name="crowd")

    async def end(self) -> None:
        """Send every session's end."""
        await self._halt()
        await self._send_all("end", self._seq, lambda name: end_of(name).encode())

    async def close(self) -> None:
        await self._halt()
        await self._reader.stop()

    def over(self) -> bool:
        """Whether each recording has ended, one way or the other."""
        return all(any(event.kind != "started" for event in self.events[name]) for name in self.acknowledged)

    async def more(self, frames: int) -> None:
        """Wait until each session has so many frames more in the log."""
        wanted = self._seq + frames
        await until(lambda: self._seq >= wanted, "more frames in the log")

    def assert_nothing_lost_nothing_twice(self, recordings: Path) -> None:
        for name, seqs in self.acknowledged.items():
            kinds = {event.kind for event in self.events[name]}
            assert kinds <= {"started", "completed"}, (name, self.events[name])
            ends = {(event.filename, event.sha256) for event in self.events[name] if event.kind == "completed"}
            [(filename, sha256)] = ends
            assert filename is not None
            content = (recordings / filename).read_bytes()
            assert hashlib.sha256(content).hexdigest() == sha256, name
            assert numbers_in(recordings / filename) == seqs, name
            assert recorded_seqs(recordings, f"r-{name}") == seqs, name
        assert len(list(recordings.glob("*.mp4"))) == len(self.acknowledged)
        assert list((recordings / "open").iterdir()) == []

    async def _stream(self) -> None:
        await self._send_all("start", 0, lambda name: start_of(name, student_id=name).encode())
        while not self._ending.is_set():
            seq = self._seq
            await self._send_all("frame", seq, lambda _: numbered_jpeg(seq))  # noqa: B023 - called at once
            for seqs in self.acknowledged.values():
                seqs.append(seq)
            self._seq += 1
            await asyncio.sleep(FRAME_EVERY_S)  # the cameras' pace

    async def _send_all(self, kind: str, seq: int, value_of: Callable[[str], bytes]) -> None:
        under_way = [
            await self._log.send(FRAMES, name, value_of(name), headers_of(kind, seq, name))
            for name in self.acknowledged
        ]
        await asyncio.gather(*under_way)

    async def _halt(self) -> None:
        self._ending.set()
        if self._task is not None:
            await self._task

    # -- reads `recordings` -------------------------------------------------------------------------------------

    async def assigned(self, partitions: frozenset[TopicPartition], epoch: int) -> None: ...

    async def revoked(self, partitions: frozenset[TopicPartition]) -> None: ...

    async def handle(self, records: Sequence[Record]) -> None:
        for record in records:
            event = RecordingEvent.decode(record.value)
            self.events[event.session_id].append(event)
