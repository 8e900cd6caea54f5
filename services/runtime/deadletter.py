"""A dead letter as its headers tell it. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from schemas.topics import BY_NAME, DEAD_LETTERS
from services.runtime.deadletters import (
    CUT,
    ERROR,
    ERROR_CLASS,
    GROUP,
    LETTER_HEADERS,
    ORIGIN_OFFSET,
    ORIGIN_PARTITION,
    ORIGIN_TOPIC,
    RETRIES,
    TRACEBACK,
)
from services.runtime.log import Record

RETRIED = "retried"
_ID = re.compile(r"([0-9]{1,9}):([0-9]{1,18})")


class LetterId(NamedTuple):
    """Where a letter is on the topic, written `partition:offset`."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises `ValueError`."""
        found = _ID.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no letter; wanted partition:offset as `list` shows it, e.g. 3:17")
        return cls(int(found[1]), int(found[2]))


class Origin(NamedTuple):
    """Where the record was that the letter is about. What a letter does not tell is empty or −1."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic or '?'} {self.partition}:{self.offset}" if self.partition >= 0 else self.topic or "?"


@dataclass(frozen=True, slots=True)
class Letter:
    """What is known of a buried record, its value left out. `headers` are the record's own.

    `retries`: how often it had been sent again when it was buried. `retried_at_ms`: when this letter was.
    """

    id: LetterId
    at_ms: int
    key: str
    origin: Origin
    group: str
    error_class: str
    error: str
    traceback: str
    size_bytes: int
    headers: Mapping[str, str]
    retries: int
    cut: str | None = None
    retried_at_ms: int | None = None

    @classmethod
    def of(cls, record: Record) -> Self:
        """Of a record of the topic, whoever wrote it."""
        said = record.headers
        own = {name: text for name, text in said.items() if name not in LETTER_HEADERS}
        if own.get("schema") == DEAD_LETTERS.schema:
            del own["schema"]  # the log's own addition: the record came without
        return cls(
            id=LetterId(record.partition, record.offset),
            at_ms=record.timestamp_ms,
            key=record.key,
            origin=Origin(
                said.get(ORIGIN_TOPIC, ""), _number(said, ORIGIN_PARTITION, -1), _number(said, ORIGIN_OFFSET, -1)
            ),
            group=said.get(GROUP, ""),
            error_class=said.get(ERROR_CLASS, ""),
            error=said.get(ERROR, ""),
            traceback=said.get(TRACEBACK, ""),
            size_bytes=len(record.value),
            headers=own,
            retries=_number(said, RETRIES, 0),
            cut=said.get(CUT),
        )

    @property
    def cannot_go(self) -> str | None:
        """Why it cannot be sent again; None when it can."""
        topic = BY_NAME.get(self.origin.topic)
        if topic is None or topic is DEAD_LETTERS:
            return f"its origin {self.origin.topic!r} is no topic of Rapt's"
        if topic.compacted:
            return f"{topic.name} keeps the newest record of each key: sent again it would replace what came after it"
        if self.cut is not None:
            return f"it is not whole: it was cut when it was buried ({self.cut})"
        return None

    def again(self) -> dict[str, str]:
        """The headers to send it with."""
        return {**self.headers, RETRIES: str(self.retries + 1)}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters: of this origin topic, of this session, whose error says this. None means any."""

    topic: str | None = None
    session: str | None = None
    error: str | None = None

    def takes(self, letter: Letter) -> bool:
        return (
            self.topic in (None, letter.origin.topic)
            and self.session in (None, letter.key, letter.headers.get("session_id"))
            and (self.error or "").lower() in f"{letter.error_class}: {letter.error}".lower()
        )


def mark_in(record: Record) -> LetterId | None:
    """The letter that this record marks; None when it is a letter itself."""
    if record.value or RETRIED not in record.headers or ORIGIN_TOPIC in record.headers:
        return None
    try:
        return LetterId.parse(record.headers[RETRIED])
    except ValueError:
        return None


def _number(headers: Mapping[str, str], name: str, otherwise: int) -> int:
    text = headers.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else otherwise
