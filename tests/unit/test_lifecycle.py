"""Start, drain and close: their order, and that one part's failure is not the others'."""

import asyncio

import pytest
import structlog

from services.runtime.lifecycle import StartFailed, run


class Recording:
    """A part that writes down what is asked of it."""

    def __init__(self, name: str, calls: list[str], *, fails: str = "", hangs: bool = False, cut: bool = False) -> None:
        self.name = name
        self._calls = calls
        self._fails = fails
        self._hangs = hangs
        self._cut = cut

    async def start(self) -> None:
        if self._fails == "start":
            raise StartFailed(f"{self.name} cannot start")
        self._calls.append(f"start {self.name}")

    async def stop(self) -> None:
        self._calls.append(f"stop {self.name}")
        if self._fails == "stop":
            raise RuntimeError("no")
        if self._cut:
            raise asyncio.CancelledError
        if self._hangs:
            await asyncio.Event().wait()

    async def check(self) -> None:
        return None


async def test_parts_start_in_order_and_stop_in_reverse() -> None:
    calls: list[str] = []
    stop = asyncio.Event()
    await run(
        [Recording("log", calls), Recording("service", calls)],
        graceful_timeout_s=1,
        stop=stop,
        on_started=stop.set,
    )
    assert calls == ["start log", "start service", "stop service", "stop log"]


async def test_what_was_started_is_stopped_when_a_later_part_fails() -> None:
    calls: list[str] = []
    with pytest.raises(StartFailed, match="http cannot start"):
        await run(
            [Recording("log", calls), Recording("http", calls, fails="start")],
            graceful_timeout_s=1,
            stop=asyncio.Event(),
        )
    assert calls == ["start log", "stop log"]


@pytest.mark.parametrize("trouble", [{"fails": "stop"}, {"hangs": True}, {"cut": True}])
async def test_a_part_that_fails_or_hangs_does_not_keep_the_log_from_closing(trouble: dict[str, object]) -> None:
    calls: list[str] = []
    stop = asyncio.Event()
    stop.set()
    await run(
        [Recording("log", calls), Recording("service", calls, **trouble)],  # type: ignore[arg-type]
        graceful_timeout_s=0.01,
        stop=stop,
    )
    assert calls[-1] == "stop log"


async def test_who_cancels_the_run_is_heard() -> None:
    calls: list[str] = []
    started = asyncio.Event()
    running = asyncio.create_task(
        run([Recording("log", calls)], graceful_timeout_s=1, stop=asyncio.Event(), on_started=started.set)
    )
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert calls == ["start log", "stop log"]


async def test_what_a_part_that_was_cut_short_leaves_behind_is_told_in_a_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: list[str] = []
    stop = asyncio.Event()
    stop.set()
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    try:
        with structlog.testing.capture_logs() as told:
            await run([Recording("log", calls, hangs=True)], graceful_timeout_s=0.01, stop=stop)
            loop.call_exception_handler({"message": "never retrieved\nfuture: …", "exception": RuntimeError("closed")})
    finally:
        loop.set_exception_handler(before)
    assert told[-1]["what"] == "never retrieved"
    assert told[-1]["error"] == "RuntimeError('closed')"
    assert not caplog.records  # the loop's own handler would have logged the traceback
