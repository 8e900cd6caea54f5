"""What the recorder's handler has done by the time it gives partitions away."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from services.recorder import lane
from services.recorder.handlers import FramesHandler
from services.recorder.session import Session
from services.runtime.log import Record, TopicPartition

HERE, ELSEWHERE = TopicPartition("frames", 0), TopicPartition("frames", 1)


class Recording:
    """Stands in for a session: every frame is unsafe until `flush`."""

    def __init__(self, session_id: str, epoch: int, made: "Made") -> None:
        self.session_id = session_id
        self.epoch = epoch
        self.oldest_unsafe: Record | None = None
        self.left_to_another = False
        self.idle = asyncio.Event()
        self.deeds: list[str] = []
        self.taken = 0
        self.playable: asyncio.Event | None = None
        self._made = made

    @property
    def taken_over(self) -> bool:
        """Asked when there is nothing to do."""
        self.idle.set()
        return self.left_to_another

    async def take(self, records: Sequence[Record]) -> None:
        self._made.taking.set()
        await self._made.may_take.wait()
        self.taken += len(records)
        self.oldest_unsafe = self.oldest_unsafe or records[0]
        self.deeds.append("taken")

    def hurry(self) -> None: ...

    async def flush(self) -> None:
        self.oldest_unsafe = None
        self.deeds.append("safe")

    async def leave_playable(self) -> None:
        if self.playable is not None:
            await self.playable.wait()
        self.deeds.append("playable")


class Made(dict[str, Recording]):
    """Sessions by their ids. They take records while `may_take` is set."""

    def __init__(self) -> None:
        self.taking, self.may_take = asyncio.Event(), asyncio.Event()
        self.may_take.set()
        self.count = 0

    def __call__(self, session_id: str, epoch: int) -> Session:
        self.count += 1
        self[session_id] = Recording(session_id, epoch, self)
        return cast("Session", self[session_id])


@pytest.fixture
def made() -> Made:
    return Made()


@pytest.fixture
async def handler(made: Made) -> FramesHandler:
    """One frame of session `here` and one of `elsewhere` were handed over."""
    handler = FramesHandler(made, count=lambda _: None, playable_within_s=30.0)
    await handler.assigned(frozenset({HERE, ELSEWHERE}), epoch=1)
    for source, key in ((HERE, "here"), (ELSEWHERE, "elsewhere")):
        await handler.handle([Record(*source, 0, key, b"jpeg", {"kind": "frame"}, 0)])
    return handler


async def test_a_stop_leaves_the_playable_file_before_the_next_owner_may_write_it(
    handler: FramesHandler, made: Made
) -> None:
    handler.stopping()
    await handler.revoked(frozenset({HERE, ELSEWHERE}))
    assert made["here"].deeds == made["elsewhere"].deeds == ["taken", "safe", "playable"]


async def test_what_moves_to_another_replica_is_made_safe_and_left_to_it(handler: FramesHandler, made: Made) -> None:
    await handler.revoked(frozenset({HERE}))
    assert made["here"].deeds == ["taken", "safe"]
    handler.stopping()
    await handler.revoked(frozenset({ELSEWHERE}))
    assert made["here"].deeds == ["taken", "safe"]
    assert made["elsewhere"].deeds == ["taken", "safe", "playable"]


async def test_a_session_is_held_under_the_epoch_of_its_partition(handler: FramesHandler, made: Made) -> None:
    assert (made["here"].epoch, made["elsewhere"].epoch) == (1, 1)
    await handler.revoked(frozenset({HERE, ELSEWHERE}))
    await handler.assigned(frozenset({HERE}), epoch=4)
    await handler.handle([Record(*HERE, 1, "here", b"jpeg", {"kind": "frame"}, 0)])
    assert made["here"].epoch == 4


async def test_a_playable_file_that_takes_too_long_does_not_hold_up_the_stop(made: Made) -> None:
    handler = FramesHandler(made, count=lambda _: None, playable_within_s=0.01)
    await handler.assigned(frozenset({HERE}), epoch=1)
    await handler.handle([Record(*HERE, 0, "here", b"jpeg", {"kind": "frame"}, 0)])
    made["here"].playable = asyncio.Event()
    handler.stopping()
    await handler.revoked(frozenset({HERE}))
    assert made["here"].deeds == ["taken", "safe"]


async def test_records_without_a_value_fill_the_waiting_room_too(made: Made) -> None:
    handler = FramesHandler(made, count=lambda _: None, playable_within_s=30.0, max_bytes=10_000)
    await handler.assigned(frozenset({HERE}), epoch=1)
    made.may_take.clear()
    many = [Record(*HERE, offset, "here", b"", {"kind": "frame"}, 0) for offset in range(100)]
    handing_over = asyncio.create_task(handler.handle(many))
    await made.taking.wait()
    assert not handing_over.done()
    made.may_take.set()
    await handing_over
    await handler.revoked(frozenset({HERE}))
    assert made["here"].taken == 100


async def test_a_stop_does_not_wait_for_room(made: Made) -> None:
    """There may be none for long: on a full disk, or while the log is away."""
    handler = FramesHandler(made, count=lambda _: None, playable_within_s=30.0, max_bytes=10_000)
    await handler.assigned(frozenset({HERE}), epoch=1)
    made.may_take.clear()
    many = [Record(*HERE, offset, "here", b"", {"kind": "frame"}, 0) for offset in range(100)]
    handing_over = asyncio.create_task(handler.handle(many))
    await made.taking.wait()
    handler.stopping()
    async with asyncio.timeout(30):
        await handing_over
    made.may_take.set()
    await handler.revoked(frozenset({HERE}))
    assert 0 < made["here"].taken < 100


@pytest.mark.parametrize(("taken_over", "sessions"), [(False, 2), (True, 1)])
async def test_an_idle_session_is_forgotten_unless_it_left_records_to_another_owner(
    made: Made, monkeypatch: pytest.MonkeyPatch, taken_over: bool, sessions: int
) -> None:
    """Who began anew behind records that were left unfinished would take those for copies when they come again."""
    monkeypatch.setattr(lane, "IDLE_S", 0.01)
    handler = FramesHandler(made, count=lambda _: None, playable_within_s=30.0)
    await handler.assigned(frozenset({HERE}), epoch=1)
    await handler.handle([Record(*HERE, 0, "here", b"jpeg", {"kind": "start"}, 0)])
    made["here"].left_to_another = taken_over
    await made["here"].idle.wait()
    await handler.handle([Record(*HERE, 1, "here", b"jpeg", {"kind": "start"}, 0)])
    await handler.revoked(frozenset({HERE}))
    assert made.count == sessions
