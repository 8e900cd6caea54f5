"""How a consumer's handler is called: what waits while too much is handed out and not committed."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from services.runtime.log.delivery import Delivery
from services.runtime.log.port import Record, TopicPartition

SOURCE = TopicPartition("frames", 0)


class Takes:
    def __init__(self) -> None:
        self.records: list[Record] = []

    async def assigned(self, partitions: frozenset[TopicPartition], epoch: int) -> None: ...

    async def handle(self, records: Sequence[Record]) -> None:
        self.records += records

    async def revoked(self, partitions: frozenset[TopicPartition]) -> None: ...


def batch(first: int, count: int) -> list[Record]:
    return [Record("frames", 0, offset, "key", b"", {}, 1_000 + offset) for offset in range(first, first + count)]


async def nothing(offsets: Mapping[TopicPartition, int]) -> None: ...


@pytest.fixture
async def crowded(monkeypatch: pytest.MonkeyPatch) -> tuple[Delivery, Takes, asyncio.Task[bool]]:
    """Four uncommitted records are the most, five are handed out, and one waits."""
    monkeypatch.setattr("services.runtime.log.delivery.MOST_UNCOMMITTED", 4)
    handler = Takes()
    delivery = Delivery(handler, group="group")
    await delivery.assign({SOURCE: 0}, 1)
    assert await delivery.deliver(batch(0, 5), delivery.epoch)
    waiting = asyncio.create_task(delivery.deliver(batch(5, 1), delivery.epoch))
    await asyncio.sleep(0)
    return delivery, handler, waiting


async def test_the_next_batch_waits_while_too_much_is_uncommitted(
    crowded: tuple[Delivery, Takes, asyncio.Task[bool]],
) -> None:
    delivery, handler, waiting = crowded
    for record in handler.records[1:]:
        delivery.finish(record)
    delivery.committable()
    await asyncio.sleep(0)
    assert len(handler.records) == 5, "what is finished behind one that is not is uncommitted still"
    assert delivery.oldest_ms == 1_000
    delivery.finish(handler.records[0])
    assert delivery.oldest_ms == 1_005, "the one that waits"
    assert delivery.committable() == {SOURCE: 5}
    assert await waiting
    assert len(handler.records) == 6


async def test_who_waits_for_room_hears_that_the_partition_is_taken_away(
    crowded: tuple[Delivery, Takes, asyncio.Task[bool]],
) -> None:
    delivery, handler, waiting = crowded
    await delivery.revoke(None, nothing)
    assert await waiting is False
    assert len(handler.records) == 5
    assert delivery.oldest_ms is None
    await delivery.assign({SOURCE: 0}, 2)
    assert await delivery.deliver(batch(0, 1), delivery.epoch), "there is room again"


async def test_who_waits_for_room_hears_of_the_end(crowded: tuple[Delivery, Takes, asyncio.Task[bool]]) -> None:
    delivery, handler, waiting = crowded
    delivery.halt()
    assert await waiting is False
    assert len(handler.records) == 5
