"""How far each consumer group is behind, as Kafka tells: asked from outside, so that it works whatever is down."""

import asyncio
import contextlib
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas import topics

GROUPS: Mapping[str, tuple[str, ...]] = {
    "analyzer": (topics.FRAMES.name,),
    "recorder": (topics.FRAMES.name,),
    "sink-store": (topics.METRICS.name, topics.STATUS.name, topics.PREDICTIONS.name, topics.RECORDINGS.name),
    "sink-firebase": (topics.STATUS.name, topics.RECORDINGS.name),
}
ANSWER_WITHIN_S = 3.0


class Lags:
    """`async with`; `records()` as often as wanted."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._admin: AIOKafkaAdminClient | None = None
        self._reader: AIOKafkaConsumer | None = None

    async def __aenter__(self) -> "Lags":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def records(self) -> dict[str, int] | None:
        """Records behind, by group; None while Kafka does not answer. A group that committed nothing is at 0."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await self._ask()
        except (KafkaError, TimeoutError, OSError):
            await self._close()
            return None

    async def dead_letters(self) -> int:
        """How many records went to `dead-letters`; raises where Kafka does not answer."""
        ends = await self._ends({topics.DEAD_LETTERS.name})
        return sum(ends.values())

    async def _ask(self) -> dict[str, int]:
        if self._admin is None:
            self._admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap, request_timeout_ms=2000)
            await self._admin.start()
        ends = await self._ends({name for names in GROUPS.values() for name in names})
        behind = {}
        for group, names in GROUPS.items():
            committed = await self._admin.list_consumer_group_offsets(group)
            behind[group] = sum(
                max(0, ends[source] - max(0, done.offset))
                for source, done in committed.items()
                if source.topic in names
            )
        return behind

    async def _ends(self, names: set[str]) -> dict[object, int]:
        if self._reader is None:
            self._reader = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, request_timeout_ms=2000)
            await self._reader.start()
        by_name = {topic.name: topic for topic in topics.TOPICS}
        sources = [TopicPartition(name, number) for name in names for number in range(by_name[name].partitions)]
        ends: dict[object, int] = await self._reader.end_offsets(sources)
        return ends

    async def _close(self) -> None:
        for client, end in ((self._admin, "close"), (self._reader, "stop")):
            if client is not None:
                with contextlib.suppress(KafkaError, TimeoutError, OSError):
                    async with asyncio.timeout(ANSWER_WITHIN_S):
                        await getattr(client, end)()
        self._admin = self._reader = None
