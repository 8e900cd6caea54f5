"""Results first, then the snapshot that contains their frames, then the frames are done: each step acknowledged.

So a snapshot never runs ahead of what the log has, and a committed frame is in a snapshot: wherever a replica dies,
the next one neither loses a result nor counts twice.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from schemas.topics import ANALYZER_STATE
from services.analyzer import snapshots
from services.analyzer.domain.state import SessionState
from services.analyzer.turn import Message
from services.runtime.backoff import until_taken
from services.runtime.epochs import EPOCH_HEADER
from services.runtime.log import EventLog, LogUnavailable, Position, Record

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Sent:
    """A message and the log's acknowledgement to come; None when it was not even taken."""

    message: Message
    acknowledged: asyncio.Future[Position] | None


@dataclass(slots=True)
class Batch:
    """Records of one session whose results are on their way, and the state after the last of them."""

    state: SessionState
    records: list[Record] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)


class Delivery:
    """Sends, and sends again until acknowledged. `failure` is the log's trouble as long as it lasts."""

    def __init__(self, log: EventLog, finish: Callable[[Record], None]) -> None:
        self._log = log
        self._finish = finish
        self.failure: LogUnavailable | None = None

    async def send(self, message: Message) -> Sent:
        """Hand over, waiting for room in the log."""
        try:
            return Sent(message, await self._send(message))
        except LogUnavailable as error:
            self.failure = error
            return Sent(message, None)

    async def settle(self, batch: Batch, epoch: int, sure: Callable[[], Awaitable[object]]) -> None:
        """Return when the batch's results and its snapshot, under this epoch, are in the log and its records are done.

        `sure` is waited for before the snapshot."""
        for sent in batch.sent:
            await self._acknowledged(sent)
        if snapshots.tells(batch.state):
            await sure()
            await self._acknowledged(await self.send(snapshot(batch.state, epoch)))
        for record in batch.records:
            self._finish(record)

    def refused(self, error: Exception, number: int) -> None:
        """Note the log's trouble; as `until_taken` tells it."""
        assert isinstance(error, LogUnavailable)  # noqa: S101 - asked for by all callers
        self.failure = error
        if number == 1:
            logger.warning("the log does not take results; tried again until it does", error=str(error))

    async def _acknowledged(self, sent: Sent) -> None:
        under_way = sent.acknowledged

        async def taken() -> None:
            nonlocal under_way
            acknowledged, under_way = under_way or await self._send(sent.message), None
            await acknowledged

        await until_taken(taken, LogUnavailable, self.refused)
        self.failure = None

    async def _send(self, message: Message) -> asyncio.Future[Position]:
        return await self._log.send(message.topic, message.key, message.value, message.headers)


def snapshot(state: SessionState, epoch: int) -> Message:
    return Message(ANALYZER_STATE, state.session_id, snapshots.encode(state), {EPOCH_HEADER: str(epoch)})


def tombstone(session_id: str, epoch: int) -> Message:
    """Nothing is to be remembered of this session any more."""
    return Message(ANALYZER_STATE, session_id, b"", {EPOCH_HEADER: str(epoch)})
