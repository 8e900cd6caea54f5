"""Session states as the `analyzer-state` topic keeps them: JSON, read tolerantly across versions."""

from pydantic import TypeAdapter, ValidationError

from schemas.base import wrong_fields
from services.analyzer.domain.state import SessionState
from services.runtime.deadletters import Malformed
from services.runtime.epochs import epoch_of
from services.runtime.log import Record
from services.runtime.records import checked

_ADAPTER = TypeAdapter(SessionState)


def encode(state: SessionState) -> bytes:
    return _ADAPTER.dump_json(state)


def decode(value: bytes) -> SessionState:
    """Raises `Malformed`."""
    try:
        return _ADAPTER.validate_json(value, strict=False, extra="ignore")
    except ValidationError as error:
        raise Malformed(f"the snapshot cannot be read: {wrong_fields(error)}") from None


def read(record: Record) -> SessionState:
    """The state in a record of `analyzer-state`. Raises `Malformed` for what is no snapshot of its key's session."""
    checked(record)
    epoch_of(record)
    state = decode(record.value)
    if state.session_id != record.key:
        raise Malformed(f"the key is {record.key!r}, but the snapshot is of session {state.session_id[:60]!r}")
    return state


def tells(state: SessionState) -> bool:
    """Whether there is anything to remember: not of sessions of which only bad records came."""
    return state.start is not None or state.last_seq >= 0 or state.ended
