"""Session states as the `analyzer-state` topic keeps them: JSON, read tolerantly across versions."""

from pydantic import TypeAdapter, ValidationError

from services.analyzer.domain.session import SessionState

_ADAPTER = TypeAdapter(SessionState)


class UnreadableSnapshot(ValueError):
    """The value is not a session's state."""


def encode(state: SessionState) -> bytes:
    return _ADAPTER.dump_json(state)


def decode(value: bytes) -> SessionState:
    """Raises `UnreadableSnapshot`."""
    try:
        return _ADAPTER.validate_json(value, strict=False, extra="ignore")
    except ValidationError as error:
        raise UnreadableSnapshot(str(error.errors(include_url=False)[0]["msg"])) from None
