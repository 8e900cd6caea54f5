"""Reads compacted partitions from end to end, all at once by one consumer without a group."""

import asyncio
from collections.abc import Collection, Mapping

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import KafkaError

from schemas.topics import Topic
from services.runtime.log.connection import Connection
from services.runtime.log.kafka_consumer import record_of
from services.runtime.log.port import LogUnavailable, Record
from services.runtime.log.topics import describe, unreachable

SNAPSHOT_WITHIN_S = 30.0


async def newest_by_key(connection: Connection, topic: Topic, partitions: Collection[int]) -> Mapping[str, Record]:
    """The newest record of each key on these partitions, of the highest epoch, without tombstones: in memory all at
    once, which is what their owner holds anyway.

    Raises `LogUnavailable`."""
    consumer = AIOKafkaConsumer(
        **connection.options,
        client_id="rapt",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
    )
    sources = [KafkaPartition(topic.name, partition) for partition in partitions]
    newest: dict[str, Record] = {}
    try:
        async with asyncio.timeout(SNAPSHOT_WITHIN_S):
            await consumer.start()
            consumer.assign(sources)
            ends = await consumer.end_offsets(sources)
            await consumer.seek_to_beginning(*sources)
            while behind := [source for source in sources if await consumer.position(source) < ends[source]]:
                for batch in (await consumer.getmany(*behind, timeout_ms=200)).values():
                    for record in map(record_of, batch):
                        known = newest.get(record.key)
                        if known is None or record.epoch >= known.epoch:
                            newest[record.key] = record
    except (KafkaError, TimeoutError) as error:
        raise LogUnavailable(f"{unreachable(connection.bootstrap)} ({describe(error)})") from error
    finally:
        await consumer.stop()
    return {key: record for key, record in newest.items() if record.value}
