"""`KafkaLog`: the event log in Kafka, for services that run as processes of their own."""

import asyncio
import itertools
import logging
from collections.abc import Mapping, Sequence

import structlog
from faststream.kafka import KafkaBroker
from faststream.security import BaseSecurity

from schemas.topics import TOPICS, Topic
from services.runtime.log.budget import Budget
from services.runtime.log.connection import Connection
from services.runtime.log.kafka_consumer import KafkaConsumer
from services.runtime.log.kafka_producer import KafkaProducer
from services.runtime.log.kafka_snapshot import newest_by_key
from services.runtime.log.partitions import partition_of
from services.runtime.log.port import (
    MAX_VALUE_BYTES,
    Consumer,
    Handler,
    LogStartFailed,
    LogUnavailable,
    Position,
    Record,
)
from services.runtime.log.topics import ensure_topics, mismatch

logger = structlog.get_logger(__name__)

MAX_RECORDS_UNDER_WAY = 4096
MAX_BYTES_UNDER_WAY = 32 << 20
DELIVERY_TIMEOUT_S = 30.0


class KafkaLog:
    """The log behind `bootstrap_servers`.

    `instance_id` (stable over restarts, unique per replica) makes a restart within the session timeout no rebalance.
    """

    name = "log"

    def __init__(
        self,
        bootstrap_servers: str,
        topics: Sequence[Topic] = TOPICS,
        *,
        security: BaseSecurity | None = None,
        instance_id: str | None = None,
        max_records: int = MAX_RECORDS_UNDER_WAY,
        max_bytes: int = MAX_BYTES_UNDER_WAY,
        delivery_timeout_s: float = DELIVERY_TIMEOUT_S,
    ) -> None:
        self._connection = Connection(bootstrap_servers, security)
        self._topics = topics
        self._instance_id = instance_id
        self._members = itertools.count(1)
        self._partitions = {topic.name: topic.partitions for topic in topics}
        self._under_way = Budget(max_records=max_records, max_bytes=max_bytes)
        self._turns = {topic.name: asyncio.Lock() for topic in topics}  # sends of one topic keep their order
        self._delivery_timeout_s = delivery_timeout_s
        self._producer: KafkaProducer | None = None
        # FastStream's broker reads only (see kafka_producer); its own logger would warn at each start of a consumer
        # that it does not create topics, which is done above.
        quiet = logging.getLogger(f"{__name__}.faststream")
        quiet.setLevel(logging.ERROR)
        self._broker = KafkaBroker(
            bootstrap_servers,
            security=security,
            client_id="rapt",
            consumer_only=True,
            apply_types=False,
            logger=quiet,
            retry_backoff_ms=100,
        )

    # -- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Raises `LogStartFailed` when Kafka cannot be reached or the topics cannot be made."""
        for report in await ensure_topics(self._connection, self._topics):
            self._partitions[report.name] = report.partitions
            if report.state == "differs":
                differences = [str(each) for each in report.differences]
                logger.warning("topic is not as wanted", topic=report.name, differences=differences)
        if wrong := mismatch(self._partitions):
            raise LogStartFailed(wrong)
        producer = KafkaProducer(self._connection, delivery_timeout_s=self._delivery_timeout_s)
        try:
            await producer.start()
        except LogUnavailable as error:
            raise LogStartFailed(str(error)) from error
        self._producer = producer
        await self._broker.connect()

    async def close(self) -> None:
        if self._producer is not None:
            await self._producer.close()
        await self._broker.stop()
        self._producer = None

    stop = close

    async def check(self) -> None:
        await self._running().check()

    # -- sending ------------------------------------------------------------------------------------------------

    async def send(
        self, topic: Topic, key: str, value: bytes, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[Position]:
        if len(value) > MAX_VALUE_BYTES:
            raise ValueError(f"a record of {topic.name} has {len(value)} bytes; at most {MAX_VALUE_BYTES} are taken")
        partition = partition_of(key, self._count(topic))
        headers = {"schema": topic.schema, "session_id": key, **(headers or {})}
        tombstone = topic.compacted and not value
        size_bytes = len(value) + 512
        asked = self._producer.asked(topic.name, key.encode()) if self._producer is not None else None
        async with self._turns[topic.name]:
            await self._under_way.acquire(size_bytes)
            try:
                done = await self._running().send(
                    topic.name, partition, key.encode(), None if tombstone else value, headers, asked
                )
            except BaseException as error:
                self._under_way.release(size_bytes)
                if not isinstance(error, LogUnavailable):
                    raise
                done = asyncio.get_running_loop().create_future()
                done.set_exception(error)
                return done
        done.add_done_callback(lambda _: self._under_way.release(size_bytes))
        return done

    # -- consuming ----------------------------------------------------------------------------------------------

    def consumer(
        self, topics: Sequence[Topic], handler: Handler, *, group: str | None, max_records: int = 256
    ) -> Consumer:
        for topic in topics:
            self._count(topic)
        instance_id = f"{self._instance_id}-{group}-{next(self._members)}" if self._instance_id else None
        return KafkaConsumer(
            self._broker,
            self._connection.bootstrap,
            topics,
            handler,
            group=group,
            instance_id=instance_id,
            max_records=max_records,
        )

    async def snapshot(self, topic: Topic, *partitions: int) -> Mapping[str, Record]:
        for partition in partitions:
            if not 0 <= partition < self._count(topic):
                raise ValueError(f"the log has no partition {partition} of a topic {topic.name!r}")
        return await newest_by_key(self._connection, topic, partitions) if partitions else {}

    # -- helpers ------------------------------------------------------------------------------------------------

    def _count(self, topic: Topic) -> int:
        try:
            return self._partitions[topic.name]
        except KeyError:
            raise ValueError(f"the log has no topic {topic.name!r}") from None

    def _running(self) -> KafkaProducer:
        if self._producer is None:
            raise LogUnavailable("the log is not open")
        return self._producer
