"""Reads the `dead-letters` topic without a group, and sends what was buried again.

A letter that was sent again is marked: a record with an empty value behind it, under its key, whose header `retried`
names it. Whoever dies between the sending and the mark sends again next time; readers take a record twice as once.
"""

import asyncio
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
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
from services.runtime.lifecycle import StartFailed
from services.runtime.log import EventLog, Position, Record
from services.runtime.log.history import History

RETRIED = "retried"
AT_ONCE_RECORDS, AT_ONCE_BYTES = 100, 8 << 20
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


class NoSuchLetter(StartFailed):
    """The topic does not hold these."""

    def __init__(self, missing: Iterable[LetterId]) -> None:
        super().__init__(f"no dead letter {', '.join(map(str, sorted(missing)))}; `rapt dead-letters list` names all")


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


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of a retry: how many records were sent, and which letters could not be, and why."""

    records: int
    left: Sequence[tuple[LetterId, str]]


async def read_letters(history: History, wanted: Wanted | None = None) -> list[Letter]:
    """The letters, the newest last. Raises `LogUnavailable`."""
    letters: dict[LetterId, Letter] = {}
    marks: dict[LetterId, int] = {}
    async with aclosing(history.records(DEAD_LETTERS)) as records:
        async for record in records:
            marked = _mark(record)
            if marked is not None:
                marks.setdefault(marked, record.timestamp_ms)
            else:
                letter = Letter.of(record)
                letters[letter.id] = letter
    for marked, at_ms in marks.items():
        if marked in letters:
            letters[marked] = replace(letters[marked], retried_at_ms=at_ms)
    found = (letter for letter in letters.values() if wanted is None or wanted.takes(letter))
    return sorted(found, key=lambda letter: (letter.at_ms, letter.id))


async def read_letter(history: History, wanted: LetterId) -> tuple[Letter, bytes]:
    """A letter and its value. Raises `NoSuchLetter`, `LogUnavailable`."""
    letter = next((each for each in await read_letters(history) if each.id == wanted), None)
    if letter is not None:
        async with aclosing(history.records(DEAD_LETTERS)) as records:
            async for record in records:
                if (record.partition, record.offset) == wanted:
                    return letter, record.value
    raise NoSuchLetter([wanted])


async def retry(history: History, log: EventLog, letters: Sequence[Letter], chosen: Collection[LetterId]) -> Retried:
    """Send the records of the chosen letters to their topics, under their own keys and with their own headers.

    `letters` are all there are: those about the same record as a chosen one are marked with it. Each record goes
    behind what its key has there by now: a frame whose seq is behind the session's is skipped by its readers as one
    that was sent twice. Raises `LogUnavailable`; what was sent before that is marked.
    """
    left = [(letter.id, letter.cannot_go) for letter in letters if letter.id in chosen and letter.cannot_go]
    unsendable = {each for each, _ in left}
    errands: dict[LetterId, list[Letter]] = {}  # the letter whose record is sent → all about that record
    for same in _by_record(letters).values():
        wanted = [letter for letter in same if letter.id in chosen and letter.id not in unsendable]
        if wanted:
            errands[wanted[0].id] = same
    waiting: list[tuple[Record, list[Letter]]] = []
    size_bytes = 0
    async with aclosing(history.records(DEAD_LETTERS)) as records:
        async for record in records:
            about = errands.get(LetterId(record.partition, record.offset))
            if about is None:
                continue
            waiting.append((record, about))
            size_bytes += len(record.value)
            if len(waiting) >= AT_ONCE_RECORDS or size_bytes >= AT_ONCE_BYTES:
                await _send(log, waiting)
                waiting, size_bytes = [], 0
    await _send(log, waiting)
    return Retried(len(errands), left)


def _by_record(letters: Iterable[Letter]) -> dict[tuple[object, ...], list[Letter]]:
    """Letters about the same record together: of two groups, or of one that died before it committed."""
    same: dict[tuple[object, ...], list[Letter]] = {}
    for letter in letters:
        known = letter.origin.offset >= 0
        same.setdefault((letter.origin, letter.key) if known else (letter.id,), []).append(letter)
    return same


async def _send(log: EventLog, waiting: Collection[tuple[Record, list[Letter]]]) -> None:
    """Send the records; mark their letters once the log has them all."""
    sent = []
    for record, _ in waiting:
        letter = Letter.of(record)
        sent.append(await log.send(BY_NAME[letter.origin.topic], record.key, record.value, letter.again()))
    await _taken(sent)
    marked = [letter for _, about in waiting for letter in about]
    await _taken([await log.send(DEAD_LETTERS, letter.key, b"", {RETRIED: str(letter.id)}) for letter in marked])


async def _taken(sent: Sequence[asyncio.Future[Position]]) -> None:
    for outcome in await asyncio.gather(*sent, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


def _mark(record: Record) -> LetterId | None:
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
