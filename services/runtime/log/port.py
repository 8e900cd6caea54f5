"""`EventLog`: topics of records, kept in order per key, read by groups that share the partitions among their members.

`LocalLog` (one SQLite file) and `KafkaLog` (FastStream over aiokafka) keep the same promises and pass the same suite:

- `send` returns once there is room in the bounded set of records under way; the future it returns resolves when the
  log has the record for good. Records of one key keep the order of their `send` calls; where one fails, those sent
  behind it fail as well until the sender has heard of it, so that it can be sent again in its place.
- A group's members share the partitions; each partition has one owner at a time. A member reads on from the group's
  committed offset, or from the oldest record where nothing was committed.
- Nothing is committed that was not finished: the commit is the lowest finished offset + 1 of each partition.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from schemas.topics import Topic
from services.runtime.lifecycle import StartFailed

MOST_EPOCH_DIGITS = 18  # what every store holds as an integer


class TopicPartition(NamedTuple):
    topic: str
    partition: int


class Position(NamedTuple):
    """Where the log put a record."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Record:
    """One record as read. `timestamp_ms` is the time the log took it."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes = field(repr=False)
    headers: Mapping[str, str]
    timestamp_ms: int

    @property
    def source(self) -> TopicPartition:
        return TopicPartition(self.topic, self.partition)

    @property
    def epoch(self) -> int:
        """As the header of that name says; 0 where it says nothing that could be one."""
        text = self.headers.get("epoch", "")
        return int(text) if text.isascii() and text.isdecimal() and len(text) <= MOST_EPOCH_DIGITS else 0


class LogUnavailable(Exception):
    """The log cannot be reached or cannot write (broker away, disk full). Sending may be tried again."""


class LogStartFailed(LogUnavailable, StartFailed):
    """The log cannot be opened; one line says what is wrong and what to do."""


# What both adapters take, key and headers aside: frames are at most 1 MiB, the rest is far smaller.
MAX_VALUE_BYTES = 2 << 20


class Handler(Protocol):
    """What a consumer calls. The three calls never overlap for one consumer."""

    async def assigned(self, partitions: frozenset[TopicPartition], epoch: int) -> None:
        """Called before the first record of these partitions: load their state here.

        `epoch` is greater than that of every earlier assignment of one of these partitions in this group, to whichever
        member: what carries a lower one comes from an owner before this one. Where it follows the member's last one
        directly, nobody else owned the partitions in between.

        An exception out of here is logged and the call repeated, after a wait. Kafka takes all partitions at each
        rebalance and gives most of them back; the local log moves only what changes hands.
        """

    async def handle(self, records: Sequence[Record]) -> None:
        """Take a batch, in order per partition. Returning asks for the next one; waiting here is the back-pressure.

        Work may go on after the return; `Consumer.finish` tells when a record is done. An exception out of here is a
        bug: the consumer logs it, waits, and calls again with the same batch.
        """

    async def revoked(self, partitions: frozenset[TopicPartition]) -> None:
        """Called when these partitions are about to be given away, at a rebalance or at `stop`: finish what is under
        way on them. What is finished on return gets committed; all else is read again by the next owner."""


class Consumer(Protocol):
    """One member of a group, or a group-less reader of everything new."""

    async def start(self) -> None:
        """Join the group and begin to call the handler. Raises `LogUnavailable`."""

    def finish(self, record: Record) -> None:
        """Say that all work of this record is done; its offset may be committed. Does nothing without a group, or
        when the partition was given away meanwhile. To be called in the event loop."""

    async def stop(self) -> None:
        """Halt the intake, let `revoked` drain, commit what is finished, leave the group."""

    async def lag(self) -> Mapping[TopicPartition, int]:
        """Records after the committed offset, for the partitions that this member owns."""

    def oldest_ms(self) -> int | None:
        """When the log took the oldest record that is not finished, of those handed to this member and those next in
        turn. None: all is finished, as far as it was read."""


class EventLog(Protocol):
    name: str

    async def start(self) -> None:
        """Open the log and make sure the topics exist. Raises `LogUnavailable` with what is wrong and what to do."""

    async def close(self) -> None:
        """Wait for the records under way, then close. Consumers are stopped before."""

    async def send(
        self, topic: Topic, key: str, value: bytes, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[Position]:
        """Wait for room, hand the record over, return the future of its acknowledgement (fails with `LogUnavailable`).

        The headers `schema` (from the topic) and `session_id` (the key) are added where the caller gave none.
        Raises `ValueError` for a value above `MAX_VALUE_BYTES`.
        """

    def consumer(
        self, topics: Sequence[Topic], handler: Handler, *, group: str | None, max_records: int = 256
    ) -> Consumer:
        """A new member of `group`; not started. Without a group: every partition, only records sent after `start`,
        nothing committed, `assigned` and `revoked` are not called."""

    async def snapshot(self, topic: Topic, *partitions: int) -> Mapping[str, Record]:
        """The newest record of each key on these partitions, up to the moment of the call: of those under the highest
        `epoch` (a header) the last. For compacted topics; a key whose newest value is empty (a tombstone) is left out.

        Compaction knows no epochs and keeps the last record: whoever owns a key writes it again now and then."""

    async def check(self) -> None:
        """Raises `LogUnavailable` when the log cannot take records now; for readiness."""
