"""Calls a handler: one call at a time, again after an exception, and only with what this member owns.

Both adapters deliver through here, so that the order of assigned, handle, revoked and commit is decided once.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import structlog

from services.runtime.log.offsets import OffsetTracker
from services.runtime.log.port import Handler, Record, TopicPartition

logger = structlog.get_logger(__name__)

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0
MOST_UNCOMMITTED = 65_536


def pause_s(attempt: int) -> float:
    """Back-off before the next attempt (0, 1, …): doubled each time, half of it random."""
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * (1 << min(attempt, 16)))
    return longest * (0.5 + random.random() / 2)  # noqa: S311 - spreads retries, guards nothing


class Delivery:
    """One consumer's calls to its handler, and the offsets of what it was handed.

    The uncommitted (handed out and not finished, or finished behind one that is not) are `MOST_UNCOMMITTED` records at
    most, and the last batch: when there are more, the next batch waits.

    `epoch` changes whenever partitions are taken away: what was fetched under an older one is stale. Without a group
    every record is delivered and no offset is kept. `still_member` is asked before each call of `handle`; where it says
    no, nothing is delivered.
    """

    def __init__(
        self, handler: Handler, *, group: str | None, still_member: Callable[[], Awaitable[bool]] | None = None
    ) -> None:
        self._handler = handler
        self._still_member = still_member
        self._group = group
        self._tracked = group is not None
        self._one_call = asyncio.Lock()
        self._trackers: dict[TopicPartition, OffsetTracker] = {}
        self._interrupted = asyncio.Event()  # ends a pause between two attempts
        self._revoking = 0
        self._room = asyncio.Event()
        self._room.set()
        self._waiting_ms: int | None = None
        self.halted = False
        self.epoch = 0

    @property
    def owned(self) -> frozenset[TopicPartition]:
        return frozenset(self._trackers)

    def committed(self, partition: TopicPartition) -> int | None:
        tracker = self._trackers.get(partition)
        return None if tracker is None else tracker.committed

    @property
    def oldest_ms(self) -> int | None:
        """When the log took the oldest record that is not finished, of those handed out and those about to be."""
        ages = [self._waiting_ms, *(tracker.oldest_ms for tracker in self._trackers.values())]
        return min((each for each in ages if each is not None), default=None)

    def await_turn(self, records: Sequence[Record]) -> None:
        """Note that these are the next to be delivered."""
        self._waiting_ms = min((record.timestamp_ms for record in records), default=None)

    async def idle(self) -> None:
        """Wait until no call is under way."""
        async with self._one_call:
            pass

    def halt(self) -> None:
        """No further call of `assigned` or `handle`; a pause between two attempts ends."""
        self.halted = True
        self._interrupted.set()
        self._room.set()

    async def assign(
        self, committed: Mapping[TopicPartition, int], epoch: int, ready: Callable[[], object] | None = None
    ) -> None:
        """Tell the handler of new partitions. `epoch` is the group's; `ready` is called when it took them, before any
        delivery of theirs.

        What `assigned` raises is logged and it is called again, until the partitions are taken away.
        """
        async with self._one_call:
            if self._revoking:
                return  # taken away before the handler heard of them
            self._trackers.update({partition: OffsetTracker(offset) for partition, offset in committed.items()})
            attempt = 0
            while not self.halted and not self._revoking:
                try:
                    await self._handler.assigned(frozenset(committed), epoch)
                except Exception:
                    logger.exception("handler failed in assigned; it is called again", group=self._group)
                else:
                    if ready is not None:
                        ready()
                    return
                await self._pause(attempt)
                attempt += 1

    async def revoke(
        self,
        partitions: Collection[TopicPartition] | None,
        commit: Callable[[Mapping[TopicPartition, int]], Awaitable[None]],
    ) -> None:
        """Wait for the call under way, let the handler drain, commit what is finished, forget the partitions.

        None means all that are owned then.
        """
        self.epoch += 1
        self._revoking += 1
        self._interrupted.set()
        self._room.set()
        try:
            async with self._one_call:
                mine = self.owned if partitions is None else frozenset(partitions) & self.owned
                try:
                    if mine:
                        await self._handler.revoked(mine)
                except Exception:
                    logger.exception("handler failed in revoked", group=self._group)
                finally:
                    offsets = self.committable(mine)
                    for partition in mine:
                        del self._trackers[partition]
                    self.epoch += 1
                if offsets:
                    await commit(offsets)
        finally:
            self._revoking -= 1
            if not self._revoking and not self.halted:
                self._interrupted.clear()

    async def deliver(self, records: Sequence[Record], epoch: int, taken: Callable[[], object] | None = None) -> bool:
        """Hand a batch over, again and again until the handler takes it or does not own it any more.

        False, and nothing done, when the batch was fetched under an older epoch, or by one who is no member any more;
        else `taken` is called first.
        """
        self.await_turn(records)
        try:
            await self._room.wait()
            return await self._deliver(records, epoch, taken)
        finally:
            self.await_turn(())

    async def _deliver(self, records: Sequence[Record], epoch: int, taken: Callable[[], object] | None) -> bool:
        trackers: dict[TopicPartition, OffsetTracker] = {}
        failures = 0
        while not self.halted:
            async with self._one_call:
                if self._still_member is not None and not await self._still_member():
                    return failures > 0
                if failures == 0:
                    if epoch != self.epoch or self.halted:
                        return False
                    if taken is not None:
                        taken()
                    trackers = dict(self._trackers) if self._tracked else {}
                    self.await_turn(())
                if self._tracked:
                    records = self._still_owned(records, trackers)
                if not records:
                    return True
                try:
                    await self._handler.handle(records)
                    return True
                except Exception:
                    logger.exception("handler failed; the batch is delivered again", group=self._group)
            await self._pause(failures)
            failures += 1
        return failures > 0

    def finish(self, record: Record) -> bool:
        """Note that a record is done; False when its partition is not owned (any more)."""
        tracker = self._trackers.get(record.source)
        if tracker is None:
            return False
        tracker.finish(record.offset)
        return True

    def committable(self, partitions: Collection[TopicPartition] | None = None) -> dict[TopicPartition, int]:
        """Offsets to commit, of the partitions where they moved on since the last `mark`."""
        offsets = {}
        for partition in self._trackers if partitions is None else partitions:
            tracker = self._trackers[partition]
            if (offset := tracker.committable) > tracker.committed:
                offsets[partition] = offset
        self._look_for_room()
        return offsets

    def mark(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Note that these offsets are committed."""
        for partition, offset in offsets.items():
            if (tracker := self._trackers.get(partition)) is not None:
                tracker.committed = max(tracker.committed, offset)

    def _still_owned(
        self, records: Sequence[Record], trackers: Mapping[TopicPartition, OffsetTracker]
    ) -> Sequence[Record]:
        """Without what an heir has finished meanwhile: who lost a partition and got it back may hold old records."""
        mine = [
            record
            for record in records
            if (tracker := trackers.get(record.source)) is not None
            and tracker is self._trackers.get(record.source)
            and record.offset >= tracker.committed
        ]
        for record in mine:
            trackers[record.source].add(record.offset, record.timestamp_ms)
        self._look_for_room()
        return mine

    def _look_for_room(self) -> None:
        if sum(tracker.held for tracker in self._trackers.values()) < MOST_UNCOMMITTED or self._revoking or self.halted:
            self._room.set()
        else:
            self._room.clear()

    async def _pause(self, attempt: int) -> None:
        try:
            async with asyncio.timeout(pause_s(attempt)):
                await self._interrupted.wait()
        except TimeoutError:
            pass
