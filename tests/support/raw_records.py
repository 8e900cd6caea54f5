"""Records as another producer might write them: any key or none, any headers. `EventLog.send` would put them right."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from aiokafka import AIOKafkaProducer

from schemas.topics import Topic
from services.runtime.log import Position, TopicPartition
from services.runtime.log.local import LocalLog
from services.runtime.log.local_writer import Append
from services.runtime.log.partitions import partition_of


class Raw(Protocol):
    async def put(self, topic: Topic, key: str | None, value: bytes, headers: Mapping[str, str]) -> None:
        """Return once the log has it."""


class LocalRaw:
    """A local log has no other producers; this puts records where its own `send` does."""

    def __init__(self, log: LocalLog) -> None:
        self._log = log

    async def put(self, topic: Topic, key: str | None, value: bytes, headers: Mapping[str, str]) -> None:
        log, size_bytes = self._log, len(value) + 512
        partition = log.partition(TopicPartition(topic.name, partition_of(key or "", topic.partitions)))
        if (room := log._room.get(topic.name)) is not None:
            await room.acquire(size_bytes)
        await log._under_way.acquire(size_bytes)
        done: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        log._running().put(Append(partition, key or "", value, headers, size_bytes, log._failures_heard, done))
        await done


class KafkaRaw:
    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def put(self, topic: Topic, key: str | None, value: bytes, headers: Mapping[str, str]) -> None:
        encoded = [(name, text.encode()) for name, text in headers.items()]
        await self._producer.send_and_wait(topic.name, value, None if key is None else key.encode(), headers=encoded)


@asynccontextmanager
async def kafka_raw(bootstrap: str) -> AsyncIterator[KafkaRaw]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=4 << 20)
    await producer.start()
    try:
        yield KafkaRaw(producer)
    finally:
        await producer.stop()
