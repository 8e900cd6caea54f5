"""From a batch of records to confirmed writes: outages, malformed records, mistakes in the code, stopping."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import pytest

from schemas.topics import DEAD_LETTERS, METRICS, Topic
from services.runtime.deadletters import DeadLetters, Malformed
from services.runtime.log import LogUnavailable, Position, Record
from services.runtime.metrics import Metrics
from services.sink import handlers
from services.sink.destination import DestinationDown
from services.sink.handlers import Delivery
from tests.support.log_reader import until


def record(offset: int, value: bytes = b"") -> Record:
    return Record("metrics", 0, offset, "s-1", value or str(offset).encode(), {}, 1_760_000_000_000)


class Shelf:
    """A destination that holds numbers, and fails as told."""

    name = "shelf"
    topics: Sequence[Topic] = (METRICS,)

    def __init__(self) -> None:
        self.items: dict[int, int] = {}
        self.writes = 0
        self.down = asyncio.Event()
        self.tried_while_down = asyncio.Event()
        self.poison: set[int] = set()

    def parse(self, record: Record) -> int:
        if record.value == b"bug":
            raise KeyError("a mistake in the code")
        try:
            return int(record.value)
        except ValueError:
            raise Malformed("not a number") from None

    async def write(self, items: Sequence[int]) -> None:
        self.writes += 1
        if self.down.is_set():
            self.tried_while_down.set()
            raise DestinationDown("away")
        if self.poison & set(items):
            raise TypeError("cannot hold this")
        self.items.update((item, self.writes) for item in items)


class Letters:
    """The part of a log that dead letters need."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, str]] = []
        self.failures = 0
        self._later: list[asyncio.Task[None]] = []
        self.holding: asyncio.Event | None = None  # acknowledges nothing until it is set

    async def send(
        self, topic: Topic, key: str, value: bytes, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[Position]:
        future: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        if self.failures:
            self.failures -= 1
            future.set_exception(LogUnavailable("broker away"))
            return future
        assert topic is DEAD_LETTERS
        self.sent.append((value, (headers or {})["error_class"]))
        if self.holding is None:
            future.set_result(Position(0, 0))
        else:
            self._later.append(asyncio.create_task(self._acknowledge(self.holding, future)))
        return future

    async def _acknowledge(self, holding: asyncio.Event, future: asyncio.Future[Position]) -> None:
        await holding.wait()
        future.set_result(Position(0, 0))


class Bench:
    """A delivery with what it works on."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        self.letters = Letters()
        self.metrics = Metrics()
        self.finished: list[int] = []
        dead_letters = DeadLetters(self.letters, self.metrics, "sink-shelf")  # type: ignore[arg-type]
        self.delivery = Delivery(self.shelf, lambda record: self.finished.append(record.offset), dead_letters)


def trouble(bench: Bench) -> str | None:
    return bench.delivery.trouble


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(handlers, "LONGEST_WAIT_S", 0.001)
    return Bench()


async def test_a_batch_is_one_write_and_then_finished(bench: Bench) -> None:
    await bench.delivery.handle([record(n) for n in range(5)])
    assert bench.shelf.items == dict.fromkeys(range(5), 1)
    assert bench.finished == [0, 1, 2, 3, 4]
    assert trouble(bench) is None
    await bench.delivery.handle([])
    assert bench.shelf.writes == 1


async def test_nothing_is_finished_before_it_is_confirmed(bench: Bench) -> None:
    seen_by_write: list[int] = []
    write: Callable[[Sequence[int]], Awaitable[None]] = bench.shelf.write

    async def watching(items: Sequence[int]) -> None:
        seen_by_write.extend(bench.finished)
        await write(items)

    bench.shelf.write = watching  # type: ignore[method-assign]
    await bench.delivery.handle([record(1), record(2)])
    assert seen_by_write == []
    assert bench.finished == [1, 2]


async def test_an_outage_is_waited_for(bench: Bench) -> None:
    bench.shelf.down.set()
    handling = asyncio.create_task(bench.delivery.handle([record(1), record(2)]))
    await bench.shelf.tried_while_down.wait()
    bench.shelf.tried_while_down.clear()
    await bench.shelf.tried_while_down.wait()
    assert bench.finished == []
    assert trouble(bench) == "away"
    bench.shelf.down.clear()
    await handling
    assert bench.finished == [1, 2]
    assert set(bench.shelf.items) == {1, 2}
    assert bench.letters.sent == []
    assert trouble(bench) is None


async def test_stopping_during_an_outage_leaves_the_batch_to_the_next_owner(bench: Bench) -> None:
    bench.shelf.down.set()
    handling = asyncio.create_task(bench.delivery.handle([record(1)]))
    await bench.shelf.tried_while_down.wait()
    bench.delivery.halt()
    await handling
    assert bench.finished == []
    assert bench.letters.sent == []
    bench.shelf.down.clear()
    await Delivery(
        bench.shelf,
        lambda record: bench.finished.append(record.offset),
        DeadLetters(bench.letters, bench.metrics, "sink-shelf"),  # type: ignore[arg-type]
    ).handle([record(1)])
    assert bench.finished == [1]


async def test_malformed_records_become_dead_letters_and_the_rest_is_written(bench: Bench) -> None:
    await bench.delivery.handle([record(1), record(2, b"\xff"), record(3, b"bug"), record(4)])
    assert set(bench.shelf.items) == {1, 4}
    assert sorted(bench.finished) == [1, 2, 3, 4]
    assert bench.letters.sent == [(b"\xff", "Malformed"), (b"bug", "KeyError")]
    assert bench.metrics.registry.get_sample_value(
        "rapt_dead_letters_total", {"topic": "metrics", "error": "Malformed"}
    )


async def test_a_flood_of_malformed_records_is_buried_at_once_and_in_order(bench: Bench) -> None:
    bench.letters.holding = asyncio.Event()
    handling = asyncio.create_task(bench.delivery.handle([record(n, b"x%d" % n) for n in range(50)]))
    await until(lambda: len(bench.letters.sent) == 50)
    assert bench.finished == []
    bench.letters.holding.set()
    await handling
    assert [value for value, _ in bench.letters.sent] == [b"x%d" % n for n in range(50)]
    assert sorted(bench.finished) == list(range(50))


async def test_a_batch_of_malformed_records_writes_nothing(bench: Bench) -> None:
    await bench.delivery.handle([record(1, b"x")])
    assert bench.shelf.writes == 0
    assert bench.finished == [1]


async def test_a_record_that_breaks_the_write_does_not_hold_the_others(bench: Bench) -> None:
    bench.shelf.poison = {2}
    await bench.delivery.handle([record(1), record(2), record(3)])
    assert set(bench.shelf.items) == {1, 3}
    assert sorted(bench.finished) == [1, 2, 3]
    assert bench.letters.sent == [(b"2", "TypeError")]
    assert bench.shelf.writes == 1 + 1 + handlers.TRIES_OF_A_BUG + 1


async def test_a_dead_letter_waits_for_the_log(bench: Bench) -> None:
    bench.letters.failures = 3
    await bench.delivery.handle([record(1, b"x"), record(2)])
    assert bench.letters.sent == [(b"x", "Malformed")]
    assert sorted(bench.finished) == [1, 2]
