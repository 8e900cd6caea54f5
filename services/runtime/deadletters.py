"""Records that nobody can process: kept with where they came from and what was wrong, while their partition goes on.

Each group buries what it cannot process itself, since what one refuses may serve another: a damaged frame of a session
that is analyzed and recorded has two letters, one of each `group`. `services.runtime.deadletter_desk` reads them and
sends them again.
"""

import traceback
from collections.abc import Mapping

import structlog

from schemas.topics import DEAD_LETTERS
from services.runtime.log import EventLog, Record
from services.runtime.log.port import MAX_VALUE_BYTES
from services.runtime.metrics import Metrics

logger = structlog.get_logger(__name__)

# What a letter's headers say beside the record's own.
ORIGIN_TOPIC, ORIGIN_PARTITION, ORIGIN_OFFSET = "origin_topic", "origin_partition", "origin_offset"
GROUP, ERROR_CLASS, ERROR, TRACEBACK, CUT = "group", "error_class", "error", "traceback", "cut"
LETTER_HEADERS = frozenset({ORIGIN_TOPIC, ORIGIN_PARTITION, ORIGIN_OFFSET, GROUP, ERROR_CLASS, ERROR, TRACEBACK, CUT})
RETRIES = "retries"  # stays with the record when it is sent again, so that its next letter tells the count

MOST_ERROR_CHARACTERS = 1000
MOST_CALLS, MOST_TRACEBACK_CHARACTERS = 6, 2000
MOST_HEADER_CHARACTERS = 64 << 10


class Malformed(ValueError):
    """Input that no retry can mend: dead letter, and go on."""


class DeadLetters:
    """Sends records that `group` cannot process to the `dead-letters` topic, under their own key."""

    def __init__(self, log: EventLog, metrics: Metrics, group: str) -> None:
        self._log = log
        self._metrics = metrics
        self._group = group

    async def send(self, record: Record, error: BaseException) -> None:
        """Return once the log has it, so that the caller may finish the record. Raises `LogUnavailable`."""
        name = type(error).__name__
        value = record.value[:MAX_VALUE_BYTES]
        headers = _within(record.headers, MOST_HEADER_CHARACTERS)
        headers |= {
            ORIGIN_TOPIC: record.topic,
            ORIGIN_PARTITION: str(record.partition),
            ORIGIN_OFFSET: str(record.offset),
            GROUP: self._group,
            ERROR_CLASS: name,
            ERROR: str(error)[:MOST_ERROR_CHARACTERS],
        }
        if error.__traceback__ is not None and not isinstance(error, Malformed):  # a mistake of ours
            text = "".join(traceback.format_exception(error, limit=-MOST_CALLS))
            headers[TRACEBACK] = text[-MOST_TRACEBACK_CHARACTERS:]
        if len(value) < len(record.value) or len(headers.keys() & record.headers.keys()) < len(record.headers):
            # Another producer may send what Rapt's own log would not take; the letter must go through all the same.
            headers[CUT] = f"of {len(record.value)} bytes and {len(record.headers)} headers"
        await (await self._log.send(DEAD_LETTERS, record.key, value, headers))
        self._metrics.dead_letters.labels(record.topic, name).inc()
        logger.warning(
            "dead letter",
            group=self._group,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            error=str(error)[:MOST_ERROR_CHARACTERS],
        )


def _within(headers: Mapping[str, str], most: int) -> dict[str, str]:
    """The headers that fit into so many characters, the first ones first."""
    kept: dict[str, str] = {}
    for name, text in headers.items():
        most -= len(name) + len(text)
        if most >= 0:
            kept[name] = text
    return kept
