"""Which faults, in which order, to whom. Pure, seeded.

Every fault is a few steps with waits between them; it is over when the last step, the one that heals, begins. The next
fault comes once the one before is recovered from, so a plan has an order and no times.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Action = Literal["kill", "terminate", "start", "pause", "resume", "fill", "free"]

SERVICES = ("ingest", "analyzer", "recorder", "sink")
REPLICAS = ("analyzer", "recorder")  # of these there are two
DISK = "disk"

RESTART_AFTER_S = 1.0  # as a supervisor does
PAUSE_S = (8.0, 15.0)  # a consumer is expelled after 6 s
SHORT_PAUSE_S = (7.5, 8.5)
AWAY_S, SHORT_AWAY_S = 60.0, 8.0
FULL_DISK_S = 8.0
LONG_RUN_S = 300.0  # from here on there is time for the long waits
RECOVERY_S = 6.0  # what a plan allows for recovering, on average


@dataclass(frozen=True, slots=True)
class Step:
    """`then_s`: how long to wait after it."""

    action: Action
    target: str
    then_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    steps: tuple[Step, ...]

    @property
    def lasts_s(self) -> float:
        return sum(step.then_s for step in self.steps)


Make = Callable[[random.Random], Fault]


def plan(seed: int, seconds: float, *, full_disk: bool = True) -> list[Fault]:
    """As many faults as there is time for, the most telling ones first chosen, in an order that the seed shuffles."""
    chance = random.Random(seed)  # noqa: S311
    left_s, chosen = seconds, []
    for make in _by_importance(long=seconds >= LONG_RUN_S, full_disk=full_disk):
        fault = make(chance)
        if fault.lasts_s + RECOVERY_S <= left_s:
            left_s -= fault.lasts_s + RECOVERY_S
            chosen.append(fault)
    chance.shuffle(chosen)
    return chosen


def _by_importance(*, long: bool, full_disk: bool) -> Iterator[Make]:
    pause_s, away_s = (PAUSE_S, AWAY_S) if long else (SHORT_PAUSE_S, SHORT_AWAY_S)
    yield from (_kill(target) for target in ("analyzer", "recorder", "kafka", "ingest"))
    yield _pause("analyzer", pause_s)
    yield _kill("sink")
    yield _away("mongo", away_s)
    yield _pause("recorder", pause_s)
    yield _away("firebase", away_s)
    yield from (_terminate(target) for target in ("ingest", "analyzer", "recorder", "sink", "kafka"))
    yield _scale
    yield from (_pause(target, pause_s) for target in ("ingest", "sink", "kafka"))
    if full_disk:
        yield _full_disk
    yield _away("kafka", away_s)


def _victim(target: str, chance: random.Random) -> str:
    return f"{target}-{chance.choice((1, 2))}" if target in REPLICAS else target


def _kill(target: str) -> Make:
    def make(chance: random.Random) -> Fault:
        victim = _victim(target, chance)
        return Fault(f"kill -9 {victim}", (Step("kill", victim, RESTART_AFTER_S), Step("start", victim)))

    return make


def _terminate(target: str) -> Make:
    def make(chance: random.Random) -> Fault:
        victim = _victim(target, chance)
        return Fault(f"SIGTERM {victim}", (Step("terminate", victim, RESTART_AFTER_S), Step("start", victim)))

    return make


def _pause(target: str, between_s: tuple[float, float]) -> Make:
    def make(chance: random.Random) -> Fault:
        victim, lasts_s = _victim(target, chance), round(chance.uniform(*between_s), 1)
        return Fault(f"SIGSTOP {victim} {lasts_s:g} s", (Step("pause", victim, lasts_s), Step("resume", victim)))

    return make


def _away(target: str, lasts_s: float) -> Make:
    return lambda _: Fault(f"{target} away {lasts_s:g} s", (Step("pause", target, lasts_s), Step("resume", target)))


def _scale(_: random.Random) -> Fault:
    """Two analyzers become one, three, one, and two again."""
    steps = (
        Step("terminate", "analyzer-2", 4.0),
        Step("start", "analyzer-2"),
        Step("start", "analyzer-3", 6.0),
        Step("terminate", "analyzer-2"),
        Step("terminate", "analyzer-3", 4.0),
        Step("start", "analyzer-2"),
    )
    return Fault("analyzers 1 → 3 → 1", steps)


def _full_disk(_: random.Random) -> Fault:
    return Fault("recordings' disk full", (Step("fill", DISK, FULL_DISK_S), Step("free", DISK)))


def victims(faults: Iterable[Fault]) -> set[str]:
    """Who is touched by any of them."""
    return {step.target for fault in faults for step in fault.steps}
