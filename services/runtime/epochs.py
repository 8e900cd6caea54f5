"""Whose word counts: what a partition's owner writes carries the epoch of its assignment (`log/port.py:Handler`).

An owner that slept while its partitions went to another one may still write for a moment when it wakes. Its epoch is
lower, and readers pass over what it says once they have heard the next owner.
"""

from services.runtime.deadletters import Malformed
from services.runtime.log import Record

EPOCH_HEADER = "epoch"
MOST_DIGITS = 18  # what every store holds as an integer


def epoch_of(record: Record) -> int:
    """The epoch under which a record was written; 0 where it says none. Raises `Malformed`."""
    text = record.headers.get(EPOCH_HEADER, "0")
    if not (text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS):
        raise Malformed(
            f"header {EPOCH_HEADER} is {text[:40]!r}; wanted a whole number of {MOST_DIGITS} digits at most"
        )
    return int(text)
