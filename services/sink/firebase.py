"""Firebase as a destination: a consumer group of its own, one multi-path update per tick, at most one under way.

Records are taken in while an update is under way or Firebase is away; `firebase_pending` keeps of them what is to be
written. So a slow Firebase gets the newest status of each student, and every check-in, check-out and path.
"""

import asyncio
import random
from collections.abc import Sequence

import structlog
from prometheus_client import Counter

from services.runtime.backoff import backoff_s, until_taken
from services.runtime.deadletters import DeadLetters
from services.runtime.lag import measure_lag
from services.runtime.log import Consumer, EventLog, LogUnavailable, Record, TopicPartition
from services.runtime.metrics import Metrics
from services.sink.firebase_attendance import TOPICS, AttendeeKey, change_of
from services.sink.firebase_client import FirebaseClient, FirebaseDown, FirebaseRefused
from services.sink.firebase_pending import Pending, Plan
from services.sink.firebase_reads import Reads

logger = structlog.get_logger(__name__)

TICK_S = 1.0
MOST_STUDENTS = 1_000  # in one update: less than 1 MB
MOST_RECORDS = 512
MOST_HELD = 10_000
MOST_AHEAD = 20_000  # taken since Firebase confirmed something: the log keeps a note of each
ROOM_WITHIN_S = 5.0
DRAIN_S = 3.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 15.0


class TooFarBehind(Exception):
    """So much waits for Firebase that no more is taken in; the log keeps it and delivers it again."""


class Halted(Exception):
    """The group stops."""


