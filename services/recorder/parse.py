"""What a record of `frames` says, checked before anything is done with it. Pure."""

from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from schemas.base import EpochMs, Identifier, Seq, wrong_fields
from schemas.frames import BadFrame, FrameHeaders
from schemas.sessions import SessionEnd, SessionStart
from schemas.topics import FRAMES
from services.runtime.deadletters import Malformed
from services.runtime.log import Record

Value = TypeVar("Value", SessionStart, SessionEnd)

_IDENTIFIER: TypeAdapter[str] = TypeAdapter(Identifier)
_RANGES = {"seq": TypeAdapter(Seq), "captured_at_ms": TypeAdapter(EpochMs), "received_at_ms": TypeAdapter(EpochMs)}


def parse_headers(record: Record) -> FrameHeaders:
    """The record's headers; raises `Malformed` where they, or the key, are not those of a session's record.

    A record may lack the header `schema`; one of another version may mean anything.
    """
    schema = record.headers.get("schema", FRAMES.schema)
    if schema != FRAMES.schema:
        raise Malformed(f"header schema is {schema[:40]!r}; wanted {FRAMES.schema}")
    try:
        headers = FrameHeaders.decode(record.headers)
    except BadFrame as error:
        raise Malformed(str(error)) from None
    if not record.key:
        raise Malformed("the record has no key; wanted the session's id")
    if headers.session_id != record.key:
        raise Malformed("header session_id is not the record's key; wanted the session's id for both")
    try:
        _IDENTIFIER.validate_python(record.key)
    except ValidationError:
        raise Malformed("the record's key is no session's id") from None
    for name, numbers in _RANGES.items():
        try:
            numbers.validate_python(getattr(headers, name))
        except ValidationError as error:
            raise Malformed(f"header {name}: {error.errors(include_url=False)[0]['msg']}") from None
    return headers


def parse_start(record: Record) -> SessionStart:
    """The session that a record of kind `start` begins; raises `Malformed`."""
    try:
        start = SessionStart.decode(record.value)
    except ValidationError as error:
        raise Malformed(f"start: {wrong_fields(error)}") from None
    return _own(record, start, "start")


def parse_end(record: Record) -> SessionEnd:
    """The end that a record of kind `end` tells; raises `Malformed`."""
    try:
        end = SessionEnd.decode(record.value)
    except ValidationError as error:
        raise Malformed(f"end: {wrong_fields(error)}") from None
    return _own(record, end, "end")


def _own(record: Record, value: Value, kind: str) -> Value:
    if value.session_id != record.key:
        raise Malformed(f"{kind}: session_id is not the record's key")
    return value
