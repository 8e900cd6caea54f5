"""The `frames` topic's handler: hands every record to its session's lane and keeps what waits in bounds.

What waits is the *waiting frames*: records that were read and that no session has taken yet, of all sessions together
at most `MAX_WAITING_BYTES` (and the batch's record that goes beyond). Overflow rule: wait. The log keeps the rest, the
group's lag tells how much that is, and no frame is ever skipped.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from services.recorder.lane import Lane, weight_of
from services.recorder.session import Session
from services.runtime.log import Record, TopicPartition

logger = structlog.get_logger(__name__)

MAX_WAITING_BYTES = 32 << 20


class FramesHandler:
    """Sessions go on side by side, each in its own order. `playable_within_s` bounds what a stop spends on files that
    the next start would make as well."""

    def __init__(
        self,
        make_session: Callable[[str, int], Session],
        count: Callable[[int], None],
        *,
        playable_within_s: float,
        max_bytes: int = MAX_WAITING_BYTES,
    ) -> None:
        self._make_session = make_session
        self._count = count
        self._playable_within_s = playable_within_s
        self._max_bytes = max_bytes
        self._waiting_bytes = 0
        self._room = asyncio.Event()
        self._lanes: dict[str, Lane] = {}
        self._epochs: dict[TopicPartition, int] = {}
        self._stopping = False

    def stopping(self) -> None:
        """What is revoked from now on is revoked because this process ends; nothing more is taken."""
        self._stopping = True
        self._room.set()

    async def assigned(self, partitions: frozenset[TopicPartition], epoch: int) -> None:
        # A lane of an earlier assignment would take frames that are read again for copies of its own.
        await self._drain(partitions)
        self._epochs |= dict.fromkeys(partitions, epoch)

    async def handle(self, records: Sequence[Record]) -> None:
        for record in records:
            while self._waiting_bytes >= self._max_bytes and not self._stopping:
                self._room.clear()
                for lane in self._lanes.values():
                    lane.hurry()
                await self._room.wait()
            if self._stopping:
                return  # no later record may be taken either: this one is not finished, and comes to the next owner
            self._waiting_bytes += weight_of(record)
            self._lane(record).put(record)

    async def revoked(self, partitions: frozenset[TopicPartition]) -> None:
        drained = await self._drain(partitions)
        if self._stopping:
            # A playable file for every recording that goes on after the restart. Before the partitions are given away:
            # their next owner may finish the recording at once, and this file must not come after that one.
            try:
                async with asyncio.timeout(self._playable_within_s):
                    await asyncio.gather(*(session.leave_playable() for session in drained))
            except TimeoutError:
                logger.warning("no time for every playable file; the next start makes them")

    def _lane(self, record: Record) -> Lane:
        lane = self._lanes.get(record.key)
        if lane is None or lane.retired:
            self._lanes = {key: each for key, each in self._lanes.items() if not each.retired}
            session = self._make_session(record.key, self._epochs[record.source])
            lane = self._lanes[record.key] = Lane(session, record.source, self._taken)
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
