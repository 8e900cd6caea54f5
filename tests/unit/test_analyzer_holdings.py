"""Which sessions a replica holds when partitions go and come back, and what it says when it may not own them."""

import asyncio
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from schemas.examples import SESSION_START
from schemas.frames import FrameHeaders
from schemas.topics import ANALYZER_STATE, DAY_MS, FRAMES, HOUR_MS, Topic
from services.analyzer import handlers, lease, snapshots
from services.analyzer.delivery import Batch, Delivery
from services.analyzer.domain.state import SessionState, Skills
from services.analyzer.handlers import FramesHandler
from services.analyzer.holdings import KEPT_FOR_S, Holdings
from services.analyzer.lease import HEARD_WITHIN_S, LONGEST_NAP_S, Lease
from services.analyzer.perceive import Vision
from services.analyzer.scheduler import Scheduler
from services.analyzer.turn import Turns
from services.analyzer.vision.pool import Pool
from services.runtime.deadletters import DeadLetters
from services.runtime.log import EventLog, LogUnavailable, Position, Record, TopicPartition
from services.runtime.log.topics import COMPACTED_AFTER_MS
from services.runtime.metrics import Metrics
from tests.support.log_reader import until

NOW_MS = 1_760_000_000_000
ONE, TWO = TopicPartition(FRAMES.name, 1), TopicPartition(FRAMES.name, 2)
BOTH = frozenset({ONE, TWO})
START = SESSION_START.model_copy(update={"session_id": "s-1"})
KNOWN = SessionState("s-1", START, last_seq=7)


