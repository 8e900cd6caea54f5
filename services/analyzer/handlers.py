"""The analyzer's driver: takes records in, lets threads take the sessions' turns, sends what comes out."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

import structlog

from schemas.sessions import SessionStart
from services.analyzer.delivery import Batch, Delivery
from services.analyzer.holdings import Holdings, Live
from services.analyzer.lease import Lease
from services.analyzer.scheduler import Entry, Scheduler, Work
from services.analyzer.turn import Outcome, Turns
from services.runtime.backoff import until_taken
from services.runtime.deadletters import DeadLetters, Malformed
from services.runtime.log import EventLog, LogUnavailable, Record, TopicPartition
from services.runtime.metrics import Metrics
from services.runtime.records import decoded, frame_headers

logger = structlog.get_logger(__name__)

MOST_WAITING = 4096
MOST_WAITING_BYTES = 64 << 20
SNAPSHOT_EVERY_S = 1.0
MOST_UNSETTLED = 256
HAND_OVER_WITHIN_S = 0.5  # all members of the group wait for each other at a rebalance
LAST_WORDS_WITHIN_S = 1.0  # of the turns that the end interrupts
# Compaction keeps the last snapshot of a session, be it one that an earlier owner wrote when it woke up. It comes five
# minutes after that at the earliest (`runtime.log.topics`); until then the owner has said again what holds.
SAY_AGAIN_EVERY_S = 60.0


class _GivenAway(Exception):
    """The session is not owned any more: its next owner goes on."""


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
        self._scheduler = scheduler
        self._turns = turns
        self._threads = threads
        self._clock_ms = clock_ms
        self._drain_timeout_s = drain_timeout_s
        self._dead_letters = DeadLetters(log, metrics, "analyzer")
        self.delivery = Delivery(log, finish)
        self._holdings = Holdings(log, self.delivery, self._dead_letters, clock_ms)
        self._lease = Lease(time.monotonic())
        self._work = asyncio.Event()
        self._moved = asyncio.Event()  # a turn ended, a batch was settled, partitions went
        self._stopping = False
        self._analyzed = metrics.frames_analyzed
        self._skipped = {reason: metrics.frames_skipped.labels(reason) for reason in ("stale", "no_consent")}
        self._unpredicted = metrics.predictions_failed
        self._log_analyzed = metrics.stage_seconds.labels("log_analyzed")
        self._held = metrics.sessions.labels("analyzer")

    # -- what the consumer calls --------------------------------------------------------------------------------

    async def assigned(self, partitions: frozenset[TopicPartition], epoch: int) -> None:
        """Go on with the sessions of these partitions."""
        await self._holdings.take(partitions, epoch)
        self._lease.renew(time.monotonic())
        self._scheduler.assign(partitions, self._clock_ms())
        self._held.set(len(self._holdings.live))

    async def handle(self, records: Sequence[Record]) -> None:
        """Queue the records; wait while too much waits already."""
        at_rest = self._scheduler.waiting == 0
        for record in records:
            try:
                entry = Entry(record, frame_headers(record))
            except Malformed as error:
                entry = Entry(record, None, str(error))
            self._scheduler.add(record.key, entry)
            if self._is_upload(entry):
                self._scheduler.set_upload(record.key)
        self._scheduler.arrived(self._clock_ms(), at_rest=at_rest)
        self._work.set()
        while not self._stopping and self._full:
            await self._next_move()

    async def revoked(self, partitions: frozenset[TopicPartition]) -> None:
        """At a rebalance: finish the turns under way, and settle. At the end: also what waits, as far as the time
        allows. The rest is read again by the next owner, which may be this replica."""
        if self._stopping:
            await self._until(lambda: self._scheduler.at_rest(partitions), self._drain_timeout_s)
        self._scheduler.drop(partitions)
        sessions = self._holdings.of(partitions)
        limit_s = LAST_WORDS_WITHIN_S if self._stopping else HAND_OVER_WITHIN_S
        await self._until(lambda: self._settle_all(sessions), limit_s)
        self._holdings.give(partitions, keep=not self._stopping)
        self._moved.set()
        self._held.set(len(self._holdings.live))

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
        live = self._holdings.live.get(work.session_id)
        if live is None:
            live = self._holdings.open(work.session_id, work.entries[0].record.source)
            self._held.set(len(self._holdings.live))
        live.busy = True
        began_s, took_ms = time.monotonic(), 0.0
        try:
            loop = asyncio.get_running_loop()
            outcomes = await loop.run_in_executor(self._threads, self._turns.run, live.subject, work.entries)
            took_ms = (time.monotonic() - began_s) * 1000
            for outcome in outcomes:
                await self._sure(live)
                await self._send(live, outcome)
            live.batch.state = live.subject.state
        except _GivenAway:
            logger.info("results are left to the next owner", session_id=work.session_id)
        finally:
            live.busy = False
            self._scheduler.done(work, took_ms)
        now_s = time.monotonic()
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
            await self._bury(live, outcome.record, outcome.error)
        if outcome.analyzed_after_ms is not None:
            self._analyzed.inc()
            self._log_analyzed.observe(max(0, outcome.analyzed_after_ms) / 1000)
        elif outcome.skipped is not None:
            self._skipped[outcome.skipped].inc()
        if outcome.unpredicted:
            self._unpredicted.inc()
        live.batch.records.append(outcome.record)

    async def _bury(self, live: Live, record: Record, why: Exception) -> None:
        """To the dead letters, for as long as it takes: a record is not done before the log has its letter."""

        async def pause(wait_s: float) -> None:
            await self._until(lambda: live.given, wait_s)
            await self._sure(live)

        await until_taken(
            lambda: self._dead_letters.send(record, why), LogUnavailable, self.delivery.refused, pause=pause
        )

    async def _sure(self, live: Live) -> None:
        """Wait until it is beyond doubt whose the session is; raises `_GivenAway`."""
        while not live.given and (doubt_s := self._lease.doubtful_s(time.monotonic())) > 0:
            await self._until(lambda: live.given, doubt_s)
        if live.given:
            raise _GivenAway

    # -- settling -----------------------------------------------------------------------------------------------

    def _settle(self, live: Live, *, again: bool = False) -> None:
        """Start to settle what was sent, unless a batch of this session is under way: they go one by one.

        `again`: write the snapshot even if nothing is new."""
        if live.settling is not None or live.busy or live.given or not (live.batch.records or again):
            return
        batch, live.batch = live.batch, Batch(live.batch.state)
        live.settled_at_s = time.monotonic()
        live.settling = asyncio.create_task(self._settled(live, batch), name="analyzer-settle")

    def _settle_all(self, sessions: Sequence[Live]) -> bool:
        """Start what can be settled; whether all is."""
        for live in sessions:
            self._settle(live)
        return all(live.settled for live in sessions)

    async def _settled(self, live: Live, batch: Batch) -> None:
        try:
            await self.delivery.settle(batch, live.subject.epoch, lambda: self._sure(live))
        except _GivenAway:
            pass
        finally:
            live.settling = None
            self._moved.set()

    # -- upkeep -------------------------------------------------------------------------------------------------

    def upkeep(self) -> None:
        """Called twice a second: notice sleep, settle what waits for it, forget what is over."""
        now_s = time.monotonic()
        self._lease.doubtful_s(now_s)
        for live in self._holdings.live.values():
            if now_s - live.settled_at_s >= SNAPSHOT_EVERY_S:
                self._settle(live, again=now_s - live.settled_at_s >= SAY_AGAIN_EVERY_S)
        for session_id in self._holdings.forget_old(now_s):
            self._scheduler.forget(session_id)
        self._held.set(len(self._holdings.live))

    def cancel(self) -> None:
        """End what is under way, without waiting."""
        for live in self._holdings.live.values():
            if live.settling is not None:
                live.settling.cancel()

    # -- small things -------------------------------------------------------------------------------------------

    @property
    def _full(self) -> bool:
        return self._scheduler.waiting > MOST_WAITING or self._scheduler.waiting_bytes > MOST_WAITING_BYTES

    def _is_upload(self, entry: Entry) -> bool:
        """Known from the start in this very record, or from the session's state."""
        if entry.headers is not None and entry.headers.kind == "start":
            try:
                return decoded(entry.record, SessionStart).upload
            except Malformed:
                return False
        live = self._holdings.live.get(entry.record.key)
        start = live.subject.state.start if live else None
        return start is not None and start.upload

    async def _until(self, condition: Callable[[], bool], limit_s: float) -> None:
        """Wait until the condition holds, so long at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while not condition():
                    await self._next_move()

    async def _next_move(self) -> None:
        self._moved.clear()
        await self._moved.wait()
