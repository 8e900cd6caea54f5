"""What the final file is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finished:
    """`duration_ms` includes the time that the last frame is shown."""

    filename: str
    duration_ms: int
    size_bytes: int
    sha256: str
