"""What records add to a student's node, and what waits to be written: whatever comes again, in whatever suffix, the
tree ends the same."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import examples
from schemas.base import Contract
from schemas.events import SessionTotals
from services.runtime.deadletters import Malformed
from services.runtime.log import Record, TopicPartition
from services.sink.firebase_attendance import Attendee, AttendeeKey, Json, change_of, changes, encoded, leaves_of
from services.sink.firebase_pending import SETTLED_AFTER_S, Pending
from tests.support import firebase_tree

TOTALS = SessionTotals(frames=1, analyzed=1, skipped=0, blink_count=0, yawn_count=0, last_seq=0)
STATES = ("engaged", "distracted", "drowsy")


def record(topic: str, event: Contract, offset: int = 0, partition: int = 0, epoch: int | None = None) -> Record:
    headers = {} if epoch is None else {"epoch": str(epoch)}
    return Record(topic, partition, offset, event.session_id, event.encode(), headers, 1_000)  # type: ignore[attr-defined]


def status(offset: int = 0, partition: int = 0, epoch: int | None = None, **said: object) -> Record:
    said = {"session_id": "s", "started_at_ms": 1_000, **said}
    return record("status", examples.STATUS.model_copy(update=said), offset, partition, epoch)


def recording(offset: int = 0, partition: int = 0, **said: object) -> Record:
    said = {"session_id": "s", "recording_id": "r-s", "started_at_ms": 1_000, "filename": "s.mp4", **said}
    return record("recordings", examples.RECORDING.model_copy(update=said), offset, partition)


# -- one record -----------------------------------------------------------------------------------------------------


def test_a_status_tells_of_the_check_in_and_the_last_one_of_the_check_out() -> None:
    key, first = change_of(status(seq=1, state="engaged"))
    assert key == AttendeeKey("PHYS-101", "student")
    assert first.leaves() == {
        "check_in_time": 1_000,
        "status/state": "engaged",
        "status/gaze": "center",
        "status/head_pose": "forward",
        "status/yawning": False,
        "status/session_started_at_ms": 1_000,
        "status/session_id": "s",
        "status/epoch": 0,
        "status/seq": 1,
        "status/ended": False,
        "status/changed_at_ms": examples.STATUS.changed_at_ms,
    }
    _, last = change_of(status(seq=9, totals=TOTALS, ended_at_ms=5_000))
    after = first.join(last).leaves()
    assert (after["check_in_time"], after["check_out_time"], after["status/ended"]) == (1_000, 5_000, True)


def test_a_path_is_of_completed_recordings_alone() -> None:
    def path(*kinds: str, filename: str | None = "s.mp4") -> Json:
        node = Attendee()
        for kind in kinds:
            node = node.join(change_of(recording(kind=kind, filename=filename))[1])
        return node.leaves().get("lecture_video_path")

    assert path("started", "segment") is None
    assert path("failed") is None
    assert path("started", "completed") == "s.mp4"
    assert path("completed", "deleted") is None
    assert path("completed", "deleted", "completed") is None  # told again


def test_a_deleted_recording_without_a_name_takes_no_path_away() -> None:
    kept = change_of(recording(kind="completed"))[1]
    dev_mode = change_of(
        recording(kind="deleted", session_id="t", recording_id="r-t", started_at_ms=2_000, filename=None)
    )[1]
    assert kept.join(dev_mode).leaves()["lecture_video_path"] == "s.mp4"
    assert "lecture_video_path" not in dev_mode.leaves()


def test_an_earlier_owners_word_is_passed_over() -> None:
    late = change_of(status(epoch=1, seq=90, state="drowsy"))[1]
    new = change_of(status(epoch=2, seq=80, state="engaged"))[1]
    assert late.join(new) == new.join(late) == new


def test_a_record_that_cannot_be_read_says_why() -> None:
    with pytest.raises(Malformed, match="student_id: Field required"):
        change_of(Record("status", 0, 0, "s", b'{"session_id": "s"}', {}, 0))
    with pytest.raises(Malformed, match="no place in Firebase"):
        change_of(record("metrics", examples.METRICS))


@pytest.mark.parametrize(
    ("key", "stored"), [("jane.doe", "jane%2Edoe"), ("a/b[1]#$%", "a%2Fb%5B1%5D%23%24%25"), ("ok-1_é", "ok-1_é")]
)
def test_keys_are_encoded_as_firebase_takes_them(key: str, stored: str) -> None:
    assert encoded(key) == stored
    assert firebase_tree.path_of(stored) == (stored,)


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_two_keys_never_become_one(one: str, other: str) -> None:
    assert (encoded(one) == encoded(other)) == (one == other)
    firebase_tree.path_of(encoded(one).encode("utf-8", "replace").decode())


def test_somebody_elses_values_count_as_unknown_and_are_written_over() -> None:
    before = leaves_of({"check_in_time": "yesterday", "status": {"state": 7, "mood": "good"}, "name": "Jane"})
    assert before == {"check_in_time": "yesterday", "status/state": 7}
    assert Attendee.of(before) == Attendee()
    written = changes(before, change_of(status())[1].leaves())
    assert (written["check_in_time"], written["status/state"]) == (1_000, "engaged")


def test_what_means_something_together_is_written_together() -> None:
    before, after = change_of(status(seq=1))[1], change_of(status(seq=2, gaze=None))[1]
    written = changes(before.leaves(), after.leaves())
    assert {path.split("/")[0] for path in written} == {"status"}
    assert (written["status/seq"], written["status/gaze"], written["status/session_id"]) == (2, None, "s")
    assert changes(after.leaves(), after.leaves()) == {}


def settled(most_known: int = 100) -> Pending:
    """To which Firebase has answered for long at 0 s."""
    pending = Pending(most_known)
    pending.confirm([], -SETTLED_AFTER_S, -SETTLED_AFTER_S)
    return pending


# -- what waits -----------------------------------------------------------------------------------------------------


def test_of_a_students_statuses_one_record_is_held() -> None:
    pending = settled()
    done = [
        each.offset
        for offset in range(100)
        for each in pending.add(status(offset, seq=offset), *change_of(status(seq=offset)))
    ]
    assert done == list(range(99))
    assert pending.count == 1


def test_what_tells_of_attendance_and_paths_is_held_until_it_is_written() -> None:
    pending = settled()
    ended = status(1, seq=5, totals=TOTALS, ended_at_ms=5_000)
    completed = recording(0, 3, kind="completed")
    again = status(2, session_id="t", started_at_ms=9_000, seq=1)
    for each in (ended, completed, again):
        assert pending.add(each, *change_of(each)) == []
    plans = pending.plan({change_of(ended)[0]: {}})
    assert [held.record for held in plans[0].held] == [ended, completed, again]
    assert pending.confirm(plans, 0.0, 0.0) == [ended, completed, again]
    assert not pending


def test_a_record_read_again_says_nothing_new() -> None:
    pending = settled()
    one = status(7, seq=7)
    pending.add(one, *change_of(one))
    assert pending.add(one, *change_of(one)) == []  # held: not done by its own repetition
    assert pending.confirm(pending.plan({change_of(one)[0]: {}}), 0.0, 0.0) == [one]
    older = status(6, seq=6)
    assert pending.add(older, *change_of(older)) == [older]


def test_a_node_is_read_again_where_a_session_begins_or_ends() -> None:
    pending = settled()
    key = AttendeeKey("PHYS-101", "student")

    def told(one: Record) -> bool:
        """Whether the node is known once this is held."""
        pending.add(one, *change_of(one))
        known = pending.known(key) is not None
        pending.confirm(pending.plan({key: pending.known(key) or {}}), 0.0, 0.0)
        return known

    assert not told(status(0, seq=0))
    assert told(status(1, seq=1))
    assert not told(status(2, seq=2, totals=TOTALS, ended_at_ms=5_000))
    assert not told(status(3, partition=1, session_id="t", started_at_ms=9_000, seq=1))


def test_while_an_older_write_may_come_nothing_is_done() -> None:
    pending = settled()
    pending.forget()  # partitions were assigned: their last owner may have died with a write under way
    one = status()
    key, _ = change_of(one)
    pending.add(one, *change_of(one))
    assert pending.confirm(pending.plan({key: {}}), 10.0, 11.0) == []
    assert pending.known(key) is None
    assert pending.confirm(pending.plan({key: {}}), 10.9 + SETTLED_AFTER_S, 20.0) == []
    pending.unanswered()
    assert pending.confirm(pending.plan({key: {}}), 30.0, 30.0) == []
    assert pending.confirm(pending.plan({key: {}}), 30.0 + SETTLED_AFTER_S, 40.0) == [one]


def test_what_is_known_is_bounded() -> None:
    pending = settled(most_known=2)
    for number in range(5):
        one = status(number, student_id=f"student{number}")
        pending.add(one, *change_of(one))
        pending.confirm(pending.plan({change_of(one)[0]: {}}), 0.0, 0.0)
    assert [pending.known(AttendeeKey("PHYS-101", f"student{n}")) is not None for n in range(5)] == [False] * 3 + [
        True
    ] * 2


# -- any history ----------------------------------------------------------------------------------------------------

PARTITIONS = 3


@dataclass
class Sink:
    """A replica, and Firebase with the writes whose answer never came: they come before SETTLED_AFTER_S of answers."""

    tree: Json = None
    late: list[Mapping[str, Json]] = field(default_factory=list)
    pending: Pending = field(default_factory=Pending)
    finished: set[tuple[TopicPartition, int]] = field(default_factory=set)
    now_s: float = 0.0
    answers_since_s: float | None = None

    def take(self, records: Iterable[Record]) -> None:
        for each in records:
            self._finish(self.pending.add(each, *change_of(each)))

    def tick(self, *, lost: bool = False, meanwhile: Sequence[Record] = ()) -> None:
        """`lost`: the write comes later, and this replica is told nothing. `meanwhile`: taken while it is under way."""
        self.now_s += SETTLED_AFTER_S / 2
        if self.late and self.answers_since_s is not None and self.now_s - self.answers_since_s >= SETTLED_AFTER_S:
            self.arrive()
        found = {}
        for key in self.pending.keys(3):
            known = self.pending.known(key)
            found[key] = known if known is not None else self._read(key)
        plans = self.pending.plan(found)
        update = {path: value for plan in plans for path, value in plan.update.items()}
        self.take(meanwhile)
        if lost:
            if update:
                self.late.append(update)
                self.answers_since_s = None
            self.pending.failed(plans)
            self.pending.unanswered()
            return
        if update:
            self.tree = firebase_tree.update(self.tree, (), update)
        if self.answers_since_s is None:
            self.answers_since_s = self.now_s
        self._finish(self.pending.confirm(plans, self.now_s, self.now_s))

    def arrive(self) -> None:
        """What was lost comes now, the newest first."""
        while self.late:
            self.tree = firebase_tree.update(self.tree, (), self.late.pop())

    def settle(self) -> None:
        for _ in range(100):
            if not self.pending:
                return self.arrive()
            self.tick()
        raise AssertionError("never settled")

    def die(self) -> None:
        self.pending = Pending()

    def _read(self, key: AttendeeKey) -> Mapping[str, Json]:
        return leaves_of(firebase_tree.read(self.tree, firebase_tree.path_of(key.path)))

    def _finish(self, records: Iterable[Record]) -> None:
        self.finished |= {(each.source, each.offset) for each in records}


@st.composite
def histories(draw: st.DrawFn) -> list[Record]:
    """Records of a few sessions of two students, each session on a partition, some words of earlier owners late."""
    offsets: defaultdict[TopicPartition, int] = defaultdict(int)
    records: list[Record] = []

    def append(make: Record) -> None:
        offset = offsets[make.source]
        offsets[make.source] += 1
        records.append(Record(make.topic, make.partition, offset, make.key, make.value, make.headers, offset))

    sessions = []
    for number in range(draw(st.integers(1, 4))):
        own: dict[str, Any] = {
            "session_id": f"s{number}",
            "student_id": draw(st.sampled_from(["jane.doe", "joe"])),
            "started_at_ms": draw(st.integers(1, 4)) * 1_000,
        }
        steps = draw(st.lists(st.sampled_from(["status", "late", "owner", "end", "completed", "deleted"]), max_size=8))
        sessions.append((own, draw(st.integers(0, PARTITIONS - 1)), iter(steps), {"epoch": 1, "seq": 0}))
    while sessions:
        chosen = draw(st.integers(0, len(sessions) - 1))
        own, partition, steps_left, now = sessions[chosen]
        step = next(steps_left, None)
        now["seq"] += 1
        match step:
            case None:
                del sessions[chosen]
            case "status" | "late":
                epoch = now["epoch"] - (step == "late" and now["epoch"] > 1)
                state = draw(st.sampled_from(STATES))
                append(status(partition=partition, epoch=epoch, seq=now["seq"], state=state, **own))
            case "owner":
                now["epoch"] += 1
            case "end":
                ended_at_ms = 10_000 + now["seq"]
                append(
                    status(
                        partition=partition,
                        epoch=now["epoch"],
                        seq=now["seq"],
                        totals=TOTALS,
                        ended_at_ms=ended_at_ms,
                        **own,
                    )
                )
            case _:
                said = {**own, "recording_id": f"r-{own['session_id']}", "filename": f"{own['session_id']}.mp4"}
                append(recording(partition=partition, kind=step, ended_at_ms=9_000, **said))
    return records


def truth(records: Sequence[Record]) -> Json:
    """Of all records, by the words of docs/firebase.md rather than by joining."""
    by_key: defaultdict[AttendeeKey, list[Attendee]] = defaultdict(list)
    for each in records:
        key, adds = change_of(each)
        by_key[key].append(adds)
    tree: Json = None
    for key, added in by_key.items():
        statuses = [adds.status for adds in added if adds.status]
        videos = [adds.video for adds in added if adds.video]
        node = Attendee(
            min(adds.check_in_ms for adds in added if adds.check_in_ms is not None),
            max((adds.check_out_ms for adds in added if adds.check_out_ms is not None), default=None),
            max(statuses, key=lambda each: each.order, default=None),
            max(videos, key=lambda each: each.order, default=None),
        )
        for path, value in node.leaves().items():
            tree = firebase_tree.write(tree, firebase_tree.path_of(f"{key.path}/{path}"), value)
    return tree


@settings(max_examples=150)
@given(histories(), st.data())
def test_whatever_is_lost_and_read_again_the_tree_is_the_truth(records: list[Record], data: st.DataObject) -> None:
    sink, at = Sink(), 0
    while at < len(records):
        batch = records[at : at + data.draw(st.integers(1, 4))]
        at += len(batch)
        match data.draw(st.sampled_from(["tick", "more", "lost", "meanwhile", "die", "arrive"])):
            case "tick":
                sink.take(batch)
                sink.tick()
            case "more":
                sink.take(batch)
            case "lost":
                sink.take(batch)
                sink.tick(lost=True)
            case "meanwhile":
                sink.tick(lost=data.draw(st.booleans()), meanwhile=batch)
            case "arrive":
                sink.take(batch)
                sink.arrive()
            case _:
                sink.take(batch)
                sink.die()
                sink.take(unfinished(records[:at], sink))
    sink.settle()
    assert sink.tree == truth(records)
    assert sink.finished == {(each.source, each.offset) for each in records}


def unfinished(records: Sequence[Record], sink: Sink) -> list[Record]:
    """What is read again: each partition from its lowest offset that is not finished."""
    commit: dict[TopicPartition, int] = {}
    for each in records:
        if (each.source, each.offset) not in sink.finished:
            commit.setdefault(each.source, each.offset)
    return [each for each in records if each.offset >= commit.get(each.source, len(records))]


@settings(max_examples=100)
@given(histories(), st.data())
def test_any_suffix_of_any_partition_changes_nothing(records: list[Record], data: st.DataObject) -> None:
    sink = Sink()
    sink.take(records)
    sink.settle()
    tree = sink.tree
    for source in {each.source for each in records}:
        again = [each for each in records if each.source == source]
        again = again[data.draw(st.integers(0, len(again))) :]
        if data.draw(st.booleans()):
            sink.die()
        sink.take(again)
        sink.settle()
        assert sink.tree == tree
