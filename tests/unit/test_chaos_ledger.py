"""How long a fault was felt, from when results came."""

from tests.chaos.ledger import Blow, Ledger

BLOW = Blow("a fault", begun_s=10.0, over_s=20.0, until_s=40.0)


def _ledger(**arrivals_s: list[float]) -> Ledger:
    ledger = Ledger()
    for session, times in arrivals_s.items():
        ledger.opened(session)
        for at_s in times:
            ledger.arrived(session, at_s)
    return ledger


def _every_second(begin: int, end: int) -> list[float]:
    return [float(at_s) for at_s in range(begin, end)]


def test_results_that_never_stopped_cost_nothing() -> None:
    assert _ledger(ann=_every_second(0, 50)).recovery_s(BLOW) == 0


def test_the_slowest_session_counts() -> None:
    ledger = _ledger(
        ann=[*_every_second(0, 12), *_every_second(23, 50)], bob=[*_every_second(0, 12), *_every_second(27, 50)]
    )
    assert ledger.recovery_s(BLOW) == 7
    assert ledger.longest_silence_s(BLOW) == 16


def test_a_second_silence_counts_as_not_recovered_yet() -> None:
    """A woken replica is heard at once, and then the group shares the partitions anew."""
    ledger = _ledger(ann=[*_every_second(0, 22), *_every_second(26, 50)])
    assert ledger.recovery_s(BLOW) == 6


def test_what_was_over_before_the_faults_end_is_no_recovery() -> None:
    ledger = _ledger(ann=[*_every_second(0, 11), *_every_second(18, 50)])
    assert ledger.recovery_s(BLOW) == 0
    assert ledger.longest_silence_s(BLOW) == 8


def test_a_session_that_stays_silent_did_not_recover() -> None:
    assert _ledger(ann=_every_second(0, 50), bob=_every_second(0, 15)).recovery_s(BLOW) is None
    assert _ledger(ann=_every_second(0, 50), bob=[]).recovery_s(BLOW) is None


def test_flowing_wants_every_session() -> None:
    ledger = _ledger(ann=[9.5], bob=[9.9])
    assert ledger.flowing(10.0)
    assert not ledger.flowing(11.1)
    assert not _ledger(ann=[9.5], bob=[]).flowing(10.0)


def test_captures_held_count_for_the_fault_they_fall_into() -> None:
    ledger = _ledger(ann=[])
    for at_s in (9.0, 10.0, 25.0, 40.0):
        ledger.held("ann", at_s)
    assert ledger.held_during(BLOW) == 2
