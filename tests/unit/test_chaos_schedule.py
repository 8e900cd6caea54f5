"""The plan of the chaos run: seeded, within its time, and whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.schedule import DISK, LONG_RUN_S, RECOVERY_S, Fault, plan, victims

SECONDS = st.floats(20, 500)
SEEDS = st.integers(0, 10_000)
HEALED_BY = {"kill": "start", "terminate": "start", "pause": "resume", "fill": "free"}


def _state_after(faults: list[Fault]) -> dict[str, str]:
    """The last thing done to each target; fails where something is done that cannot be."""
    state: dict[str, str] = {"analyzer-3": "terminate"}
    for fault in faults:
        for step in fault.steps:
            hurt = state.get(step.target)
            if step.action in HEALED_BY:
                assert hurt not in HEALED_BY, f"{step.target} is hurt twice"
            else:
                assert hurt is not None, f"{step.target} was not hurt"
                assert HEALED_BY.get(hurt) == step.action
            state[step.target] = step.action
    return state


@given(SEEDS, SECONDS)
def test_everyone_is_whole_after_every_fault(seed: int, seconds: float) -> None:
    for fault in (faults := plan(seed, seconds)):
        after = _state_after([fault])
        assert {target for target, action in after.items() if action in HEALED_BY} <= {"analyzer-3"}
    _state_after(faults)


@given(SEEDS, SECONDS)
def test_a_plan_fits_its_time(seed: int, seconds: float) -> None:
    assert sum(fault.lasts_s + RECOVERY_S for fault in plan(seed, seconds)) <= seconds


def test_a_seed_is_a_plan() -> None:
    assert plan(1, 480) == plan(1, 480)
    assert plan(1, 480) != plan(2, 480)
    assert {fault.name for fault in plan(1, 480)} != {fault.name for fault in plan(2, 480)}  # other victims


def test_a_long_run_does_all_that_there_is() -> None:
    names = " ".join(fault.name for fault in plan(3, 480))
    for service in ("ingest", "analyzer", "recorder", "sink", "kafka"):
        for deed in ("kill -9", "SIGTERM", "SIGSTOP"):
            assert f"{deed} {service}" in names
    for store in ("kafka", "mongo", "firebase"):
        assert f"{store} away 60 s" in names
    assert "1 → 3 → 1" in names
    assert "disk full" in names


def test_a_pause_outlasts_the_session_timeout() -> None:
    for seconds in (120, LONG_RUN_S):
        pauses = [fault.lasts_s for fault in plan(1, seconds) if fault.name.startswith("SIGSTOP")]
        assert pauses
        assert all(6 < pause_s <= 15 for pause_s in pauses)


def test_without_a_disk_of_its_own_nothing_fills_it() -> None:
    assert DISK in victims(plan(1, 480))
    assert DISK not in victims(plan(1, 480, full_disk=False))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_minutes_hurt_every_service(seed: int) -> None:
    hurt = {target.partition("-")[0] for target in victims(plan(seed, 120))}
    assert {"ingest", "analyzer", "recorder", "sink", "kafka", "mongo", "firebase"} <= hurt
