"""`History` over Kafka: a consumer without a group, from the oldest record of each partition to where it ended then."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import KafkaError

from schemas.topics import Topic
from services.runtime.log.history import READ_RECORDS
from services.runtime.log.kafka_consumer import record_of
from services.runtime.log.port import LogUnavailable, Record
from services.runtime.log.topics import describe, unreachable

PROGRESS_WITHIN_S = 30.0


class KafkaHistory:
    """Of the cluster that `connection` leads to: `bootstrap_servers`, and what else an aiokafka client needs."""

    def __init__(self, connection: Mapping[str, Any]) -> None:
        self._connection = connection

    async def records(self, topic: Topic) -> AsyncGenerator[Record, None]:
        consumer = AIOKafkaConsumer(
            **self._connection, client_id="rapt", enable_auto_commit=False, fetch_max_wait_ms=50
        )
        try:
            async with asyncio.timeout(PROGRESS_WITHIN_S):
                await consumer.start()
                await consumer.topics()  # learns the partitions of all
                numbers = consumer.partitions_for_topic(topic.name)
                if not numbers:
                    raise LogUnavailable(f"Kafka has no topic {topic.name!r}; `rapt topics` makes it")
                sources = [KafkaPartition(topic.name, number) for number in sorted(numbers)]
                ends = await consumer.end_offsets(sources)
            for source in sources:
                consumer.assign([source])
                await consumer.seek_to_beginning(source)
                while raws := await self._read(consumer, source, ends[source]):
                    for raw in raws:
                        yield record_of(raw)
        except (KafkaError, TimeoutError) as error:
            raise LogUnavailable(f"{unreachable(self._connection['bootstrap_servers'])} ({describe(error)})") from error
        finally:
            await consumer.stop()

    async def _read(self, consumer: AIOKafkaConsumer, source: KafkaPartition, end: int) -> list[Any]:
        """The next records before `end`; none when it is reached."""
        async with asyncio.timeout(PROGRESS_WITHIN_S):
            while await consumer.position(source) < end:
                read = await consumer.getmany(source, timeout_ms=200, max_records=READ_RECORDS)
                if raws := [raw for raw in read.get(source, ()) if raw.offset < end]:
                    return raws
        return []
