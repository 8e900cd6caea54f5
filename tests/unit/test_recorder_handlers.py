"""What the recorder's handler has done by the time it gives partitions away."""

from collections.abc import Sequence
from typing import cast

import pytest

from services.recorder.handlers import FramesHandler
from services.recorder.session import Session
from services.runtime.log import Record, TopicPartition

HERE, ELSEWHERE = TopicPartition("frames", 0), TopicPartition("frames", 1)


class Recording:
    """Stands in for a session: every frame is unsafe until `flush`."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.oldest_unsafe: Record | None = None
        self.deeds: list[str] = []

    async def take(self, records: Sequence[Record]) -> None:
        self.oldest_unsafe = self.oldest_unsafe or records[0]
        self.deeds.append("taken")

    async def flush(self) -> None:
        self.oldest_unsafe = None
        self.deeds.append("safe")

    async def leave_playable(self) -> None:
        self.deeds.append("playable")


class Made(dict[str, Recording]):
    def __call__(self, session_id: str) -> Session:
        self[session_id] = Recording(session_id)
        return cast("Session", self[session_id])


@pytest.fixture
def made() -> Made:
    return Made()


@pytest.fixture
async def handler(made: Made) -> FramesHandler:
    """One frame of session `here` and one of `elsewhere` were handed over."""
    handler = FramesHandler(made, count=lambda _: None)
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
