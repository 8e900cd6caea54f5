"""`History` over Kafka: a consumer without a group, from the oldest record of each partition to where it ended then."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from schemas.topics import Topic
from services.runtime.log.connection import Connection
from services.runtime.log.history import READ_RECORDS
from services.runtime.log.kafka_consumer import record_of
from services.runtime.log.port import LogUnavailable, Record
from services.runtime.log.topics import describe, unreachable

PROGRESS_WITHIN_S = 30.0


class KafkaHistory:
    """Of the cluster that `connection` leads to."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def records(self, topic: Topic) -> AsyncGenerator[Record, None]:
        consumer = AIOKafkaConsumer(
            topic.name,
            **self._connection.options,
            client_id="rapt",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=50,
        )
        try:
            async with asyncio.timeout(PROGRESS_WITHIN_S):
                await consumer.start()
                ends = await consumer.end_offsets(consumer.assignment())
            while raws := await self._read(consumer, ends):
                for raw in raws:
                    yield record_of(raw)
        except UnknownTopicOrPartitionError:
            raise LogUnavailable(f"Kafka has no topic {topic.name!r}; `rapt topics` makes it") from None
        except (KafkaError, TimeoutError) as error:
            refusal = await self._connection.refusal()
            away = f"{unreachable(self._connection.bootstrap)} ({describe(error)})"
            raise LogUnavailable(refusal or away) from error
        finally:
            await consumer.stop()

    async def _read(self, consumer: AIOKafkaConsumer, ends: Mapping[KafkaPartition, int]) -> list[Any]:
        """The next records before the ends; none when all are reached."""
        async with asyncio.timeout(PROGRESS_WITHIN_S):
            while waiting := [source for source, end in ends.items() if await consumer.position(source) < end]:
                read = await consumer.getmany(*waiting, timeout_ms=200, max_records=READ_RECORDS)
                if raws := [raw for source, some in read.items() for raw in some if raw.offset < ends[source]]:
                    return raws
        return []
