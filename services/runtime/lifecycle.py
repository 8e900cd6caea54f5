"""Start, drain, close: in one place, in one order, each with a bounded wait."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog

logger = structlog.get_logger(__name__)

MOMENT_S = 1.0


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
        await _stop_all(running, graceful_timeout_s)


async def _stop_all(running: list[Part], graceful_timeout_s: float) -> None:
    """In the reverse order of their start, all within the limit. Each part leaves a moment to those that stop after it,
    so that one that hangs does not keep the log from closing."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + graceful_timeout_s
    moment_s = min(MOMENT_S, graceful_timeout_s / (2 * len(running) or 1))
    while running:
        part = running.pop()
        try:
            async with asyncio.timeout_at(deadline - moment_s * len(running)):
                await part.stop()
        except TimeoutError:
            logger.warning("part did not stop in time", part=part.name, graceful_timeout_s=graceful_timeout_s)
            loop.set_exception_handler(_left_over)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Of a task inside the part: aiokafka lets those out that it cancels itself while its broker is away.
            logger.warning("part was cut short while it stopped", part=part.name, error=repr(error))
        except Exception:
            logger.exception("part failed to stop", part=part.name)


def _left_over(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What tasks of a part that was cut short still fail with, as aiokafka's do: a line, since it was told why."""
    logger.warning("left over", what=context["message"].partition("\n")[0], error=repr(context.get("exception")))


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
