"""Sends records to Kafka: an idempotent producer that is replaced when it cannot go on.

aiokafka is used as it is: FastStream's `publish` adds headers of its own.
An idempotent producer that lost one batch has a gap in its sequence and fails all that follow, and one whose broker
stays away keeps its batches for ever; either way this one is given up, and the next send makes a new one.
What fails with the old one must not be overtaken by what the new one takes: whoever asked to send before it can have
heard of the failure is refused as well.
"""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

from services.runtime.log.connection import Connection
from services.runtime.log.port import LogUnavailable, Position
from services.runtime.log.topics import describe, unreachable

logger = structlog.get_logger(__name__)

LINGER_MS = 3
MAX_BATCH_BYTES = 256 << 10
MAX_REQUEST_BYTES = 4 << 20
REQUEST_TIMEOUT_MS = 10_000
GIVE_UP_WITHIN_S = 5.0


class _UnderWay(NamedTuple):
    deadline_s: float
    order: tuple[str, bytes]  # topic and key
    done: asyncio.Future[Position]


class KafkaProducer:
    """At most one aiokafka producer at a time; no record stays unacknowledged longer than `delivery_timeout_s`.

    The records under way, here and in aiokafka, are those that the log's budget let through: who sends more waits.
    """

    def __init__(self, connection: Connection, *, delivery_timeout_s: float) -> None:
        self._connection = connection
        self._delivery_timeout_s = delivery_timeout_s
        self._producer: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()
        self._under_way: dict[int, _UnderWay] = {}  # by a running number: oldest first
        self._numbers = itertools.count()
        self._unheard: Counter[tuple[str, bytes]] = Counter()  # topic, key: failures that senders may not know of yet
        self._given_up = 0  # producers so far
        self._watch: asyncio.TimerHandle | None = None
        self._farewells: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect. Raises `LogUnavailable`."""
        await self._connected()

    def asked(self, topic: str, key: bytes) -> int | None:
        """To be called when a sender comes: what it can have heard of. None: less than it must have."""
        return None if self._unheard[topic, key] else self._given_up

    async def send(
        self, topic: str, partition: int, key: bytes, value: bytes | None, headers: Mapping[str, str], asked: int | None
    ) -> asyncio.Future[Position]:
        """Hand one record over. The future fails with `LogUnavailable`, as the call itself does without a broker.

        `asked` is what `asked` said when the sender came: it may have waited since."""
        try:
            return await self._send(topic, partition, key, value, headers, asked)
        except LogUnavailable:
            self._refused((topic, key))
            raise

    async def _send(
        self, topic: str, partition: int, key: bytes, value: bytes | None, headers: Mapping[str, str], asked: int | None
    ) -> asyncio.Future[Position]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Position] = loop.create_future()
        producer = await self._connected()
        if asked != self._given_up or self._unheard[topic, key]:
            raise LogUnavailable("a record before this one could not be sent")
        encoded = [(name, text.encode()) for name, text in headers.items()]
        try:
            sent = await producer.send(topic, value, key, partition, headers=encoded)
        except KafkaError as error:
            self._give_up(producer, error)
            raise LogUnavailable(f"Kafka did not take a record: {describe(error)}") from error
        if producer is not self._producer:
            sent.add_done_callback(lambda future: future.cancelled() or future.exception())
            raise LogUnavailable("the producer was given up before it took a record")
        number = next(self._numbers)
        self._under_way[number] = _UnderWay(loop.time() + self._delivery_timeout_s, (topic, key), done)
        if self._watch is None:
            self._watch = loop.call_later(self._delivery_timeout_s, self._look)

        def acknowledged(future: "asyncio.Future[object]") -> None:
            error = None if future.cancelled() else future.exception()
            if error is not None:
                self._give_up(producer, error)
            self._under_way.pop(number, None)
            if done.done():
                return
            if error is not None:
                done.set_exception(LogUnavailable(f"Kafka did not acknowledge a record: {describe(error)}"))
            elif future.cancelled():
                done.set_exception(LogUnavailable("the producer was closed before Kafka acknowledged a record"))
            else:
                done.set_result(Position(partition, future.result().offset))  # type: ignore[attr-defined]

        sent.add_done_callback(acknowledged)
        return done

    async def check(self) -> None:
        """Raises `LogUnavailable` when the broker does not answer now."""
        try:
            producer = self._producer or await self._connected()
            answered = await producer.client.force_metadata_update()
        except KafkaError as error:
            raise LogUnavailable(describe(error)) from error
        if not answered:
            raise LogUnavailable(unreachable(self._connection.bootstrap))

    async def close(self) -> None:
        """Wait for what is under way (until its deadline), then disconnect."""
        waiting = [each.done for each in self._under_way.values() if not each.done.done()]
        if waiting:
            await asyncio.wait(waiting)
        if self._watch is not None:
            self._watch.cancel()
        producer, self._producer = self._producer, None
        if producer is not None:
            await self._farewell(producer)
        if self._farewells:
            await asyncio.wait(self._farewells)

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is not None:
            return self._producer
        async with self._connecting:
            if self._producer is None:
                self._producer = await self._connect()
            return self._producer

    async def _connect(self) -> AIOKafkaProducer:
        try:
            async with asyncio.timeout(self._delivery_timeout_s):
                while True:
                    producer = AIOKafkaProducer(
                        **self._connection.options,
                        client_id="rapt",
                        enable_idempotence=True,
                        linger_ms=LINGER_MS,
                        max_batch_size=MAX_BATCH_BYTES,
                        max_request_size=MAX_REQUEST_BYTES,
                        request_timeout_ms=REQUEST_TIMEOUT_MS,
                        retry_backoff_ms=100,
                    )
                    try:
                        await producer.start()
                        return producer
                    except KafkaError:
                        await producer.stop()
                        await asyncio.sleep(0.25)
                    except BaseException:
                        await producer.stop()
                        raise
        except TimeoutError:
            raise LogUnavailable(unreachable(self._connection.bootstrap)) from None

    def _look(self) -> None:
        """Give the producer up when a record is past its deadline; else look again at the next deadline."""
        loop = asyncio.get_running_loop()
        self._watch = None
        if not self._under_way or self._producer is None:
            return
        deadline_s = next(iter(self._under_way.values())).deadline_s
        if deadline_s <= loop.time():
            self._give_up(self._producer, KafkaTimeoutError(f"no answer within {self._delivery_timeout_s:g} s"))
        else:
            self._watch = loop.call_at(deadline_s, self._look)

    def _give_up(self, producer: AIOKafkaProducer, error: BaseException) -> None:
        """Fail what the producer still holds and drop it."""
        accumulator = producer._message_accumulator  # noqa: SLF001 - see below
        if self._producer is not producer:
            return
        self._producer = None
        self._given_up += 1
        logger.warning("Kafka producer given up; the next record makes a new one", error=describe(error))
        for _, order, done in self._under_way.values():
            if not done.done():
                self._refused(order)
                done.set_exception(LogUnavailable(f"Kafka did not acknowledge a record: {describe(error)}"))
        self._under_way.clear()
        # Not public, and there is no other way: `stop` alone waits for batches that will never be acknowledged.
        accumulator.fail_all(KafkaError(describe(error)))
        farewell = asyncio.get_running_loop().create_task(self._farewell(producer))
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)

    def _refused(self, order: tuple[str, bytes]) -> None:
        """Refuse what comes behind a record that failed, until its future's callbacks and awaiters have run."""
        loop = asyncio.get_running_loop()
        self._unheard[order] += 1
        loop.call_soon(loop.call_soon, self._heard, order)

    def _heard(self, order: tuple[str, bytes]) -> None:
        self._unheard[order] -= 1
        if not self._unheard[order]:
            del self._unheard[order]

    async def _farewell(self, producer: AIOKafkaProducer) -> None:
        try:
            async with asyncio.timeout(GIVE_UP_WITHIN_S):
                await producer.stop()
        except Exception:  # aiokafka stumbles (KeyError) over a batch that was failed while it was being sent
            with contextlib.suppress(Exception):
                await producer.client.close()
