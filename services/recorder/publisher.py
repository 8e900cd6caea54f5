"""Sends that are tried until the log has them: what a recording's end waits for."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from schemas.events import RecordingEvent
from schemas.topics import RECORDINGS
from services.runtime.deadletters import DeadLetters
from services.runtime.log import EventLog, LogUnavailable, Record

logger = structlog.get_logger(__name__)

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 5.0


class Publisher:
    """Recording events and dead letters. Each call returns once the log has it, however long that takes."""

    def __init__(self, log: EventLog, dead_letters: DeadLetters) -> None:
        self._log = log
        self._dead_letters = dead_letters

    async def event(self, event: RecordingEvent) -> None:
        async def send() -> None:
            await (await self._log.send(RECORDINGS, event.session_id, event.encode()))

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
    wait_s = _FIRST_WAIT_S
    while True:
        try:
            return await send()
        except LogUnavailable as error:
            logger.warning("the log does not take records, trying again", error=str(error))
        await asyncio.sleep(wait_s * random.uniform(0.5, 1))  # noqa: S311
        wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
