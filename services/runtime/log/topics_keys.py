"""Looks whether the newest records are on the partitions of their keys: another producer may think otherwise."""

import asyncio
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import KafkaError

from services.runtime.log.connection import Connection
from services.runtime.log.partitions import partition_of
from services.runtime.log.port import LogUnavailable
from services.runtime.log.topics import Difference, describe, unreachable

READ_WITHIN_S = 10.0


async def misplaced(connection: Connection, counts: Mapping[str, int]) -> dict[str, Difference]:
    """Topics (name → number of partitions) whose newest record of some partition belongs on another one.

    Raises `LogUnavailable`."""
    consumer = AIOKafkaConsumer(**connection.options, client_id="rapt", enable_auto_commit=False, fetch_max_wait_ms=50)
    found: dict[str, Difference] = {}
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            await consumer.start()
            sources = [KafkaPartition(topic, number) for topic, count in counts.items() for number in range(count)]
            consumer.assign(sources)
            begins, ends = await consumer.beginning_offsets(sources), await consumer.end_offsets(sources)
            unread = {source for source in sources if begins[source] < ends[source]}
            for source in sources:
                consumer.seek(source, ends[source] - 1 if source in unread else ends[source])
            while unread:
                for source, records in (await consumer.getmany(*unread, timeout_ms=200)).items():
                    unread.discard(source)
                    key = records[-1].key
                    home = None if key is None else partition_of(key.decode(errors="replace"), counts[source.topic])
                    if home != source.partition:
                        held = "without a key" if home is None else f"of a key of partition {home}"
                        told = f"a record {held} on partition {source.partition}"
                        found[source.topic] = Difference("key", told, "murmur2 of the key", mendable=False)
    except (KafkaError, TimeoutError) as error:
        raise LogUnavailable(f"{unreachable(connection.bootstrap)} ({describe(error)})") from error
    finally:
        await consumer.stop()
    return found