@dataclass
class Log:
    """Has snapshots, takes everything at once, and notes what it was asked."""

    snapshots: dict[int, Record] = field(default_factory=dict)
    asked: list[set[int]] = field(default_factory=list)
    sent: list[tuple[str, str, bytes, Mapping[str, str]]] = field(default_factory=list)
    down: bool = False
    acknowledges: bool = True

    async def snapshot(self, topic: Topic, *partitions: int) -> dict[str, Record]:
        self.asked.append(set(partitions))
        if self.down:
            raise LogUnavailable("away")
        return {self.snapshots[number].key: self.snapshots[number] for number in partitions if number in self.snapshots}

    async def send(
        self, topic: Topic, key: str, value: bytes, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[Position]:
        self.sent.append((topic.name, key, value, headers or {}))
        done: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        if self.acknowledges:
            done.set_result(Position(0, 0))
        return done


def snapshot(state: SessionState, partition: int = 1, age_ms: int = 0) -> Record:
    value = snapshots.encode(state)
    return Record(ANALYZER_STATE.name, partition, 0, state.session_id, value, {"epoch": "1"}, NOW_MS - age_ms)


def holdings(log: Log) -> Holdings:
    port = cast(EventLog, log)
    letters = DeadLetters(port, Metrics(), "analyzer")
    return Holdings(port, Delivery(port, lambda record: None), letters, lambda: NOW_MS)


async def test_what_comes_back_with_the_next_epoch_is_not_read_again() -> None:
    log = Log({1: snapshot(KNOWN)})
    held = holdings(log)
    await held.take(BOTH, 5)
    session = held.live["s-1"]
    session.subject.state = replace(KNOWN, last_seq=9)
    held.give(BOTH, keep=True)
    assert held.live == {}
    await held.take(frozenset({ONE}), 6)
    assert held.live == {"s-1": session}
    assert (session.subject.state.last_seq, session.subject.epoch) == (9, 6)
    await held.take(frozenset({TWO}), 7)  # another member's under epoch 6
    assert log.asked == [{1, 2}, {2}]


@pytest.mark.parametrize("case", ["another epoch", "not kept", "not settled", "too long ago"])
async def test_what_may_have_changed_meanwhile_is_read_again(case: str) -> None:
    log = Log({1: snapshot(KNOWN)})
    held = holdings(log)
    await held.take(frozenset({ONE}), 5)
    session = held.live["s-1"]
    if case == "not settled":
        session.batch = Batch(KNOWN, [log.snapshots[1]])
    held.give(frozenset({ONE}), keep=case != "not kept")
    assert session.given == (case in ("not settled", "not kept"))
    if case == "too long ago":
        list(held.forget_old(float("inf")))
    await held.take(frozenset({ONE}), 7 if case == "another epoch" else 6)
    assert held.live["s-1"] is not session
    assert log.asked == [{1}, {1}]


async def test_an_assignment_that_fails_changes_nothing_and_may_be_repeated() -> None:
    log = Log({2: snapshot(KNOWN, 2)})
    held = holdings(log)
    await held.take(frozenset({ONE}), 5)
    held.open("s-9", ONE)
    held.give(frozenset({ONE}), keep=True)
    log.down = True
    with pytest.raises(LogUnavailable):
        await held.take(BOTH, 6)
    assert held.live == {}
    log.down = False
    await held.take(BOTH, 6)
    assert set(held.live) == {"s-1", "s-9"}
    assert log.asked[1:] == [{2}, {2}]


@pytest.mark.parametrize(
    ("ended", "age_ms", "of_use"),
    [(True, HOUR_MS - 1, True), (True, HOUR_MS + 1, False), (False, DAY_MS - 1, True), (False, DAY_MS + 1, False)],
)
async def test_snapshots_of_no_use_are_removed(ended: bool, age_ms: int, of_use: bool) -> None:
    log = Log({1: snapshot(replace(KNOWN, ended=ended), age_ms=age_ms)})
    held = holdings(log)
    await held.take(frozenset({ONE}), 5)
    assert ("s-1" in held.live) == of_use
    assert log.sent == ([] if of_use else [(ANALYZER_STATE.name, "s-1", b"", {"epoch": "5"})])


async def test_what_is_over_is_forgotten() -> None:
    held = holdings(Log({1: snapshot(KNOWN)}))
    await held.take(frozenset({ONE}), 5)
    held.open("s-bad", ONE)  # of which only bad records came
    now_s = held.live["s-1"].settled_at_s
    assert list(held.forget_old(now_s)) == ["s-bad"]
    held.live["s-1"].ended_at_s = now_s
    assert list(held.forget_old(now_s + KEPT_FOR_S)) == []
    assert list(held.forget_old(now_s + HOUR_MS / 1000)) == ["s-1"]


def looks(at_s: Iterable[float]) -> list[bool]:
    watched = Lease(0.0)
    return [watched.doubtful_s(each) > 0 for each in at_s]


def test_a_sleep_brings_doubt_until_bad_news_would_be_here() -> None:
    assert looks([0.5, 1.0, 1.0 + LONGEST_NAP_S]) == [False, False, False]
    woke_s = 1.0 + LONGEST_NAP_S + 0.1
    assert looks([1.0, woke_s, woke_s + HEARD_WITHIN_S - 0.1, woke_s + HEARD_WITHIN_S]) == [False, True, True, False]


def test_an_assignment_ends_the_doubt() -> None:
    watched = Lease(0.0)
    assert watched.doubtful_s(60.0) == HEARD_WITHIN_S
    watched.renew(61.0)
    assert watched.doubtful_s(61.0) == 0.0


async def test_what_holds_is_said_again_before_compaction_can_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 2 * handlers.SAY_AGAIN_EVERY_S < COMPACTED_AFTER_MS / 1000
    log = Log({1: snapshot(KNOWN)})
    with ThreadPoolExecutor(1) as threads:
        handler = Sleeper(log, threads).handler
        await handler.assigned(frozenset({ONE}), 5)
        handler.upkeep()
        assert log.sent == []
        monkeypatch.setattr(handlers, "SNAPSHOT_EVERY_S", 0.0)
        monkeypatch.setattr(handlers, "SAY_AGAIN_EVERY_S", 0.0)
        handler.upkeep()
        await until(lambda: len(log.sent) == 1)
    assert log.sent == [(ANALYZER_STATE.name, "s-1", snapshots.encode(KNOWN), {"epoch": "5"})]


class Sleeper:
    """A handler over a log, its turns and its naps."""

    def __init__(self, log: Log, threads: ThreadPoolExecutor) -> None:
        self.finished: list[Record] = []
        self.scheduler = Scheduler(stale_after_ms=2000, catch_up_ms=60_000, workers=1)
        turns = Turns(Vision(Pool(lambda: pytest.fail("nothing is to be looked at"), most=1)), Skills(), lambda: NOW_MS)
        self.handler = FramesHandler(
            cast(EventLog, log),
            Metrics(),
            self.scheduler,
            turns,
            threads,
            self.finished.append,
            clock_ms=lambda: NOW_MS,
            drain_timeout_s=5.0,
        )


def fall_asleep(handler: FramesHandler, monkeypatch: pytest.MonkeyPatch, *, heard_within_s: float) -> None:
    """It wakes at once, and does not know what became of its partitions."""
    monkeypatch.setattr(lease, "HEARD_WITHIN_S", heard_within_s)
    monkeypatch.setattr(lease, "LONGEST_NAP_S", -1.0)  # any time between two looks is too long
    handler.upkeep()
    monkeypatch.setattr(lease, "LONGEST_NAP_S", 3600.0)


async def test_what_is_not_settled_when_it_oversleeps_is_left_to_the_next_owner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = Log({1: snapshot(KNOWN)})
    with ThreadPoolExecutor(1) as threads:
        sleeper = Sleeper(log, threads)
        turns = asyncio.create_task(sleeper.handler.take_turns())
        await sleeper.handler.assigned(frozenset({ONE}), 5)
        headers = FrameHeaders("s-1", "start", 0, NOW_MS, NOW_MS).encode()
        await sleeper.handler.handle([Record(FRAMES.name, 1, 8, "s-1", START.encode(), headers, NOW_MS)])
        await until(lambda: sleeper.scheduler.at_rest(frozenset({ONE})))
        fall_asleep(sleeper.handler, monkeypatch, heard_within_s=3600.0)
        monkeypatch.setattr(handlers, "SNAPSHOT_EVERY_S", 0.0)
        sleeper.handler.upkeep()
        for _ in range(10):
            await asyncio.sleep(0)
        await sleeper.handler.revoked(frozenset({ONE}))
        await sleeper.handler.assigned(frozenset({ONE}), 6)
        turns.cancel()
    assert (log.sent, sleeper.finished, log.asked) == ([], [], [{1}, {1}])


def malformed(seq: int) -> Record:
    headers = FrameHeaders("s-1", "frame", seq, NOW_MS, NOW_MS).encode()
    return Record(FRAMES.name, 1, seq, "s-1", b"no JPEG", headers, NOW_MS)


@pytest.mark.parametrize("evicted", [True, False])
async def test_who_overslept_says_nothing_until_it_knows(evicted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Doubt comes while a turn is under way; then `revoked`, or no bad news."""
    log = Log({1: snapshot(KNOWN)})
    with ThreadPoolExecutor(1) as threads:
        sleeper = Sleeper(log, threads)
        turns = asyncio.create_task(sleeper.handler.take_turns())
        await sleeper.handler.assigned(frozenset({ONE}), 5)
        fall_asleep(sleeper.handler, monkeypatch, heard_within_s=3600.0 if evicted else 0.01)
        await sleeper.handler.handle([malformed(8)])
        async with asyncio.timeout(20):
            while sleeper.scheduler.waiting:
                await asyncio.sleep(0)
            if evicted:
                await sleeper.handler.revoked(frozenset({ONE}))
                assert log.sent == []
                await sleeper.handler.assigned(frozenset({ONE}), 6)
                await sleeper.handler.handle([malformed(8)])
            monkeypatch.setattr(handlers, "SNAPSHOT_EVERY_S", 0.0)
            while not sleeper.finished:
                sleeper.handler.upkeep()
                await asyncio.sleep(0.01)
        turns.cancel()
    assert [topic for topic, *_ in log.sent] == ["dead-letters", "analyzer-state"]
    assert log.sent[1][3] == {"epoch": "6" if evicted else "5"}
    assert log.asked == [{1}] * (1 + evicted)
