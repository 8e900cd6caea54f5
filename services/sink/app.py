"""The sink's composition root: one consumer group per destination, and the store's housekeeping."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

import structlog

from services.runtime.clock import now_ms
from services.runtime.deadletters import DeadLetters
from services.runtime.lag import measure_lag
from services.runtime.lifecycle import Part
from services.runtime.log import Consumer, EventLog, Record
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings
from services.runtime.store import Store, StoreUnavailable
from services.sink.destination import Destination
from services.sink.firebase import FirebaseGroup
from services.sink.firebase_client import firebase_client
from services.sink.handlers import Delivery
from services.sink.store_destination import StoreDestination

logger = structlog.get_logger(__name__)

MAX_RECORDS = 512
EXPIRE_EVERY_S = 60.0
MEASURE_LAG_EVERY_S = 5.0


def build_app(settings: Settings, log: EventLog, store: Store, metrics: Metrics) -> Part:
    """Another destination is another group here: its offsets and its retries are its own. Raises `WrongSetting`."""
    groups: list[Feed] = [Group(StoreDestination(store, metrics), log, metrics)]
    if (firebase := firebase_client(settings)) is not None:
        create = settings.firebase_unknown_lectures == "create"
        groups.append(FirebaseGroup(firebase, log, metrics, create_lectures=create))
    return Sink(groups, store)


class Feed(Protocol):
    """A destination with its consumer group."""

    @property
    def name(self) -> str: ...

    @property
    def trouble(self) -> str | None:
        """Why the destination does not take writes now."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def measure_lag(self) -> None: ...


class Group:
    """A destination with the consumer group that feeds it, batch by batch."""

    def __init__(self, destination: Destination[Any], log: EventLog, metrics: Metrics) -> None:
        self.name = f"sink-{destination.name}"
        self._metrics = metrics
        self._delivery = Delivery(destination, self._finish, DeadLetters(log, metrics, self.name))
        self._topics = destination.topics
        self._consumer: Consumer = log.consumer(self._topics, self._delivery, group=self.name, max_records=MAX_RECORDS)

    async def start(self) -> None:
        await self._consumer.start()

    async def stop(self) -> None:
        """What is confirmed is committed; what waits for a destination that is down is left to the next start."""
        self._delivery.halt()
        await self._consumer.stop()

    @property
    def trouble(self) -> str | None:
        return self._delivery.trouble

    async def measure_lag(self) -> None:
        await measure_lag(self._consumer, self.name, self._topics, self._metrics)

    def _finish(self, record: Record) -> None:
        self._consumer.finish(record)


class Sink:
    """All groups, and the store's expiry."""

    name = "sink"

    def __init__(self, groups: Sequence[Feed], store: Store) -> None:
        self._groups = groups
        self._store = store
        self._stopping = asyncio.Event()
        self._chores: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        for group in self._groups:
            await group.start()
        self._chores = [
            asyncio.create_task(self._repeat(self._expire, EXPIRE_EVERY_S), name="sink-expire"),
            asyncio.create_task(self._repeat(self._measure_lag, MEASURE_LAG_EVERY_S), name="sink-lag"),
        ]

    async def stop(self) -> None:
        self._stopping.set()
        await asyncio.gather(*(group.stop() for group in self._groups))
        await asyncio.gather(*self._chores)

    async def check(self) -> None:
        """Raises while a destination does not take writes."""
        troubles = [f"{group.name}: {group.trouble}" for group in self._groups if group.trouble]
        if troubles:
            raise RuntimeError("; ".join(troubles))
        if not self._chores:
            raise RuntimeError("not started")

    async def _expire(self) -> None:
        expired = await self._store.expire(now_ms())
        if expired:
            logger.info("expired", documents=expired)

    async def _measure_lag(self) -> None:
        for group in self._groups:
            await group.measure_lag()

    async def _repeat(self, chore: Callable[[], Coroutine[Any, Any, None]], every_s: float) -> None:
        while not self._stopping.is_set():
            try:
                await chore()
            except StoreUnavailable as error:
                logger.warning("chore left for the next time", chore=chore.__name__, error=str(error))
            except Exception:
                logger.exception("chore failed", chore=chore.__name__)
            try:
                async with asyncio.timeout(every_s):
                    await self._stopping.wait()
            except TimeoutError:
                continue
