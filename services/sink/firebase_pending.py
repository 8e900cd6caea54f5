"""What waits to be written to Firebase: coalesced per student, with the records that are done once it is. Pure.

A record is held until what it adds is confirmed, or absorbed by a later one of its partition: then the later one alone
brings it back after a restart. So of a student's statuses one record is held, however many come while Firebase is slow;
what tells of a check-in, a check-out or a recording stays until it is written.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from services.runtime.log import Record, TopicPartition
from services.sink.firebase_attendance import Attendee, AttendeeKey, Json, Leaves, changes

# A write whose answer never came, ours or that of a replica that died, may still be under way: after this time with
# Firebase answering, it has come.
SETTLED_AFTER_S = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    record: Record
    adds: Attendee


@dataclass(frozen=True, slots=True)
class Plan:
    """One student's part of an update: what Firebase had, shall have, and the records that are done then."""

    key: AttendeeKey
    before: Leaves
    after: Leaves
    held: Sequence[Held]

    @property
    def update(self) -> dict[str, Json]:
        """Paths from the root; empty where Firebase has it all."""
        node = self.key.path
        return {f"{node}/{path}": value for path, value in changes(self.before, self.after).items()}


@dataclass(slots=True)
class Pending:
    """`known` is what Firebase has of the students seen last, as far as this replica can tell.

    Another replica may write of the same student, for a session of another partition. So a node is read before the
    first word of a session, and again before its end: what is known of it is forgotten then.
    """

    most_known: int = 20_000
    count: int = 0  # records held
    _held: dict[AttendeeKey, list[Held]] = field(default_factory=dict)
    _known: dict[AttendeeKey, Leaves] = field(default_factory=dict)
    _answers_since_s: float | None = None

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._held)

    def add(self, record: Record, key: AttendeeKey, adds: Attendee) -> list[Record]:
        """Hold a record; returns those that are done by that, it among them where it says nothing new."""
        held = self._held.get(key, [])
        if any(each.record.source == record.source and each.record.offset >= record.offset for each in held):
            return []  # read again while it is held
        known = self._known.get(key)
        if known is not None:
            attendee = Attendee.of(known)
            if attendee.join(adds) == attendee:
                return [record]
            if _crosses(attendee, adds):
                del self._known[key]
        absorbed = [each for each in held if each.record.source == record.source and each.adds.join(adds) == adds]
        self._held[key] = [each for each in held if each not in absorbed] + [Held(record, adds)]
        self.count += 1 - len(absorbed)
        return [each.record for each in absorbed]

    def keys(self, most: int) -> list[AttendeeKey]:
        """Students whose turn it is, those that wait longest first."""
        return list(self._held)[:most]

    def known(self, key: AttendeeKey) -> Leaves | None:
        """What Firebase has; None where it must be read first."""
        return self._known.get(key)

    def plan(self, found: Mapping[AttendeeKey, Leaves]) -> list[Plan]:
        """What to write of these students, given what Firebase has of them."""
        plans = []
        for key, before in found.items():
            held = tuple(self._held.get(key, ()))
            after = Attendee.of(before)
            for each in held:
                after = after.join(each.adds)
            plans.append(Plan(key, before, after.leaves(), held))
        return plans

    def confirm(self, plans: Iterable[Plan], began_s: float, now_s: float) -> list[Record]:
        """Firebase has these; returns the records that are done.

        `began_s`: when reading for the plans began. While a write from before may still come, nothing is done: it is
        read, and mended, until that is over.
        """
        if self._answers_since_s is None:
            self._answers_since_s = now_s
        settled = began_s - self._answers_since_s >= SETTLED_AFTER_S
        done = []
        for plan in plans:
            self._known.pop(plan.key, None)
            if not settled:
                continue
            done += self.drop(plan.key, lambda each, plan=plan: each in plan.held)  # type: ignore[misc]
            attendee = Attendee.of(plan.after)
            if not any(_crosses(attendee, each.adds) for each in self._held.get(plan.key, ())):
                self._known[plan.key] = plan.after
        while len(self._known) > self.most_known:
            del self._known[next(iter(self._known))]
        return done

    def failed(self, plans: Iterable[Plan]) -> None:
        """Nobody knows what Firebase has of these."""
        for plan in plans:
            self._known.pop(plan.key, None)

    def unanswered(self) -> None:
        """Firebase does not answer: a write may come yet, even after later ones."""
        self._answers_since_s = None

    def drop(self, key: AttendeeKey, which: Callable[[Held], bool] = lambda _: True) -> list[Record]:
        """Hold these no more; returns their records."""
        held = self._held.get(key, [])
        dropped = [each.record for each in held if which(each)]
        self.count -= len(dropped)
        kept = [each for each in held if not which(each)]
        if kept:
            self._held[key] = kept
        else:
            self._held.pop(key, None)
        return dropped

    def give_away(self, partitions: Collection[TopicPartition]) -> None:
        """Their next owner reads them again, and writes."""
        for key in list(self._held):
            self.drop(key, lambda each: each.record.source in partitions)

    def forget(self) -> None:
        """Another replica may have written whatever is known, and its last write may still be under way."""
        self._known.clear()
        self.unanswered()

    def holds(self, partitions: Collection[TopicPartition]) -> bool:
        return any(each.record.source in partitions for held in self._held.values() for each in held)


def _crosses(attendee: Attendee, adds: Attendee) -> bool:
    """Whether this begins or ends a session, as seen from what is known."""
    if adds.check_out_ms is not None:
        return True
    if adds.status is None:
        return False
    return attendee.status is None or attendee.status.session_id != adds.status.session_id
