"""Records that nobody can process: kept with where they came from and what was wrong, while their partition goes on."""

import structlog

from schemas.topics import DEAD_LETTERS
from services.runtime.log import EventLog, Record
from services.runtime.metrics import Metrics

logger = structlog.get_logger(__name__)


class Malformed(ValueError):
    """Input that no retry can mend: dead letter, and go on."""


class DeadLetters:
    """Sends records to the `dead-letters` topic under their own key, with origin and error in the headers."""

    def __init__(self, log: EventLog, metrics: Metrics) -> None:
        self._log = log
        self._metrics = metrics

    async def send(self, record: Record, error: BaseException) -> None:
        """Return once the log has it, so that the caller may finish the record."""
        name = type(error).__name__
        headers = {
            **record.headers,
            "origin_topic": record.topic,
            "origin_partition": str(record.partition),
            "origin_offset": str(record.offset),
            "error_class": name,
            "error": str(error)[:1000],
        }
        await (await self._log.send(DEAD_LETTERS, record.key, record.value, headers))
        self._metrics.dead_letters.labels(record.topic, name).inc()
        logger.warning(
            "dead letter", topic=record.topic, partition=record.partition, offset=record.offset, error=str(error)
        )
