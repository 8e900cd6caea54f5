"""Frames on their way into a log that fails as it likes: in order, none silently lost."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from schemas.topics import Topic
from services.ingest.backlog import Backlog
from services.ingest.publisher import Publisher, Taken
from services.runtime.log import Consumer, EventLog, Handler, LogUnavailable, Position, Record
from tests.support.log_reader import until


class FlakyLog(EventLog):
    """Takes or refuses each send as `answers` says: "yes", "refuse" (at once) or "fail" (later); then always yes.

    What was sent behind a failure fails as well until the sender has heard of it, as `log/port.py` promises."""

    name = "log"

    def __init__(self, answers: Sequence[str] = ()) -> None:
        self.answers = list(answers)
        self.seqs: list[int] = []
        self._failures = 0
        self._unheard = 0

    async def send(
        self, topic: Topic, key: str, value: bytes, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[Position]:
        answer = self.answers.pop(0) if self.answers else "yes"
        if answer == "refuse":
            self._fail()
            raise LogUnavailable("away")
        asked = None if self._unheard else self._failures
        future: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(self._answer, future, answer, int((headers or {})["seq"]), asked)
        return future

    def _answer(self, future: asyncio.Future[Position], answer: str, seq: int, asked: int | None) -> None:
        if answer == "fail" or asked != self._failures:
            self._fail()
            future.set_exception(LogUnavailable("away"))
        else:
            self.seqs.append(seq)
            future.set_result(Position(0, 0))

    def _fail(self) -> None:
        self._failures += 1
        self._unheard += 1
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self._heard)

    def _heard(self) -> None:
        self._unheard -= 1

    def consumer(
        self, topics: Sequence[Topic], handler: Handler, *, group: str | None, max_records: int = 256
    ) -> Consumer:
        raise NotImplementedError

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def check(self) -> None: ...

    async def snapshot(self, topic: Topic, *partitions: int) -> Mapping[str, Record]:
        return {}


class Kept:
    """What a publisher said."""

    def __init__(self, log: EventLog, reserved: int = 10_000) -> None:
        self.acks: list[tuple[int, int]] = []
        self.trouble: list[str] = []
        self.reservations: list[int] = []
        self.may_reserve = asyncio.Event()
        self.may_reserve.set()
        self.backlog = Backlog(max_bytes=1 << 20, full_credit=64)
        self.publisher = Publisher(
            log,
            "s-1",
            self.backlog,
            reserved=reserved,
            reserve=self._reserve,
            on_acked=lambda seq, frames: self.acks.append((seq, frames)),
            on_trouble=self.trouble.append,
            retry_s=0.0,
        )

    async def _reserve(self, seq: int) -> int:
        self.reservations.append(seq)
        await self.may_reserve.wait()
        return seq + 9

    async def publish(self, seqs: range) -> None:
        for seq in seqs:
            await self.publisher.publish(seq, b"jpeg", {"seq": str(seq)})


async def test_frames_that_the_log_refuses_go_again_in_order() -> None:
    log = FlakyLog(["yes", "refuse"])
    kept = Kept(log)
    await kept.publish(range(5))
    await kept.publisher.drain()
    assert log.seqs == [0, 1, 2, 3, 4]
    assert sum(frames for _, frames in kept.acks) == 5
    assert len(kept.trouble) == 1
    await until(lambda: not kept.publisher.troubled)


async def test_what_was_sent_behind_a_failure_goes_again_behind_it() -> None:
    log = FlakyLog(["yes", "fail", "yes"])
    kept = Kept(log)
    await kept.publish(range(4))
    await kept.publisher.drain()
    assert log.seqs == [0, 1, 2, 3]
    assert sum(frames for _, frames in kept.acks) == 4
    assert len(kept.trouble) == 1


async def test_a_frame_whose_number_is_being_reserved_does_not_overtake_one_that_fails_meanwhile() -> None:
    log = FlakyLog(["fail"])
    kept = Kept(log, reserved=0)
    kept.may_reserve.clear()
    await kept.publish(range(1))
    second = asyncio.create_task(kept.publish(range(1, 2)))
    await until(lambda: kept.reservations == [1] and kept.publisher.troubled)
    kept.may_reserve.set()
    await second
    await kept.publisher.drain()
    assert log.seqs == [0, 1]
    assert [seq for seq, _ in kept.acks] == [0, 1]


async def test_nothing_of_a_session_that_went_elsewhere_is_sent() -> None:
    log = FlakyLog()
    kept = Kept(log)
    kept.publisher.close()
    with pytest.raises(Taken):
        await kept.publisher.record({"seq": "1"}, b"end")
    assert log.seqs == []


async def test_nothing_overtakes_a_frame_while_the_log_is_away() -> None:
    log = FlakyLog(["fail"] * 6)
    kept = Kept(log)
    await kept.publish(range(4))
    await kept.publisher.drain()
    assert log.seqs == [0, 1, 2, 3]
    assert len(kept.trouble) == 1


async def test_numbers_are_reserved_before_they_are_used() -> None:
    kept = Kept(FlakyLog(), reserved=4)
    await kept.publish(range(20))
    await kept.publisher.drain()
    assert kept.reservations == [5, 15]


async def test_a_record_goes_behind_all_frames_and_waits_for_the_log() -> None:
    log = FlakyLog(["yes", "fail", "fail", "yes", "refuse", "fail", "yes"])
    kept = Kept(log)
    await kept.publish(range(2))
    await kept.publisher.record({"seq": "99"}, b"end")
    assert log.seqs == [0, 1, 99]


async def test_a_cancelled_caller_takes_no_frame_along() -> None:
    gate = asyncio.Event()

    class Full(FlakyLog):
        async def send(
            self, topic: Topic, key: str, value: bytes, headers: Mapping[str, str] | None = None
        ) -> asyncio.Future[Position]:
            await gate.wait()
            return await super().send(topic, key, value, headers)

    log = Full()
    kept = Kept(log)
    caller = asyncio.create_task(kept.publish(range(1)))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    gate.set()
    await kept.publisher.drain()
    assert log.seqs == [0]


@given(st.lists(st.sampled_from(["yes", "refuse", "fail"]), max_size=30), st.integers(1, 12))
@hypothesis_settings(max_examples=60)
def test_the_log_has_every_number_once_in_order_and_so_it_is_acknowledged(answers: list[str], count: int) -> None:
    log = FlakyLog(answers)

    async def play() -> Kept:
        kept = Kept(log)
        await kept.publish(range(count))
        await kept.publisher.drain()
        return kept

    kept = asyncio.run(play())
    assert log.seqs == list(range(count))
    assert sum(frames for _, frames in kept.acks) == count
    assert [seq for seq, _ in kept.acks] == sorted({seq for seq, _ in kept.acks})
    assert kept.publisher.outstanding == kept.backlog.bytes == 0


async def test_what_is_given_up_leaves_the_backlog() -> None:
    kept = Kept(FlakyLog(["fail"] * 4))
    await kept.publish(range(4))
    assert kept.backlog.bytes == 4 * len(b"jpeg")
    kept.publisher.close()
    assert kept.publisher.outstanding == kept.backlog.bytes == 0


async def test_a_full_backlog_keeps_the_caller_waiting_until_the_log_took_something() -> None:
    gate = asyncio.Event()

    class Slow(FlakyLog):
        async def send(
            self, topic: Topic, key: str, value: bytes, headers: Mapping[str, str] | None = None
        ) -> asyncio.Future[Position]:
            await gate.wait()
            return await super().send(topic, key, value, headers)

    kept = Kept(Slow())
    kept.backlog.add((1 << 20) - 2)
    caller = asyncio.create_task(kept.publish(range(3)))
    await until(lambda: kept.publisher.outstanding == 1)
    gate.set()
    await kept.publisher.drain()
    assert kept.backlog.bytes == (1 << 20) - 2
    await caller
    await kept.publisher.drain()
    assert [seq for seq, _ in kept.acks][-1] == 2


@given(st.integers(1, 100), st.lists(st.integers(0, 500), max_size=20))
def test_credit_sinks_with_the_room_and_comes_back(full: int, sizes: list[int]) -> None:
    backlog = Backlog(max_bytes=1_000, full_credit=full)
    given = [backlog.credit]
    for size_bytes in sizes:
        backlog.add(size_bytes)
        given.append(backlog.credit)
    assert given == sorted(given, reverse=True)
    assert all(1 <= credit <= full for credit in given)
    for size_bytes in sizes:
        backlog.remove(size_bytes)
    assert backlog.credit == full
