"""Sessions written straight into a log, as ingest would write them, and a reader that counts what comes of them."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from bench.frames import FPS
from schemas.frames import FrameHeaders
from schemas.sessions import Consent, SessionEnd, SessionStart
from schemas.topics import FRAMES, Topic
from services.runtime.clock import now_ms
from services.runtime.log import EventLog, Record

FOUR_SESSIONS = tuple(f"bench-{number}" for number in range(4))

Frames = Callable[[int], Sequence[bytes]]  # of a session's number


class Feed:
    """Sessions whose frames follow each other at 10 fps of capture time, written as fast as the log takes them."""

    def __init__(
        self, log: EventLog, session_ids: Sequence[str], frames: Frames, size: tuple[int, int] = (320, 240)
    ) -> None:
        self._log = log
        self._frames = frames
        self._size = size
        self._session_ids = session_ids
        self._sent = 0
        self._origin_ms = now_ms()

    async def start(self, *, record: bool = False) -> None:
        for session_id in self._session_ids:
            start = SessionStart(
                session_id=session_id,
                student_id="bench",
                lecture_code="BENCH",
                started_at_ms=self._origin_ms,
                frame_width=self._size[0],
                frame_height=self._size[1],
                record=record,
                consent=Consent(recording=record, emotion=True),
            )
            await self._send(session_id, "start", 0, start.encode())

    async def frames(self, count: int) -> None:
        """The next `count` frames of every session."""
        for number in range(self._sent, self._sent + count):
            for index, session_id in enumerate(self._session_ids):
                frames = self._frames(index)
                await self._send(session_id, "frame", number, frames[number % len(frames)])
        self._sent += count

    async def end(self) -> None:
        for session_id in self._session_ids:
            end = SessionEnd(session_id=session_id, reason="client", ended_at_ms=now_ms(), last_seq=self._sent - 1)
            await self._send(session_id, "end", self._sent, end.encode())

    async def _send(self, session_id: str, kind: str, seq: int, value: bytes) -> None:
        captured_ms = self._origin_ms + round(seq * 1000 / FPS)
        headers = FrameHeaders(session_id, kind, seq, captured_ms, now_ms())  # type: ignore[arg-type]
        await self._log.send(FRAMES, session_id, value, headers.encode())


class Results:
    """Counts the records of some topics, by key; `until` waits for a condition over the counts."""

    def __init__(
        self, log: EventLog, topics: Sequence[Topic], wanted: Callable[[Record], bool] = lambda _: True
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._wanted = wanted
        self._moved = asyncio.Condition()
        self._consumer = log.consumer(topics, self, group=None)
        self.start, self.stop = self._consumer.start, self._consumer.stop

    async def assigned(self, partitions: object, epoch: int) -> None: ...

    async def revoked(self, partitions: object) -> None: ...

    async def handle(self, records: Sequence[Record]) -> None:
        async with self._moved:
            self.counts.update(record.key for record in records if self._wanted(record))
            self._moved.notify_all()

    async def reached(self, total: int) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: self.counts.total() >= total)
