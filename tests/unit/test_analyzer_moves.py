"""A session whose partition moves, in every way and at every moment: the same counts, the same results, each once."""

import asyncio
import functools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from itertools import repeat
from typing import Any, Literal, cast
from unittest import mock

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from schemas.events import FrameMetrics, SessionTotals, StatusChanged
from schemas.examples import SESSION_END, SESSION_START
from schemas.frames import FrameHeaders
from schemas.topics import ANALYZER_STATE, FRAMES, METRICS, STATUS, Topic
from services.analyzer import handlers, turn
from services.analyzer.domain.faces import Region
from services.analyzer.domain.state import Skills
from services.analyzer.handlers import FramesHandler
from services.analyzer.perceive import Vision
from services.analyzer.scheduler import Scheduler
from services.analyzer.turn import Turns
from services.analyzer.vision.decode import decode
from services.analyzer.vision.pool import Pool
from services.analyzer.vision.port import Picture
from services.runtime.log import EventLog, LogUnavailable, Position, Record, TopicPartition
from services.runtime.log.offsets import OffsetTracker
from services.runtime.metrics import Metrics
from tests.support.faces import face

SOURCE = TopicPartition(FRAMES.name, 0)
NOW_MS = 1_760_000_000_000
FACES = [face(), face(ear=0.06), face(ear=0.25, mar=0.9)]
LEVELS = [250, 150, 50]  # grey of the frame's upper left corner, by what it shows
OPEN, SHUT, YAWN = 0, 1, 2
# Three blinks of 200 ms and a yawn of 2.2 s at 10 fps: 80 frames.
ACTS = [*[OPEN] * 20, *[SHUT, SHUT, *[OPEN] * 8] * 3, *[YAWN] * 22, *[OPEN] * 8]
METRICS_OF_ALL = Metrics()

Fate = Literal["taken", "refused", "lost"]


def picture(act: int) -> bytes:
    image = np.random.default_rng(1).integers(140, 200, (240, 320, 3), np.uint8)
    image[::40], image[:, ::40] = 20, 20
    image[:32, :32] = LEVELS[act]
    return cv2.imencode(".jpg", image)[1].tobytes()


JPEGS = [picture(act) for act in (OPEN, SHUT, YAWN)]


class CornerFaces:
    def detect(self, picture: Picture) -> list[Region]:
        return [Region(160, 120, 120)]

    def landmarks(self, picture: Picture, region: Region) -> NDArray[np.float32]:
        level = picture.rgb[4:12, 4:12].mean()
        return FACES[min(range(3), key=lambda act: abs(LEVELS[act] - level))]

    def close(self) -> None: ...


VISION = Vision(Pool(CornerFaces, most=1))


@pytest.fixture(scope="module", autouse=True)
def each_picture_is_decoded_once() -> Iterator[None]:
    with mock.patch.object(turn, "decode", functools.lru_cache(decode)):
        yield


class Inline(Executor):
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def script() -> list[Record]:
    """All that will ever come of the session, at offsets 0, 1, …"""
    start = SESSION_START.model_copy(update={"session_id": "s"}).encode()
    end = SESSION_END.model_copy(update={"session_id": "s"}).encode()
    told = [
        ("start", 0, start),
        *(("frame", seq, JPEGS[act]) for seq, act in enumerate(ACTS, start=1)),
        ("end", 80, end),
    ]
    return [
        Record(
            FRAMES.name,
            0,
            offset,
            "s",
            value,
            FrameHeaders("s", kind, seq, NOW_MS + 100 * seq, NOW_MS).encode(),  # type: ignore[arg-type]
            NOW_MS,
        )
        for offset, (kind, seq, value) in enumerate(told)
    ]


SCRIPT = script()


