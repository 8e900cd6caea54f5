"""How long to wait before asking again somebody who does not answer, and asking until they do."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

Result = TypeVar("Result")

FIRST_S, LONGEST_S = 0.1, 5.0


def backoff_s(attempt: int, draw: float, *, first_s: float, longest_s: float) -> float:
    """Seconds to wait after the failed `attempt` (0, 1, …): doubled each time, up to `longest_s`, half of it by `draw`.

    `draw` in 0..1 spreads those who failed together. Pure.
    """
    ceiling_s = min(longest_s, first_s * 2.0 ** min(attempt, 30))
    return ceiling_s * (0.5 + draw / 2)


def waits_s(first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> Iterator[float]:
    """The waits of one trouble, without end: `for wait_s in waits_s(): try …; await sleep(wait_s)`."""
    for attempt in itertools.count():
        yield backoff_s(attempt, random.random(), first_s=first_s, longest_s=longest_s)  # noqa: S311 - spreads retries


async def until_taken(
    send: Callable[[], Awaitable[Result]],
    refusal: type[Exception] | tuple[type[Exception], ...],
    on_refused: Callable[[Exception, int], object],
    *,
    first_s: float = FIRST_S,
    longest_s: float = LONGEST_S,
    pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Result:
    """Call `send` until it does not raise `refusal` (usually `LogUnavailable`), however long that takes; its result.

    The one rule for whatever must reach the log, or a destination, before its source may be called done. After the
    refusal number 1, 2, … `on_refused(error, number)` is told, before the wait: log the first, set readiness, count.
    `pause(seconds)` waits; one that raises ends the trying (a part that stops leaves the rest to the next owner). Any
    other exception passes through.
    """
    for number, wait_s in enumerate(waits_s(first_s, longest_s), start=1):
        try:
            return await send()
        except refusal as error:
            on_refused(error, number)
        await pause(wait_s)
    raise AssertionError("the waits have no end")