class FirebaseGroup:
    """The handler of the group, and the task that writes. `close` of the client is its business.

    `create_lectures`: write of lectures that Firebase does not have; else their records are left out, and counted.
    """

    name = "sink-firebase"

    def __init__(
        self,
        client: FirebaseClient,
        log: EventLog,
        metrics: Metrics,
        *,
        create_lectures: bool,
        tick_s: float = TICK_S,
        pending: Pending | None = None,
    ) -> None:
        self._client = client
        self._metrics = metrics
        self._create = create_lectures
        self._tick_s = tick_s
        self._pending = pending or Pending()
        self._reads = Reads(client, self._pending)
        self._dead_letters = DeadLetters(log, metrics, self.name)
        self._consumer: Consumer = log.consumer(TOPICS, self, group=self.name, max_records=MOST_RECORDS)
        self._left_out = Counter(
            "rapt_firebase_left_out_total", "Records of lectures that Firebase does not have", registry=metrics.registry
        )
        self._ahead = 0
        self._failures = 0
        self._reached = False
        self._one_update = asyncio.Lock()
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._halted = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self.trouble: str | None = None

    async def start(self) -> None:
        """Join the group. Whether Firebase can be reached shows in `trouble`: it holds nobody else up."""
        await self._consumer.start()
        self._work.set()
        self._writer = asyncio.create_task(self._write_on(), name=self.name)

    async def stop(self) -> None:
        """Write what waits, if Firebase takes it within `DRAIN_S`; the rest is left to the next start."""
        self._halted.set()
        self._room.set()
        await self._consumer.stop()
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait([self._writer])
        self._client.close()

    async def measure_lag(self) -> None:
        await measure_lag(self._consumer, self.name, TOPICS, self._metrics)

    # -- what the consumer calls --------------------------------------------------------------------------------

    async def assigned(self, partitions: frozenset[TopicPartition], epoch: int) -> None:
        self._reads.forget()

    async def handle(self, records: Sequence[Record]) -> None:
        await self._until_room()
        self._ahead += len(records)
        try:
            for record in records:
                await self._take(record)
        except Halted:
            logger.info("left for the next owner", destination="firebase", records=len(records))
        if self._pending:
            self._work.set()

    async def revoked(self, partitions: frozenset[TopicPartition]) -> None:
        try:
            async with asyncio.timeout(DRAIN_S):
                for _ in range(2):  # what is under way, and what came meanwhile
                    if self._pending.holds(partitions) and self.trouble is None:
                        await self._write()
        except TimeoutError:
            logger.warning("Firebase did not answer in time; left for the next owner", partitions=len(partitions))
        self._pending.give_away(partitions)

    async def _until_room(self) -> None:
        """Wait a moment, and no longer: the group must be able to give its partitions away."""
        try:
            async with asyncio.timeout(ROOM_WITHIN_S):
                while self._full and not self._halted.is_set():
                    self._room.clear()
                    await self._room.wait()
        except TimeoutError:
            raise TooFarBehind(
                f"{self._pending.count} records wait for Firebase: {self.trouble or 'it is slow'}"
            ) from None

    @property
    def _full(self) -> bool:
        return self._pending.count >= MOST_HELD or self._ahead >= MOST_AHEAD

    async def _take(self, record: Record) -> None:
        try:
            change = change_of(record)
        except Exception as error:  # `Malformed`, or a mistake of ours: neither may hold the partition
            await self._bury(record, error)
            return
        for done in self._pending.add(record, *change):
            self._consumer.finish(done)

    async def _bury(self, record: Record, error: Exception) -> None:
        def refused(reason: Exception, number: int) -> None:
            if number == 1:
                logger.warning("dead letter not sent, trying again", error=str(reason))

        await until_taken(lambda: self._dead_letters.send(record, error), LogUnavailable, refused, pause=self._pause)
        self._consumer.finish(record)

    # -- writing ------------------------------------------------------------------------------------------------

    async def _write_on(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._work.wait()
            began_s = loop.time()
            await self._write()
            wait_s = self._tick_s - (loop.time() - began_s)
            if self._failures:
                wait_s = backoff_s(
                    self._failures - 1,
                    random.random(),  # noqa: S311 - spreads retries
                    first_s=FIRST_WAIT_S,
                    longest_s=LONGEST_WAIT_S,
                )
            await asyncio.sleep(max(0.0, wait_s))

    async def _write(self) -> None:
        """One tick; sets `trouble`. Does not raise."""
        async with self._one_update:
            try:
                if not self._reached:
                    await self._client.read("rapt")  # nothing is there; wrong credentials show before they matter
                    self._reached = True
                await self._write_these(self._pending.keys(MOST_STUDENTS))
            except FirebaseDown as error:
                if error.unsure:
                    self._pending.unanswered()
                self._failed(str(error))
            except Halted:
                return
            except Exception as error:
                logger.exception("writing to Firebase failed")
                self._failed(f"{type(error).__name__}: {error}")
            else:
                if self._failures:
                    logger.info("Firebase takes writes again", attempts=self._failures)
                self._failures, self.trouble = 0, None
            if self._reached and not self._pending:
                self._work.clear()

    def _failed(self, reason: str) -> None:
        self._failures += 1
        self.trouble = reason
        if self._failures == 1 or self._failures % 20 == 0:
            logger.warning("Firebase does not take writes, trying again", attempt=self._failures, error=reason)

    async def _write_these(self, keys: Sequence[AttendeeKey]) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        found = await self._reads.found([key for key in keys if await self._wanted(key)])
        plans = self._pending.plan(found)
        update = {path: value for plan in plans for path, value in plan.update.items()}
        if update:
            try:
                await self._client.update(update)
            except FirebaseRefused as error:
                self._pending.failed(plans)
                return await self._write_apart(plans, error)
            except FirebaseDown:
                self._pending.failed(plans)
                raise
            except asyncio.CancelledError:
                self._pending.failed(plans)
                self._pending.unanswered()
                raise
            self._metrics.documents_written.labels("firebase").inc(sum(bool(plan.update) for plan in plans))
        done = self._pending.confirm(plans, began_s, loop.time())
        for record in done:
            self._consumer.finish(record)
        if done or not self._pending:
            self._ahead = 0
            self._room.set()
        return None

    async def _write_apart(self, plans: Sequence[Plan], error: FirebaseRefused) -> None:
        """One student's trouble must not hold the rest: find it by writing one by one."""
        if len(plans) > 1:
            for plan in plans:
                await self._write_these([plan.key])
            return
        for plan in plans:
            for held in plan.held:
                await self._bury(held.record, error)
            self._pending.drop(plan.key, lambda each, plan=plan: each in plan.held)  # type: ignore[misc]

    async def _wanted(self, key: AttendeeKey) -> bool:
        """Whether Firebase has the lecture or may be given it; else its records are left out."""
        if self._create or await self._reads.exists(key.lecture_code):
            return True
        records = self._pending.drop(key)
        for record in records:
            self._consumer.finish(record)
        self._left_out.inc(len(records))
        return False

    async def _pause(self, wait_s: float) -> None:
        """Raises `Halted` when told to stop meanwhile."""
        try:
            async with asyncio.timeout(wait_s):
                await self._halted.wait()
        except TimeoutError:
            return
        raise Halted