class World:
    """What outlives every replica: the log, the group's commit, its epoch."""

    def __init__(self) -> None:
        self.arrived = 0  # records of the script that are in the log
        self.committed = 0
        self.epoch = 0
        self.written: list[Record] = []

    def of(self, topic: Topic) -> list[Record]:
        return [record for record in self.written if record.topic == topic.name]

    def totals(self) -> list[SessionTotals]:
        said = [StatusChanged.decode(record.value).totals for record in self.of(STATUS)]
        return [totals for totals in said if totals is not None]


class ReplicasLog:
    """The log as one replica reaches it. What is sent while `asleep` arrives when the replica wakes. `fates` are those
    of the next sends: taken, refused, or lost without a word; `usual` is that of all others."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.fates: deque[Fate] = deque()
        self.usual: Fate = "taken"
        self.asleep = False
        self._under_way: list[tuple[Record, asyncio.Future[Position]]] = []

    async def send(
        self, topic: Topic, key: str, value: bytes, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[Position]:
        record = Record(topic.name, 0, 0, key, value, dict(headers or {}), NOW_MS)
        done: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        fate = self.fates.popleft() if self.fates else self.usual
        if fate == "taken":
            self._under_way.append((record, done))
        elif fate == "refused":
            done.set_exception(LogUnavailable("the disk is full"))
        if not self.asleep:
            self.arrive()
        return done

    def arrive(self) -> None:
        for record, done in self._under_way:
            self._world.written.append(record)
            done.set_result(Position(0, len(self._world.written)))
        self._under_way.clear()

    async def snapshot(self, topic: Topic, *partitions: int) -> dict[str, Record]:
        found: dict[str, Record] = {}
        for record in self._world.of(ANALYZER_STATE):
            if record.key not in found or record.epoch >= found[record.key].epoch:
                found[record.key] = record
        return found


class Replica:
    """One analyzer, and what its consumer does."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.log = ReplicasLog(world)
        self._scheduler = Scheduler(stale_after_ms=2000, catch_up_ms=60_000, workers=2)
        self._handler = FramesHandler(
            cast(EventLog, self.log),
            METRICS_OF_ALL,
            self._scheduler,
            Turns(VISION, Skills(), lambda: NOW_MS),
            Inline(),
            self._finish,
            clock_ms=lambda: NOW_MS,
            drain_timeout_s=5.0,
        )
        self._tracker: OffsetTracker | None = None
        self._position = 0
        self._turns = [asyncio.create_task(self._handler.take_turns()) for _ in range(2)]

    def _finish(self, record: Record) -> None:
        if self._tracker is not None:
            self._tracker.finish(record.offset)

    async def take(self) -> None:
        self._world.epoch += 1
        self._position = self._world.committed
        self._tracker = OffsetTracker(self._world.committed)
        await self._handler.assigned(frozenset({SOURCE}), self._world.epoch)
        await self.read()

    async def read(self) -> None:
        assert self._tracker is not None
        records = SCRIPT[self._position : self._world.arrived]
        self._position = self._world.arrived
        for record in records:
            self._tracker.add(record.offset)
        await self._handler.handle(records)
        await spin(lambda: self._scheduler.at_rest(frozenset({SOURCE})))

    async def settle(self) -> None:
        with mock.patch.object(handlers, "SNAPSHOT_EVERY_S", 0.0):
            self._handler.upkeep()
        await spin()

    def commit(self) -> None:
        assert self._tracker is not None
        self._world.committed = max(self._world.committed, self._tracker.committable)

    async def give(self, *, commits: bool = True) -> None:
        """As at a rebalance. Commits of one who was put out are refused."""
        await self._handler.revoked(frozenset({SOURCE}))
        if commits:
            self.commit()
        self._tracker = None

    async def die(self) -> None:
        self.log.fates.clear()
        self.log.usual = "lost"
        for task in self._turns:
            task.cancel()
        await asyncio.gather(*self._turns, return_exceptions=True)
        self._handler.cancel()


async def spin(condition: Callable[[], bool] = lambda: False, most: int = 40) -> None:
    """Let everything run that can."""
    for _ in range(most):
        if condition():
            return
        await asyncio.sleep(0)


