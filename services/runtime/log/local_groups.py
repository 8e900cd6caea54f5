"""Groups of one process: who of the members owns which partition, moved one member at a time."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from services.runtime.log.port import TopicPartition

M = TypeVar("M")


def spread(
    partitions: Sequence[TopicPartition], members: Sequence[M], owner: Mapping[TopicPartition, M]
) -> dict[TopicPartition, M]:
    """Share one topic's partitions so that shares differ by one at most, and as few as possible move. Pure."""
    if not members:
        return {}
    held = Counter(owner[partition] for partition in partitions if partition in owner)
    share, extra = divmod(len(partitions), len(members))
    by_held = sorted(members, key=lambda member: -held[member])
    room = {member: share + (place < extra) for place, member in enumerate(by_held)}
    target: dict[TopicPartition, M] = {}
    for partition in partitions:
        keeper = owner.get(partition)
        if keeper is not None and room.get(keeper, 0) > 0:
            target[partition] = keeper
            room[keeper] -= 1
    takers = (member for member in members for _ in range(room[member]))
    for partition in partitions:
        if partition not in target:
            target[partition] = next(takers)
    return target


class Member(Protocol):
    """What a group asks of its members."""

    @property
    def topics(self) -> frozenset[str]: ...

    async def take_over(self, partitions: frozenset[TopicPartition], epoch: int) -> None:
        """Own these from now on, under this epoch."""

    async def give_away(self, partitions: frozenset[TopicPartition]) -> None:
        """Drain, commit and forget these."""


class Group:
    """One group's committed offsets, members and owners. Each partition has one owner at a time.

    A member that is slow to give away holds up those who wait for its partitions, and nobody else.
    """

    def __init__(self, name: str, partitions: Mapping[str, Sequence[TopicPartition]], epoch: int = 0) -> None:
        self.name = name
        self._epoch = epoch
        self.committed: dict[TopicPartition, int] = {}
        self.members: list[Member] = []
        self._partitions = partitions
        self._owner: dict[TopicPartition, Member] = {}
        self._moves: dict[Member, asyncio.Task[None]] = {}

    def join(self, member: Member) -> None:
        self.members.append(member)
        self._rebalance()

    async def leave(self, member: Member) -> None:
        """Take everything from a member; the others share it."""
        if member in self.members:
            self.members.remove(member)
        while member in self._moves:
            await asyncio.wait([self._moves[member]])
        owned = self._owned(member)
        try:
            await member.give_away(owned)
        finally:
            self._disown(owned)
            self._rebalance()

    def topics(self) -> set[str]:
        """Topics that a live member reads."""
        return {topic for member in self.members for topic in member.topics}

    def _owned(self, member: Member) -> frozenset[TopicPartition]:
        return frozenset(partition for partition, owner in self._owner.items() if owner is member)

    def _disown(self, partitions: Iterable[TopicPartition]) -> None:
        for partition in partitions:
            self._owner.pop(partition, None)

    def _rebalance(self) -> None:
        """Start the moves towards an even share; called again at the end of each move, until nothing is to be done."""
        target: dict[TopicPartition, Member] = {}
        for topic in self.topics():
            readers = [member for member in self.members if topic in member.topics]
            target |= spread(self._partitions[topic], readers, self._owner)
        for member in self.members:
            if member in self._moves:
                continue
            lost = frozenset(partition for partition in self._owned(member) if target.get(partition) is not member)
            gained = frozenset(
                partition for partition, owner in target.items() if owner is member and partition not in self._owner
            )
            if lost or gained:
                self._owner.update(dict.fromkeys(gained, member))
                self._moves[member] = asyncio.create_task(self._move(member, lost, gained), name=f"group {self.name}")

    async def _move(self, member: Member, lost: frozenset[TopicPartition], gained: frozenset[TopicPartition]) -> None:
        try:
            if lost:
                await member.give_away(lost)
                self._disown(lost)
            if gained:
                self._epoch += 1
                await member.take_over(gained, self._epoch)
        finally:
            del self._moves[member]
            self._rebalance()
