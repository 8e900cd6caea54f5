"""Start, drain, close: in one place, in one order, each with a bounded wait."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

logger = structlog.get_logger(__name__)


class Part(Protocol):
    """Something that lives as long as its process: a service, a log, a store."""

    name: str

    async def start(self) -> None:
        """Become ready. Raises with what is wrong and what to do about it."""

    async def stop(self) -> None:
        """Refuse new work, finish what was taken, flush, commit, close. Bounded by the runner."""

    async def check(self) -> None:
        """Raises an exception whose text says why this part is not ready."""


class StartFailed(Exception):
    """Something outside is not as it must be: a port in use, a folder that cannot be written. The text says what is
    wrong and what to do; the command line shows it as one line, without a traceback."""


async def run(
    parts: Sequence[Part],
    *,
    graceful_timeout_s: float,
    stop: asyncio.Event,
    on_started: Callable[[], object] = lambda: None,
) -> None:
    """Start the parts in order, wait for `stop`, stop them in the reverse order within the limit.

    A part that stops later may still be used by one that stops earlier: the log outlives the services.
    """
    running: list[Part] = []
    try:
        for part in parts:
            await part.start()
            running.append(part)
        on_started()
        await stop.wait()
    finally:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + graceful_timeout_s
        for part in reversed(running):
            try:
                # Every part gets a moment, so that one that hangs does not keep the log from closing.
                async with asyncio.timeout_at(max(deadline, loop.time() + 1.0)):
                    await part.stop()
            except TimeoutError:
                logger.warning("part did not stop in time", part=part.name, graceful_timeout_s=graceful_timeout_s)
            except Exception:
                logger.exception("part failed to stop", part=part.name)


def stop_on_signals(stop: asyncio.Event) -> None:
    """The first SIGINT or SIGTERM sets `stop`; the second ends the process at once."""
    loop = asyncio.get_running_loop()

    def first(received: signal.Signals) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        logger.info("stopping", signal=received.name)
        stop.set()

    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, first, each)
