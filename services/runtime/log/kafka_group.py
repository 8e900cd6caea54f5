"""A member's standing in its group: is it in it still, what is committed, which epoch has its assignment.

aiokafka keeps these in its coordinator, which is not public; this file alone looks there.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import KafkaError

from services.runtime.log.port import LogUnavailable, TopicPartition
from services.runtime.log.topics import describe

COMMIT_WITHIN_S = 5.0
HEARTBEAT_WITHIN_S = 2.0
GENERATION_BITS = 32


class Note(NamedTuple):
    """What is written beside each committed offset: the assignment under which it was."""

    turn: int
    generation: int

    @classmethod
    def read(cls, text: str) -> "Note":
        turn, _, generation = text.partition("/")
        if turn.isascii() and turn.isdecimal() and generation.isascii() and generation.isdecimal():
            return cls(int(turn), int(generation))
        return cls(0, 0)

    def __str__(self) -> str:
        return f"{self.turn}/{self.generation}"


def next_note(generation: int, mine: Iterable[Note], all_of_the_group: Iterable[Note]) -> Note:
    """The note of a new assignment, greater than that of every earlier one of these partitions. Pure.

    A rebalance raises the generation. A static member that comes back gets its partitions under the same generation
    as the process before it, which may be asleep and not dead: then the turn is raised, for the whole group from then
    on.
    """
    turn = max((note.turn for note in all_of_the_group), default=0)
    taken = any(note.generation == generation for note in mine)
    return Note(turn + taken, generation)


class Membership:
    """One consumer's. `consumer` gives aiokafka's, which must be started."""

    def __init__(self, consumer: Callable[[], AIOKafkaConsumer], asleep_s: float) -> None:
        self._consumer = consumer
        self._asleep_s = asleep_s
        self._awake_s: float | None = None
        self._note = Note(0, 0)

    @property
    def _coordinator(self) -> Any:
        return self._consumer()._coordinator  # noqa: SLF001 - see above

    @property
    def generation(self) -> int:
        """That of the group; below 0 when this member is not in it."""
        return int(self._coordinator.generation)

    async def stands(self) -> bool:
        """Whether this member is in its group. Asks only after a silence in which it may have been put out.

        A process that was stopped for longer than the session timeout wakes with records that are not its own any
        more, and hears that only with its next heartbeat. Raises `KafkaError` when it may not be in the group at all.
        """
        now_s = asyncio.get_running_loop().time()
        awake_s, self._awake_s = self._awake_s, now_s
        if awake_s is None or now_s - awake_s < self._asleep_s:
            return self.generation >= 0
        try:
            async with asyncio.timeout(HEARTBEAT_WITHIN_S):
                stands: bool = await self._coordinator._do_heartbeat()  # noqa: SLF001
        except TimeoutError:
            stands = False
        if not stands:
            self._awake_s = awake_s
        return stands

    async def take_over(
        self, partitions: Collection[KafkaPartition], generation: int
    ) -> tuple[int, dict[TopicPartition, int]]:
        """Note in the group that these partitions have a new owner; returns its epoch and the committed offsets.

        Raises `KafkaError` and `LogUnavailable`; then nobody may be told of the assignment.
        """
        consumer = self._consumer()
        everything = {
            *partitions,
            *(
                KafkaPartition(topic, number)
                for topic in consumer.subscription()
                for number in consumer.partitions_for_topic(topic) or ()
            ),
        }
        found = await self._coordinator.fetch_committed_offsets(everything)
        notes = {partition: Note.read(offset.metadata) for partition, offset in found.items()}
        note = next_note(generation, [notes[each] for each in partitions if each in notes], notes.values())
        offsets = {TopicPartition(*each): max(0, found[each].offset) if each in found else 0 for each in partitions}
        if self.generation != generation:
            raise LogUnavailable("the next rebalance began before this assignment was noted")
        self._note = note
        await self.commit(offsets)
        return note.turn << GENERATION_BITS | generation, offsets

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Raises `LogUnavailable`; also when the group has gone on to another generation without this member."""
        if self.generation != self._note.generation:
            raise LogUnavailable("this member was put out of its group")
        note = str(self._note)
        try:
            async with asyncio.timeout(COMMIT_WITHIN_S):
                await self._consumer().commit(
                    {KafkaPartition(*source): (offset, note) for source, offset in offsets.items()}
                )
        except (KafkaError, TimeoutError) as error:
            raise LogUnavailable(describe(error)) from error
