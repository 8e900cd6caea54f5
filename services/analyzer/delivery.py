"""Results first, then the snapshot that contains their frames, then the frames are done: each step acknowledged.

So a snapshot never runs ahead of what the log has, and a committed frame is in a snapshot: wherever a replica dies,
the next one neither loses a result nor counts twice.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from schemas.topics import ANALYZER_STATE
from services.analyzer import snapshots
from services.analyzer.domain.session import SessionState
from services.analyzer.turn import Message
from services.runtime.log import EventLog, LogUnavailable, Position, Record

logger = structlog.get_logger(__name__)

_RETRY_S = (0.1, 5.0)  # first and longest wait between tries while the log is down


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
            return Sent(message, await self._log.send(message.topic, message.key, message.value, message.headers))
        except LogUnavailable as error:
            self.failure = error
            return Sent(message, None)

    async def settle(self, batch: Batch) -> None:
        """Return when the batch's results and its snapshot are in the log and its records are finished."""
        for sent in batch.sent:
            await self._acknowledged(sent)
        state = batch.state
        snapshot = Message(ANALYZER_STATE, state.session_id, snapshots.encode(state), {})
        await self._acknowledged(await self.send(snapshot))
        for record in batch.records:
            self._finish(record)

    async def _acknowledged(self, sent: Sent) -> None:
        wait_s, longest_s = _RETRY_S
        while True:
            try:
                if sent.acknowledged is not None:
                    await sent.acknowledged
                    self.failure = None
                    return
            except LogUnavailable as error:
                self.failure = error
                logger.warning("the log does not take results; tried again", error=str(error), wait_s=wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(longest_s, 2 * wait_s)
            sent = await self.send(sent.message)
