"""The analyzer's driver: takes records in, lets threads take the sessions' turns, sends what comes out."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import structlog
from pydantic import ValidationError

from schemas.frames import BadFrame, FrameHeaders
from schemas.sessions import SessionStart
from schemas.topics import ANALYZER_STATE, HOUR_MS
from services.analyzer import snapshots
from services.analyzer.delivery import Batch, Delivery
from services.analyzer.domain.session import SessionState
from services.analyzer.scheduler import Entry, Scheduler, Work
from services.analyzer.turn import Message, Outcome, Subject, Turns
from services.runtime.deadletters import DeadLetters
from services.runtime.log import EventLog, LogUnavailable, Record, TopicPartition
from services.runtime.metrics import Metrics

logger = structlog.get_logger(__name__)

MOST_WAITING = 4096
MOST_WAITING_BYTES = 64 << 20
SNAPSHOT_EVERY_S = 1.0
MOST_UNSETTLED = 256


@dataclass(slots=True)
class Live:
    """A session as this replica holds it."""

    subject: Subject
    source: TopicPartition
    batch: Batch
    settled_at_s: float
    busy: bool = False
    ended_at_s: float | None = None
    settling: asyncio.Task[None] | None = None


class FramesHandler:
    """Handler of the `frames` topic, and the coroutines that take the sessions' turns."""

    def __init__(
        self,
        log: EventLog,
        metrics: Metrics,
        scheduler: Scheduler,
        turns: Turns,
        threads: Executor,
        finish: Callable[[Record], None],
        *,
        clock_ms: Callable[[], int],
        drain_timeout_s: float,
    ) -> None:
        self._log = log
        self._scheduler = scheduler
        self._turns = turns
        self._threads = threads
        self._clock_ms = clock_ms
        self._drain_timeout_s = drain_timeout_s
        self._dead_letters = DeadLetters(log, metrics, "analyzer")
        self.delivery = Delivery(log, finish)
        self._sessions: dict[str, Live] = {}
        self._work = asyncio.Event()
        self._moved = asyncio.Event()  # a turn ended, or a batch was settled
        self._stopping = False
        self._analyzed = metrics.frames_analyzed
        self._skipped = {reason: metrics.frames_skipped.labels(reason) for reason in ("stale", "no_consent")}
        self._unpredicted = metrics.predictions_failed
        self._log_analyzed = metrics.stage_seconds.labels("log_analyzed")
        self._held = metrics.sessions.labels("analyzer")

    # -- what the consumer calls --------------------------------------------------------------------------------

    async def assigned(self, partitions: frozenset[TopicPartition], epoch: int) -> None:
        """Go on from the snapshots of these partitions."""
        for source in partitions:
            for key, record in (await self._log.snapshot(ANALYZER_STATE, source.partition)).items():
                try:
                    state = snapshots.decode(record.value)
                except snapshots.UnreadableSnapshot as error:
                    logger.warning("snapshot cannot be read; the session starts anew", session_id=key, error=str(error))
                    continue
                if state.ended and record.timestamp_ms < self._clock_ms() - HOUR_MS:
                    # Its frames are gone from the log: of no use any more.
                    tombstone = await self.delivery.send(Message(ANALYZER_STATE, key, b"", {}))
                    if tombstone.acknowledged is not None:
                        tombstone.acknowledged.add_done_callback(lambda done: done.exception())
                else:
                    self._sessions[key] = self._open(state, source)
        self._scheduler.assign(partitions, self._clock_ms())
        self._held.set(len(self._sessions))

    async def handle(self, records: Sequence[Record]) -> None:
        """Queue the records; wait while too much waits already."""
        at_rest = self._scheduler.waiting == 0
        for record in records:
            try:
                headers = FrameHeaders.decode(record.headers)
                entry = Entry(record, headers)
            except BadFrame as error:
                entry = Entry(record, None, str(error))
            self._scheduler.add(record.key, entry)
            if self._is_upload(entry):
                self._scheduler.set_upload(record.key)
        self._scheduler.arrived(self._clock_ms(), at_rest=at_rest)
        self._work.set()
        while not self._stopping and self._full:
            await self._next_move()

    async def revoked(self, partitions: frozenset[TopicPartition]) -> None:
        """Finish what waits, as far as the time allows; the rest is read again by the next owner."""
        deadline_s = self._now_s() + self._drain_timeout_s
        await self._until(lambda: self._scheduler.at_rest(partitions), deadline_s)
        self._scheduler.drop(partitions)
        given = [live for live in self._sessions.values() if live.source in partitions]
        await self._until(lambda: not any(live.busy for live in given), deadline_s + 1.0)
        for live in given:
            while live.batch.records or live.settling:
                self._settle(live)
                if live.settling is None or not await self._until(
                    lambda live=live: live.settling is None,  # type: ignore[misc]
                    deadline_s + 1.0,
                ):
                    break
            if live.settling is not None:
                live.settling.cancel()
            self._sessions.pop(live.subject.state.session_id, None)
        self._held.set(len(self._sessions))

    def stopping(self) -> None:
        """The process ends: let `handle` return, so that `revoked` can drain."""
        self._stopping = True
        self._moved.set()

    # -- turns --------------------------------------------------------------------------------------------------

    async def take_turns(self) -> None:
        """Runs as often as turns may be under way at the same time; never returns."""
        while True:
            work = self._scheduler.take(self._clock_ms())
            if work is None:
                self._work.clear()
                await self._work.wait()
                continue
            await self._turn(work)

    async def _turn(self, work: Work) -> None:
        live = self._sessions.get(work.session_id)
        if live is None:
            source = work.entries[0].record.source
            live = self._sessions[work.session_id] = self._open(SessionState(work.session_id), source)
            self._held.set(len(self._sessions))
        live.busy = True
        began_s = self._now_s()
        try:
            loop = asyncio.get_running_loop()
            outcomes = await loop.run_in_executor(self._threads, self._turns.run, live.subject, work.entries)
            took_ms = (self._now_s() - began_s) * 1000
            for outcome in outcomes:
                await self._send(live, outcome)
        finally:
            live.busy = False
        self._scheduler.done(work, took_ms)
        live.batch.state = live.subject.state
        now_s = self._now_s()
        live.ended_at_s = now_s if live.subject.state.ended else None
        due = now_s - live.settled_at_s >= SNAPSHOT_EVERY_S or len(live.batch.records) >= MOST_UNSETTLED
        if due or live.subject.state.ended:
            self._settle(live)
        self._work.set()
        self._moved.set()

    async def _send(self, live: Live, outcome: Outcome) -> None:
        for message in outcome.messages:
            live.batch.sent.append(await self.delivery.send(message))
        if outcome.error is not None:
            await self._bury(outcome)
        if outcome.analyzed_after_ms is not None:
            self._analyzed.inc()
            self._log_analyzed.observe(max(0, outcome.analyzed_after_ms) / 1000)
        elif outcome.skipped is not None:
            self._skipped[outcome.skipped].inc()
        if outcome.unpredicted:
            self._unpredicted.inc()
        live.batch.records.append(outcome.record)

    async def _bury(self, outcome: Outcome) -> None:
        """To the dead letters, for as long as it takes: a record is not done before the log has its letter."""
        assert outcome.error is not None  # noqa: S101 - asked by the caller
        while True:
            try:
                await self._dead_letters.send(outcome.record, outcome.error)
            except LogUnavailable as error:
                self.delivery.failure = error
                await asyncio.sleep(1.0)
            else:
                return

    # -- settling -----------------------------------------------------------------------------------------------

    def _settle(self, live: Live) -> None:
        """Start to settle what was sent, unless a batch of this session is under way: they go one by one."""
        if live.settling is not None or not live.batch.records or live.busy:
            return
        batch, live.batch = live.batch, Batch(live.batch.state)
        live.settled_at_s = self._now_s()
        live.settling = asyncio.create_task(self._settled(live, batch), name="analyzer-settle")

    async def _settled(self, live: Live, batch: Batch) -> None:
        try:
            await self.delivery.settle(batch)
        finally:
            live.settling = None
            self._moved.set()

    # -- upkeep -------------------------------------------------------------------------------------------------

    def upkeep(self) -> None:
        """Called twice a second: settle what waits for it, forget sessions that ended."""
        now_s = self._now_s()
        for session_id, live in list(self._sessions.items()):
            if live.busy:
                continue
            if now_s - live.settled_at_s >= SNAPSHOT_EVERY_S:
                self._settle(live)
            if live.ended_at_s is not None and now_s - live.ended_at_s >= HOUR_MS / 1000 and live.settling is None:
                del self._sessions[session_id]
                self._scheduler.forget(session_id)
        self._held.set(len(self._sessions))

    def cancel(self) -> None:
        """End what is under way, without waiting."""
        for live in self._sessions.values():
            if live.settling is not None:
                live.settling.cancel()

    # -- small things -------------------------------------------------------------------------------------------

    @property
    def _full(self) -> bool:
        return self._scheduler.waiting > MOST_WAITING or self._scheduler.waiting_bytes > MOST_WAITING_BYTES

    def _open(self, state: SessionState, source: TopicPartition) -> Live:
        now_s = self._now_s()
        return Live(
            Subject(state),
            source,
            Batch(state),
            settled_at_s=now_s,
            ended_at_s=now_s if state.ended else None,
        )

    def _is_upload(self, entry: Entry) -> bool:
        """Known from the start in this very record, or from the session's state."""
        if entry.headers is not None and entry.headers.kind == "start":
            try:
                return SessionStart.decode(entry.record.value).upload
            except ValidationError:
                return False
        live = self._sessions.get(entry.record.key)
        start = live.subject.state.start if live else None
        return start is not None and start.upload

    async def _until(self, condition: Callable[[], bool], deadline_s: float) -> bool:
        """Wait until the condition holds; False when the deadline came first."""
        while not condition():
            left_s = deadline_s - self._now_s()
            if left_s <= 0:
                return False
            try:
                async with asyncio.timeout(left_s):
                    await self._next_move()
            except TimeoutError:
                return condition()
        return True

    async def _next_move(self) -> None:
        self._moved.clear()
        await self._moved.wait()

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()
