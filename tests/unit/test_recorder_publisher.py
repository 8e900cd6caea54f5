"""A recording's end waits until the log has its event."""

import asyncio
from collections.abc import Mapping

from schemas.examples import RECORDING
from schemas.topics import Topic
from services.recorder.publisher import Publisher
from services.runtime.deadletters import DeadLetters
from services.runtime.log import LogUnavailable, Position
from services.runtime.metrics import Metrics


class ShakyLog:
    """Away for the first sends; refuses the next at the acknowledgement."""

    def __init__(self) -> None:
        self.sends = 0
        self.taken: list[tuple[bytes, Mapping[str, str] | None]] = []

    async def send(
        self, topic: Topic, key: str, value: bytes, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[Position]:
        self.sends += 1
        if self.sends == 1:
            raise LogUnavailable("no broker")
        acknowledged: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        if self.sends == 2:
            acknowledged.set_exception(LogUnavailable("the broker went away"))
        else:
            self.taken.append((value, headers))
            acknowledged.set_result(Position(0, 0))
        return acknowledged


async def test_an_event_is_sent_until_the_log_has_it() -> None:
    log = ShakyLog()
    await Publisher(log, DeadLetters(log, Metrics(), "recorder")).event(RECORDING, epoch=7)  # type: ignore[arg-type]
    assert log.taken == [(RECORDING.encode(), {"epoch": "7"})]
