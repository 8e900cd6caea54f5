"""One frame as the recorder takes it from the log."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Frame:
    """`captured_at_ms` is the client's clock, `received_at_ms` ingest's; both UTC epoch milliseconds."""

    seq: int
    captured_at_ms: int
    received_at_ms: int
    jpeg: bytes = field(repr=False)
