"""The `frames` topic's handler: hands every record to its session's lane and keeps what waits in bounds."""

import asyncio
from collections.abc import Callable, Sequence

from services.recorder.lane import Lane
from services.recorder.session import Session
from services.runtime.log import Record, TopicPartition

MAX_WAITING_BYTES = 32 << 20


class FramesHandler:
    """Sessions go on side by side, each in its own order. Overflow rule: wait, so that the log keeps the rest."""

    def __init__(
        self, make_session: Callable[[str], Session], count: Callable[[int], None], max_bytes: int = MAX_WAITING_BYTES
    ) -> None:
        self._make_session = make_session
        self._count = count
        self._max_bytes = max_bytes
        self._waiting_bytes = 0
        self._room = asyncio.Event()
        self._lanes: dict[str, Lane] = {}
        self._stopping = False

    def stopping(self) -> None:
        """What is revoked from now on is revoked because this process ends."""
        self._stopping = True

    async def assigned(self, partitions: frozenset[TopicPartition], epoch: int) -> None:
        # A lane of an earlier assignment would take frames that are read again for copies of its own.
        await self._drain(partitions)

    async def handle(self, records: Sequence[Record]) -> None:
        for record in records:
            while self._waiting_bytes >= self._max_bytes:
                self._room.clear()
                for lane in self._lanes.values():
                    lane.hurry()
                await self._room.wait()
            self._waiting_bytes += len(record.value)
            self._lane(record).put(record)

    async def revoked(self, partitions: frozenset[TopicPartition]) -> None:
        drained = await self._drain(partitions)
        if self._stopping:
            # A playable file for every recording that goes on after the restart. Before the partitions are given away:
            # their next owner may finish the recording at once, and this file must not come after that one.
            await asyncio.gather(*(session.leave_playable() for session in drained))

    def _lane(self, record: Record) -> Lane:
        lane = self._lanes.get(record.key)
        if lane is None or lane.retired:
            self._lanes = {key: each for key, each in self._lanes.items() if not each.retired}
            lane = self._lanes[record.key] = Lane(self._make_session(record.key), record.source, self._taken)
            self._count(len(self._lanes))
        return lane

    async def _drain(self, partitions: frozenset[TopicPartition]) -> list[Session]:
        """Do all that waits on these partitions; returns the sessions that were held."""
        lanes = [lane for lane in self._lanes.values() if lane.source in partitions]
        await asyncio.gather(*(lane.drain() for lane in lanes))
        for lane in lanes:
            del self._lanes[lane.session.session_id]
        self._count(len(self._lanes))
        return [lane.session for lane in lanes]

    def _taken(self, size_bytes: int) -> None:
        self._waiting_bytes -= size_bytes
        self._room.set()