Deed = tuple[str, int]
DEEDS = (
    *("stream", "settle", "commit", "rebalance", "hand over", "oversleep"),
    *("crash", "crash while it sends", "crash while it is refused"),
)


async def play(deeds: Sequence[Deed]) -> World:
    world = World()
    owner = Replica(world)
    everybody = [owner]
    await owner.take()

    async def arrive(count: int) -> None:
        world.arrived = min(len(SCRIPT) - 1, world.arrived + count)
        await owner.read()

    async def successor() -> Replica:
        everybody.append(Replica(world))
        await everybody[-1].take()
        return everybody[-1]

    for deed, number in deeds:
        match deed:
            case "stream":
                await arrive(number)
            case "settle":
                await owner.settle()
            case "commit":
                owner.commit()
            case "crash":
                await owner.die()
                owner = await successor()
            case "crash while it sends":
                owner.log.fates.extend(repeat("taken", number % 7))
                owner.log.usual = "lost"
                await arrive(number)
                await owner.settle()
                await owner.die()
                owner = await successor()
            case "crash while it is refused":
                owner.log.fates.extend(repeat("taken", number % 7))
                owner.log.fates.append("refused")
                await arrive(number)
                await owner.settle()
                await owner.die()
                owner = await successor()
            case "rebalance":
                await owner.give()
                await owner.take()
            case "hand over":
                await owner.give()
                before, owner = owner, await successor()
                await arrive(number)
                if number % 2:  # and back
                    await owner.give()
                    owner = before
                    await owner.take()
            case "oversleep":
                owner.log.asleep = True
                await arrive(number)
                await owner.settle()
                sleeper, owner = owner, await successor()
                await arrive(number)
                if number % 2:
                    await owner.settle()
                    owner.commit()
                sleeper.log.asleep = False
                sleeper.log.arrive()
                await spin()
                await sleeper.give(commits=False)
    world.arrived = len(SCRIPT)
    await owner.read()
    await spin(lambda: bool(world.totals()))
    for each in everybody:
        await each.die()
    return world


def once(world: World) -> dict[tuple[str, int], set[bytes]]:
    """All that was ever written of each frame and window."""
    found: dict[tuple[str, int], set[bytes]] = {}
    for record in world.written:
        if record.topic == ANALYZER_STATE.name:
            continue
        value = FrameMetrics.decode(record.value).seq if record.topic == METRICS.name else hash(record.value)
        found.setdefault((record.topic, value), set()).add(record.value)
    return found


@functools.cache
def undisturbed() -> World:
    return asyncio.run(play([]))


def test_the_script_is_measured_as_written() -> None:
    assert undisturbed().totals() == [
        SessionTotals(frames=80, analyzed=80, skipped=0, blink_count=3, yawn_count=1, last_seq=80)
    ]
    assert [FrameMetrics.decode(record.value).seq for record in undisturbed().of(METRICS)] == list(range(1, 81))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(1, 30)), max_size=10))
@example([("stream", 30), ("settle", 1), ("stream", 30), ("oversleep", 9), ("crash", 1)])
@example([("stream", 27), ("settle", 1), ("commit", 1), ("stream", 8), ("crash while it sends", 12), ("rebalance", 1)])
def test_whatever_happens_the_results_are_those_of_an_undisturbed_run(deeds: list[Deed]) -> None:
    world = asyncio.run(play(deeds))
    assert world.totals()[-1] == undisturbed().totals()[0]
    assert once(world) == once(undisturbed())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(("stream", "rebalance")), st.integers(1, 30)), max_size=10))
def test_what_comes_back_at_once_goes_on_without_a_second_look(deeds: list[Deed]) -> None:
    world = asyncio.run(play(deeds))
    assert [record.value for record in world.of(METRICS)] == [record.value for record in undisturbed().of(METRICS)]
