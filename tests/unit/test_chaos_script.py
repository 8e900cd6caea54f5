"""A drawn loop's truth, however often it goes round."""

from itertools import pairwise

from services.client.timetable import Timetable
from tests.chaos.script import FPS, LOOP_S, Script

ROUND = LOOP_S * FPS
SCRIPT = Script(Timetable(2, LOOP_S), [b""] * ROUND)


def test_rounds_add_up() -> None:
    whole = Timetable(2, LOOP_S).truth(LOOP_S)
    assert whole.blinks > 0
    assert whole.yawns > 0
    assert SCRIPT.truth(ROUND) == whole
    for frames in (0, 1, 77, ROUND - 1):
        assert SCRIPT.truth(2 * ROUND + frames).blinks == 2 * whole.blinks + SCRIPT.truth(frames).blinks
        assert SCRIPT.truth(2 * ROUND + frames).yawns == 2 * whole.yawns + SCRIPT.truth(frames).yawns


def test_a_quiet_place_is_far_from_any_event_and_comes_soon() -> None:
    quiet = [frames for frames in range(1, 3 * ROUND) if SCRIPT.quiet(frames)]
    for frames in quiet:
        at_s = (frames - 1) % ROUND / FPS
        assert all(
            abs(at_s - event.start_s) >= 0.8 and abs(at_s - event.end_s) >= 0.8 for event in SCRIPT.timetable.events
        )
        assert SCRIPT.truth(frames) == SCRIPT.truth(frames + 1)
    assert max(later - earlier for earlier, later in pairwise(quiet)) < 10 * FPS
