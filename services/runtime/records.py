"""What every reader asks of a record before it acts on it. One place, so that all groups refuse the same for the same
reason, which then stands in the dead letter.

Another producer may leave out the headers `schema` and `session_id`: the value counts. What a header does say must be
right. A newer version of a topic's schema is refused, since its fields may mean something else; unknown fields of the
version that is known are passed over.
"""

import re
from typing import TypeVar

from pydantic import ValidationError

from schemas.base import Contract, wrong_fields
from schemas.frames import MAX_FRAME_BYTES, BadFrame, FrameHeaders
from schemas.topics import BY_NAME, Topic
from services.runtime.deadletters import Malformed
from services.runtime.log import Record

# JSON values are a few KiB at most; offers of WebRTC are the longest.
MAX_JSON_BYTES = 256 << 10
MAX_SEQ, MAX_MS = 2**32 - 1, 2**53
# As `schemas.base.Identifier`: a key may become part of a file name.
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_WHOLE_NUMBER = re.compile(r"[0-9]{1,16}")
_SHOWN = 60

Event = TypeVar("Event", bound=Contract)


def checked(record: Record) -> Topic:
    """The record's topic, if its key, its headers and its size are as that wants them. Raises `Malformed`."""
    topic = BY_NAME.get(record.topic)
    if topic is None:
        raise Malformed(f"Rapt has no topic {record.topic[:_SHOWN]!r}")
    key, headers = record.key, record.headers
    if not key:
        raise Malformed(f"the record has no key; wanted its {topic.key}")
    if not _IDENTIFIER.fullmatch(key):
        raise Malformed(f"the key is {key[:_SHOWN]!r}; wanted 1 to 128 of A–Z, a–z, 0–9 and, not first, . _ -")
    said = headers.get("session_id", key)
    if said != key and topic.key == "session_id":
        raise Malformed(f"the key is {key[:_SHOWN]!r}, but header session_id says {said[:_SHOWN]!r}")
    schema = headers.get("schema", topic.schema)
    if schema != topic.schema:
        raise Malformed(_wrong_schema(schema, topic))
    limit_bytes = MAX_FRAME_BYTES if topic.model is None else MAX_JSON_BYTES
    if len(record.value) > limit_bytes:
        raise Malformed(f"the value has {len(record.value)} bytes; {topic.name} takes at most {limit_bytes}")
    return topic


def decoded(record: Record, model: type[Event]) -> Event:
    """The value of a checked record, whose own session (or job, lecture) is the key's. Raises `Malformed`."""
    topic = checked(record)
    if not record.value:
        raise Malformed("the value is empty; wanted JSON")
    if len(record.value) > MAX_JSON_BYTES:
        raise Malformed(f"the value has {len(record.value)} bytes; JSON may have {MAX_JSON_BYTES}")
    try:
        event = model.decode(record.value)
    except ValidationError as error:
        raise Malformed(wrong_fields(error)) from None
    fields = topic.key.split(" or ")
    if all(getattr(event, field, None) != record.key for field in fields):
        said = [getattr(event, field, None) for field in fields]
        raise Malformed(f"the key is {record.key!r}, but the value's {topic.key} is {said[0] or said[-1]!r}")
    return event


def frame_headers(record: Record) -> FrameHeaders:
    """All headers of a checked record of `frames`, their numbers in range. Raises `Malformed`."""
    checked(record)
    for name, most in (("seq", MAX_SEQ), ("captured_at_ms", MAX_MS), ("received_at_ms", MAX_MS)):
        number_header(record, name, most)
    try:
        return FrameHeaders.decode(record.headers)
    except BadFrame as error:
        raise Malformed(str(error)) from None


def number_header(record: Record, name: str, most: int) -> int:
    """A header that is a whole number from 0 to `most`. Raises `Malformed`."""
    text = record.headers.get(name)
    if text is None:
        raise Malformed(f"header {name} is missing")
    if not _WHOLE_NUMBER.fullmatch(text) or int(text) > most:
        raise Malformed(f"header {name} is {text[:_SHOWN]!r}; wanted a whole number up to {most}")
    return int(text)


def _wrong_schema(schema: str, topic: Topic) -> str:
    found = re.fullmatch(rf"{re.escape(topic.name)}\.v([0-9]{{1,6}})", schema)
    if found and int(found[1]) > topic.version:
        return f"header schema is {schema!r}: newer than {topic.schema}, the newest that is understood here"
    return f"header schema is {schema[:_SHOWN]!r}; wanted {topic.schema}"
