"""The sessions that this replica holds, and what becomes of them when partitions move.

A rebalance takes every partition away and gives most of them back. What comes back with the epoch that follows directly
was nobody else's meanwhile: its sessions go on as they were, if all that they know is in the log. All else is
read from the snapshots.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from schemas.topics import ANALYZER_STATE, DAY_MS, HOUR_MS
from services.analyzer import snapshots
from services.analyzer.delivery import Batch, Delivery, tombstone
from services.analyzer.domain.state import SessionState
from services.analyzer.turn import Subject
from services.runtime.deadletters import DeadLetters, Malformed
from services.runtime.log import EventLog, Record, TopicPartition

KEPT_FOR_S = 60.0  # partitions that have not come back by then (a rebalance takes up to 30 s) are another's


@dataclass(slots=True)
class Live:
    """A session as this replica holds it. Once it is `given` away, nothing more is said of it."""

    subject: Subject
    source: TopicPartition
    batch: Batch
    settled_at_s: float
    busy: bool = False
    ended_at_s: float | None = None
    settling: asyncio.Task[None] | None = None
    given: bool = False

    @property
    def settled(self) -> bool:
        """All that is known of it is in the log."""
        return not (self.busy or self.settling or self.batch.records)


class _Kept(NamedTuple):
    epoch: int
    at_s: float
    sessions: list[Live]


class Holdings:
    """`live` are the sessions of the partitions that are owned now."""

    def __init__(
        self,
        log: EventLog,
        delivery: Delivery,
        dead_letters: DeadLetters,
        clock_ms: Callable[[], int],
    ) -> None:
        self._log = log
        self._delivery = delivery
        self._dead_letters = dead_letters
        self._clock_ms = clock_ms
        self._epochs: dict[TopicPartition, int] = {}
        self._kept: dict[TopicPartition, _Kept] = {}
        self.live: dict[str, Live] = {}

    async def take(self, partitions: frozenset[TopicPartition], epoch: int) -> None:
        """Hold these from now on. Nothing is changed when it raises (`LogUnavailable`)."""
        back = {source for source in partitions if source in self._kept and self._kept[source].epoch + 1 == epoch}
        loaded = await self._load(partitions - back, epoch)
        kept = [live for source in back for live in self._kept[source].sessions]
        for live in kept:
            live.subject.epoch = epoch
        self.live |= {live.subject.state.session_id: live for live in (*kept, *loaded)}
        self._epochs |= dict.fromkeys(partitions, epoch)
        self._kept = {source: each for source, each in self._kept.items() if each.epoch >= epoch}

    def open(self, session_id: str, source: TopicPartition) -> Live:
        """A session of which nothing is known."""
        live = self.live[session_id] = self._live(SessionState(session_id), source, self._epochs.get(source, 0))
        return live

    def of(self, partitions: frozenset[TopicPartition]) -> list[Live]:
        return [live for live in self.live.values() if live.source in partitions]

    def give(self, partitions: frozenset[TopicPartition], *, keep: bool) -> None:
        """These are not owned any more; `keep`: they may come back to what is settled of them."""
        for source in partitions:
            sessions = self.of(frozenset({source}))
            for live in sessions:
                del self.live[live.subject.state.session_id]
            epoch = self._epochs.pop(source, None)
            if keep and epoch is not None and all(live.settled for live in sessions):
                self._kept[source] = _Kept(epoch, time.monotonic(), sessions)
                continue
            for live in sessions:
                live.given = True
                if live.settling is not None:
                    live.settling.cancel()

    def forget_old(self, now_s: float) -> Iterator[str]:
        """Forget what is of no use: partitions that went elsewhere, sessions that ended long ago or never were one."""
        self._kept = {source: each for source, each in self._kept.items() if now_s - each.at_s < KEPT_FOR_S}
        for session_id, live in list(self.live.items()):
            ended = live.ended_at_s is not None and now_s - live.ended_at_s >= HOUR_MS / 1000
            if live.settled and (ended or not snapshots.tells(live.subject.state)):
                del self.live[session_id]
                yield session_id

    async def _load(self, sources: frozenset[TopicPartition], epoch: int) -> list[Live]:
        found: list[Live] = []
        by_number = {source.partition: source for source in sources}
        if not by_number:
            return found
        for session_id, record in (await self._log.snapshot(ANALYZER_STATE, *by_number)).items():
            try:
                state = snapshots.read(record)
            except Malformed as error:  # the session starts anew
                await self._dead_letters.send(record, error)
                await self._bury(session_id, epoch)
                continue
            if self._of_use(state, record):
                found.append(self._live(state, by_number[record.partition], epoch))
            else:
                await self._bury(session_id, epoch)
        return found

    def _of_use(self, state: SessionState, record: Record) -> bool:
        """Its frames may still be in the log; of those that were not ended, the client may still come back."""
        return record.timestamp_ms >= self._clock_ms() - (HOUR_MS if state.ended else DAY_MS)

    async def _bury(self, session_id: str, epoch: int) -> None:
        """Ask for the snapshot to be removed; if that fails, the next one who finds it asks again."""
        sent = await self._delivery.send(tombstone(session_id, epoch))
        if sent.acknowledged is not None:
            sent.acknowledged.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _live(self, state: SessionState, source: TopicPartition, epoch: int) -> Live:
        now_s = time.monotonic()
        ended_at_s = now_s if state.ended else None
        return Live(Subject(state, epoch=epoch), source, Batch(state), settled_at_s=now_s, ended_at_s=ended_at_s)
