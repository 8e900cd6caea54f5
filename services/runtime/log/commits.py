"""Commits of one consumer, coalesced: at most one every `COMMIT_EVERY_S`, and one more whenever it is asked for."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from services.runtime.log.delivery import Delivery
from services.runtime.log.port import LogUnavailable, TopicPartition

logger = structlog.get_logger(__name__)

COMMIT_EVERY_S = 0.2


class Commits:
    """Writes what `delivery` has finished by `write`, which raises `LogUnavailable` when it cannot."""

    def __init__(
        self, delivery: Delivery, write: Callable[[Mapping[TopicPartition, int]], Awaitable[None]], group: str
    ) -> None:
        self._delivery = delivery
        self._write = write
        self._group = group
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def soon(self) -> None:
        """Something was finished: commit within a moment."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(COMMIT_EVERY_S, self._begin)

    def _begin(self) -> None:
        self._timer = None
        if self._task is not None and not self._task.done():
            self.soon()  # one at a time, so that an older offset never follows a newer one
            return
        self._task = asyncio.create_task(self._commit(), name=f"commit of {self._group}")

    async def _commit(self) -> None:
        offsets = self._delivery.committable()
        if offsets and not await self.now(offsets):
            self.soon()

    async def now(self, offsets: Mapping[TopicPartition, int]) -> bool:
        """Commit these; False, and a line in the log, when that failed: the records may be read again."""
        try:
            await self._write(offsets)
        except LogUnavailable as error:
            logger.warning("offsets not committed", group=self._group, error=str(error))
            return False
        self._delivery.mark(offsets)
        return True

    async def last(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit these before their partitions are given away, after a commit that is under way."""
        if self._task is not None:
            await asyncio.wait([self._task])
        await self.now(offsets)

    async def close(self) -> None:
        """No commit after this."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
