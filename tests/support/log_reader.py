"""Reads a log in tests: a handler that keeps what it got, and waiting for a condition."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from schemas.topics import Topic
from services.runtime.log import Consumer, EventLog, Record, TopicPartition

WITHIN_S = 30.0


async def until(condition: Callable[[], bool], what: str = "what the line that waited wants") -> None:
    """Wait for a condition; the test fails, naming `what`, when it never holds."""
    try:
        async with asyncio.timeout(WITHIN_S):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        pytest.fail(f"never happened: {what}")


class Reader:
    """A handler that keeps every record and, with `done`, finishes it at once."""

    def __init__(self, log: EventLog, topics: Sequence[Topic], *, group: str | None, done: bool = True) -> None:
        self.records: list[Record] = []
        self.done = done
        self.consumer: Consumer = log.consumer(topics, self, group=group)

    def values(self, key: str | None = None) -> list[bytes]:
        return [record.value for record in self.records if key is None or record.key == key]

    async def assigned(self, partitions: frozenset[TopicPartition], epoch: int) -> None: ...

    async def handle(self, records: Sequence[Record]) -> None:
        self.records += records
        if self.done:
            for record in records:
                self.consumer.finish(record)

    async def revoked(self, partitions: frozenset[TopicPartition]) -> None: ...
