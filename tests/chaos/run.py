"""The run: everything is started, students stream, one fault after the other, and at the end all is compared."""

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.chaos.cast import Cast, cast
from tests.chaos.crowd import Crowd, make_accounts
from tests.chaos.evidence import Witness
from tests.chaos.lag import Lags
from tests.chaos.ledger import Blow, Ledger
from tests.chaos.schedule import DISK, Fault, plan, victims
from tests.chaos.script import FPS, Script, drawn
from tests.chaos.verdict import Cost, Verdict, judge

SCRIPTS = 5
CALM_S = 3.0  # without a disturbance: the next fault may come
RECOVER_WITHIN_S = 40.0
BEHIND_S = 4.0  # a group is behind when it lacks more than arrives in so long; the recorder finishes every 2 s
SETTLE_WITHIN_S = 60.0

Tell = Callable[[str], None]


async def run(seed: int, seconds: float, students: int, folder: Path, tell: Tell, only: Sequence[str] = ()) -> Verdict:
    """Stream until all faults are through, for at most about so many seconds.

    `only`: keep the faults whose name contains one of these.
    """
    if (task := asyncio.current_task()) is not None:  # whoever is told to stop ends what it started
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    faults = plan(seed, seconds)
    if only:
        faults = [fault for fault in faults if any(part in fault.name for part in only)]
    tell("drawing")
    scripts = [await asyncio.to_thread(drawn, number) for number in range(min(SCRIPTS, students))]
    tell("starting Kafka, the stores and the services")
    with cast(folder, full_disk=DISK in victims(faults)) as everyone:
        if everyone.disk is None and DISK in victims(faults):
            tell("the disk is not filled: a small one can be mounted by root alone")
            faults = [fault for fault in faults if DISK not in victims([fault])]
        return await _Run(everyone, seed, seconds, tell).through(faults, scripts, students)


class _Run:
    def __init__(self, everyone: Cast, seed: int, seconds: float, tell: Tell) -> None:
        self._cast = everyone
        self._seed = seed
        self._seconds = seconds
        self._tell = tell
        self._ledger = Ledger()
        self._blows: list[Blow] = []
        self._caught_up_s = 0.0  # since when no group has been behind; 0 while one is
        self._last_behind = ""  # which one was, when one was
        self._most_behind = 0

    async def through(self, faults: Sequence[Fault], scripts: Sequence[Script], students: int) -> Verdict:
        crowd = Crowd(self._cast.url, await make_accounts(self._cast.url, students), scripts, self._ledger)
        self._most_behind = int(BEHIND_S * FPS * students)
        settings = self._cast.settings
        async with Lags(settings.kafka_bootstrap_servers or "") as lags:
            watch = asyncio.create_task(self._watch(lags))
            try:
                await crowd.open()
                begun_s = time.monotonic()
                left = await self._strike(faults, begun_s)
                self._tell("ending the sessions")
                await crowd.finish()
                streamed_s = time.monotonic() - begun_s
                async with Witness(settings) as witness:
                    self._tell("waiting for recordings and documents")
                    await witness.settled(crowd.students, SETTLE_WITHIN_S)
                    self._tell("comparing")
                    evidence = [await witness.of(student) for student in crowd.students]
                return judge(
                    evidence,
                    [self._cost(blow) for blow in self._blows],
                    seed=self._seed,
                    seconds=streamed_s,
                    not_reached=[fault.name for fault in left],
                    dead_letters=await lags.dead_letters(),
                    fallen=self._cast.fallen(),
                    exits=self._cast.exits,
                )
            finally:
                watch.cancel()
                await asyncio.gather(watch, return_exceptions=True)
                await crowd.close()

    async def _strike(self, faults: Sequence[Fault], begun_s: float) -> Sequence[Fault]:
        """One fault after the other; returns those there was no time for."""
        await self._calm(0.0)
        for number, fault in enumerate(faults):
            if time.monotonic() - begun_s + fault.lasts_s > self._seconds:
                return faults[number:]
            await self._fault(fault)
        return []

    async def _fault(self, fault: Fault) -> None:
        started_s = over_s = time.monotonic()
        for step in fault.steps:
            self._tell(f"{fault.name}: {step.action} {step.target}")
            over_s = time.monotonic()
            await asyncio.to_thread(self._cast.do, step.action, step.target)
            await asyncio.sleep(step.then_s)
        self._caught_up_s, self._last_behind = 0.0, ""
        caught_up_s = await self._calm(over_s)
        self._blows.append(Blow(fault.name, started_s, over_s, time.monotonic(), caught_up_s, self._last_behind))

    async def _calm(self, since_s: float) -> float | None:
        """Wait until results flow, no group is behind, and both stayed so; returns when the last group caught up, in
        seconds after `since_s`, or None when the time for recovering is over."""
        calm_from_s: float | None = None
        deadline_s = time.monotonic() + RECOVER_WITHIN_S
        while (now_s := time.monotonic()) < deadline_s:
            if self._ledger.flowing(now_s) and self._caught_up_s:
                calm_from_s = calm_from_s or now_s
                if now_s - calm_from_s >= CALM_S:
                    return max(0.0, self._caught_up_s - since_s)
            else:
                calm_from_s = None
            await asyncio.sleep(0.1)
        return None

    async def _watch(self, lags: Lags) -> None:
        """Note since when no group has been behind."""
        while True:
            asked_s = time.monotonic()
            behind = await lags.records()
            if behind is None:
                self._caught_up_s, self._last_behind = 0.0, "kafka"
            elif late := [group for group, records in behind.items() if records > self._most_behind]:
                self._caught_up_s, self._last_behind = 0.0, ", ".join(late)
            else:
                self._caught_up_s = self._caught_up_s or asked_s
            await asyncio.sleep(0.5)

    def _cost(self, blow: Blow) -> Cost:
        ledger = self._ledger
        return Cost(
            blow.name,
            ledger.recovery_s(blow),
            blow.caught_up_s,
            blow.last_behind,
            ledger.longest_silence_s(blow),
            ledger.held_during(blow),
        )
