"""Records of a batch → items → one write → finished offsets. The same for every destination."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import structlog

from services.runtime.backoff import until_taken, waits_s
from services.runtime.deadletters import DeadLetters, Malformed
from services.runtime.log import LogUnavailable, Record, TopicPartition
from services.sink.destination import Destination, DestinationDown

logger = structlog.get_logger(__name__)

Item = TypeVar("Item")
TRIES_OF_A_BUG = 3
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 15.0


class Halted(Exception):
    """The sink stops: what is not confirmed is left to the next owner of the partition."""


class Delivery(Generic[Item]):
    """Handler of one destination's consumer group.

    Malformed records, and those that the destination's code fails on again and again, become dead letters. While the
    destination is down, `handle` waits and tries again: the lag grows, and nothing is finished that was not confirmed.
    """

    def __init__(
        self,
        destination: Destination[Item],
        finish: Callable[[Record], None],
        dead_letters: DeadLetters,
    ) -> None:
        self._destination = destination
        self._finish = finish
        self._dead_letters = dead_letters
        self._halted = asyncio.Event()
        self.trouble: str | None = None

    def halt(self) -> None:
        """End any waiting for a destination that is down."""
        self._halted.set()

    async def assigned(self, partitions: frozenset[TopicPartition], epoch: int) -> None: ...

    async def revoked(self, partitions: frozenset[TopicPartition]) -> None: ...

    async def handle(self, records: Sequence[Record]) -> None:
        if not records:
            return
        try:
            await self._deliver(records)
        except Halted:
            logger.info("left for the next owner", destination=self._destination.name, records=len(records))

    async def _deliver(self, records: Sequence[Record]) -> None:
        parsed: list[tuple[Record, Item]] = []
        refused: list[tuple[Record, Exception]] = []
        for record in records:
            try:
                parsed.append((record, self._destination.parse(record)))
            except Malformed as error:
                refused.append((record, error))
            except Exception as error:
                logger.exception("cannot parse", topic=record.topic, offset=record.offset)
                refused.append((record, error))
        await self._give_up(refused)
        try:
            await self._write(parsed)
        except (Halted, asyncio.CancelledError):
            raise
        except Exception:
            # One record's trouble must not hold the rest: find it by writing one by one.
            logger.exception("batch failed, one by one now", destination=self._destination.name, records=len(parsed))
            for each in parsed:
                await self._write_one(each)

    async def _write(self, parsed: Sequence[tuple[Record, Item]]) -> None:
        if parsed:
            await self._persist(lambda: self._destination.write([item for _, item in parsed]))
        for record, _ in parsed:
            self._finish(record)

    async def _write_one(self, each: tuple[Record, Item]) -> None:
        waits = waits_s(FIRST_WAIT_S, LONGEST_WAIT_S)
        for attempt in range(1, TRIES_OF_A_BUG + 1):
            try:
                return await self._write([each])
            except (Halted, asyncio.CancelledError):
                raise
            except Exception as error:
                record = each[0]
                logger.exception("cannot write", topic=record.topic, offset=record.offset, attempt=attempt)
                if attempt == TRIES_OF_A_BUG:
                    return await self._give_up([(record, error)])
                await self._pause(next(waits))
        return None

    async def _give_up(self, refused: Sequence[tuple[Record, Exception]]) -> None:
        """All at once: a flood of bad records must not hold the good ones for a round trip each."""

        async def bury(record: Record, error: Exception) -> None:
            await self._persist(lambda: self._dead_letters.send(record, error))
            self._finish(record)

        for outcome in await asyncio.gather(*(bury(*each) for each in refused), return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _persist(self, attempt_it: Callable[[], Awaitable[None]]) -> None:
        """Try until the other side has it; raises `Halted` when told to stop meanwhile."""
        await until_taken(
            attempt_it,
            (DestinationDown, LogUnavailable),
            self._refused,
            first_s=FIRST_WAIT_S,
            longest_s=LONGEST_WAIT_S,
            pause=self._pause,
        )
        self.trouble = None

    def _refused(self, error: Exception, number: int) -> None:
        self.trouble = str(error)
        if number == 1 or number % 20 == 0:
            logger.warning("trying again", destination=self._destination.name, attempt=number, error=str(error))

    async def _pause(self, wait_s: float) -> None:
        """Wait; raises `Halted` when told to stop meanwhile."""
        try:
            async with asyncio.timeout(wait_s):
                await self._halted.wait()
        except TimeoutError:
            return
        raise Halted
