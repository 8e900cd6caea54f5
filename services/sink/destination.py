"""What the sink writes to. Each destination is a consumer group of its own: one that is down delays no other."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from schemas.topics import Topic
from services.runtime.log import Record

Item = TypeVar("Item")


class DestinationDown(Exception):
    """The destination cannot take writes now; the same batch is tried again."""


class Destination(Protocol[Item]):
    """`Item` is what one record becomes for this destination."""

    @property
    def name(self) -> str:
        """Its group is `sink-<name>`."""

    @property
    def topics(self) -> Sequence[Topic]: ...

    def parse(self, record: Record) -> Item:
        """Pure. Raises `Malformed`."""

    async def write(self, items: Sequence[Item]) -> None:
        """Return once all is confirmed; writing the same items again changes nothing. Raises `DestinationDown`."""
