"""Reads the `dead-letters` topic without a group, and sends what was buried again.

A letter that was sent again is marked: a record with an empty value behind it, under its key, whose header `retried`
names it. Whoever dies between the sending and the mark sends again next time; readers take a record twice as once.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from schemas.topics import BY_NAME, DEAD_LETTERS
from services.runtime.deadletter import RETRIED, Letter, LetterId, Wanted, mark_in
from services.runtime.lifecycle import StartFailed
from services.runtime.log import EventLog, Position, Record
from services.runtime.log.history import History

AT_ONCE_RECORDS, AT_ONCE_BYTES = 100, 8 << 20


class NoSuchLetter(StartFailed):
    """The topic does not hold these."""

    def __init__(self, missing: Iterable[LetterId]) -> None:
        super().__init__(f"no dead letter {', '.join(map(str, sorted(missing)))}; `rapt dead-letters list` names all")


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
            marked = mark_in(record)
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
