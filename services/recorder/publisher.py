"""Sends that are tried until the log has them: what a recording's end waits for."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from schemas.events import RecordingEvent
from schemas.topics import RECORDINGS
from services.runtime.backoff import backoff_s
from services.runtime.deadletters import DeadLetters
from services.runtime.epochs import EPOCH_HEADER
from services.runtime.log import EventLog, LogUnavailable, Record

logger = structlog.get_logger(__name__)

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 5.0


class Publisher:
    """Recording events and dead letters. Each call returns once the log has it, however long that takes."""

    def __init__(self, log: EventLog, dead_letters: DeadLetters) -> None:
        self._log = log
        self._dead_letters = dead_letters

    async def event(self, event: RecordingEvent, epoch: int) -> None:
        """`epoch`: that of the assignment of the session's partition."""

        async def send() -> None:
            headers = {EPOCH_HEADER: str(epoch)}
            await (await self._log.send(RECORDINGS, event.session_id, event.encode(), headers))

        await _until_taken(send)
        logger.info(
            "recording",
            kind=event.kind,
            session_id=event.session_id,
            recording_id=event.recording_id,
            frames=event.frame_count,
            error=event.error,
        )

    async def dead_letter(self, record: Record, error: Exception) -> None:
        await _until_taken(lambda: self._dead_letters.send(record, error))


async def _until_taken(send: Callable[[], Awaitable[None]]) -> None:
    attempt = 0
    while True:
        try:
            return await send()
        except LogUnavailable as error:
            logger.warning("the log does not take records, trying again", error=str(error))
        wait_s = backoff_s(attempt, random.random(), first_s=_FIRST_WAIT_S, longest_s=_LONGEST_WAIT_S)  # noqa: S311
        await asyncio.sleep(wait_s)
        attempt += 1
