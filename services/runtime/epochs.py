"""Whose word counts: what a partition's owner writes carries the epoch of its assignment (`log/port.py:Handler`).

An owner that slept while its partitions went to another one may still write for a moment when it wakes. Its epoch is
lower, and readers pass over what it says once they have heard the next owner.
"""

from collections.abc import Hashable

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


class NewestEpochs:
    """The highest epoch heard of each of many; of more than `most`, those not heard of for longest are forgotten."""

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._epochs: dict[Hashable, int] = {}  # in the order of the last word

    def counts(self, whose: Hashable, epoch: int) -> bool:
        """Whether a word under this epoch counts: False once a higher one was heard. 0 is none, and counts."""
        if epoch == 0:
            return True
        newest = self._epochs.pop(whose, 0)
        self._epochs[whose] = max(newest, epoch)
        if len(self._epochs) > self._most:
            del self._epochs[next(iter(self._epochs))]
        return epoch >= newest
