"""Fair turns, order within a session, and what is thinned when."""

from collections import Counter, deque
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.frames import FrameHeaders, Kind
from services.analyzer.scheduler import Entry, Scheduler, Work
from services.runtime.log import Record, TopicPartition

FRAMES = TopicPartition("frames", 0)
STALE_MS = 2000
CATCH_UP_MS = 60_000


def entry(session_id: str, seq: int, received_at_ms: int, kind: Kind = "frame", partition: int = 0) -> Entry:
    headers = FrameHeaders(session_id, kind, seq, received_at_ms, received_at_ms)
    return Entry(Record("frames", partition, seq, session_id, b"jpeg", headers.encode(), received_at_ms), headers)


def scheduler(workers: int = 1) -> Scheduler:
    return Scheduler(stale_after_ms=STALE_MS, catch_up_ms=CATCH_UP_MS, workers=workers)


def add(to: Scheduler, session_id: str, received_at_ms: list[int], first_seq: int = 0) -> None:
    for number, at_ms in enumerate(received_at_ms):
        to.add(session_id, entry(session_id, first_seq + number, at_ms))


def drain(of: Scheduler, now_ms: int, took_ms: float = 10.0) -> list[tuple[str, int, bool]]:
    """All that waits: session, seq, skipped."""
    taken = []
    while work := of.take(now_ms):
        taken += [(work.session_id, each.headers.seq, each.skip) for each in work.entries if each.headers]
        of.done(work, took_ms * work.frames)
    return taken


def kept(taken: list[tuple[str, int, bool]]) -> list[int]:
    return [seq for _, seq, skipped in taken if not skipped]


def test_sessions_take_turns() -> None:
    turns = scheduler()
    for name in ("a", "b", "c"):
        add(turns, name, [1000] * 12)
    order = [name for name, _, _ in drain(turns, 1000)]
    assert order[:12] == ["a"] * 4 + ["b"] * 4 + ["c"] * 4
    assert Counter(order) == {"a": 12, "b": 12, "c": 12}


def test_a_session_under_way_is_not_taken_again_before_it_is_done() -> None:
    turns = scheduler(workers=2)
    add(turns, "a", [0] * 8)
    first = turns.take(0)
    assert first is not None
    assert turns.take(0) is None
    add(turns, "a", [0], first_seq=8)
    assert turns.take(0) is None
    turns.done(first, 10)
    second = turns.take(0)
    assert second is not None
    assert [each.record.offset for each in second.entries] == [4, 5, 6, 7]


def test_what_is_fresh_is_never_thinned() -> None:
    turns = scheduler()
    turns.assign([FRAMES], 0)
    add(turns, "a", list(range(1000, 3000, 20)))
    assert not any(skipped for _, _, skipped in drain(turns, 3000))


def test_a_stale_live_session_is_thinned_evenly_and_gets_current() -> None:
    turns = scheduler()
    turns.assign([FRAMES], 0)
    add(turns, "a", list(range(1000, 6000, 20)))
    # One worker at 10 ms a frame can take 100 in half of the limit: every second or third of these 250, then more.
    remaining = kept(drain(turns, 6000))
    gaps = [later - earlier for earlier, later in pairwise(remaining)]
    assert set(gaps) <= {1, 2, 3}
    assert set(gaps[:20]) == {2, 3}
    assert gaps[-1] == 1


def test_starts_and_ends_are_never_left_out() -> None:
    turns = scheduler()
    turns.assign([FRAMES], 0)
    turns.add("a", entry("a", 0, 1000, "start"))
    add(turns, "a", list(range(1000, 60_000, 10)))
    turns.add("a", entry("a", 5900, 60_000, "end"))
    work = turns.take(60_000)
    assert work is not None
    assert not work.entries[0].skip
    turns.done(work, 10)
    taken = drain(turns, 60_000)
    assert taken[-1] == ("a", 5900, False)


def test_uploads_are_never_thinned() -> None:
    turns = scheduler()
    turns.assign([FRAMES], 0)
    add(turns, "a", list(range(1000, 30_000, 20)))
    turns.set_upload("a")
    assert not any(skipped for _, _, skipped in drain(turns, 600_000))


def test_a_backlog_that_a_restart_left_is_analyzed_in_full() -> None:
    turns = scheduler()
    turns.assign([FRAMES], 40_000)
    add(turns, "a", list(range(10_000, 43_000, 100)))
    assert not any(skipped for _, _, skipped in drain(turns, 43_000))


def test_what_a_log_that_was_away_held_up_is_analyzed_in_full() -> None:
    turns = scheduler()
    for name in ("a", "b"):
        add(turns, name, [1000 * number for number in range(12)])
    turns.arrived(12_000, at_rest=True)
    assert sorted(kept(drain(turns, 12_000))) == sorted([*range(12)] * 2)
    add(turns, "c", [1000 * number for number in range(12)])  # its partition came a little later
    add(turns, "d", [1000 * number for number in range(12)])
    turns.arrived(12_100, at_rest=False)
    assert sorted(kept(drain(turns, 12_100))) == sorted([*range(12)] * 2)


def test_what_waits_behind_other_work_is_not_taken_for_held_up() -> None:
    turns = scheduler()
    add(turns, "a", [0] * 400)
    turns.arrived(100, at_rest=True)
    add(turns, "a", [100] * 400, first_seq=400)
    turns.arrived(STALE_MS + 1000, at_rest=False)
    assert any(skipped for _, _, skipped in drain(turns, STALE_MS + 1000))


def test_of_a_backlog_beyond_the_limit_the_older_part_is_thinned() -> None:
    turns = scheduler()
    turns.assign([FRAMES], 200_000)
    add(turns, "a", list(range(20_000, 200_000, 20)))
    left_out = [seq * 20 + 20_000 for _, seq, skipped in drain(turns, 200_000) if skipped]
    assert left_out
    assert max(left_out) < 200_000 - CATCH_UP_MS


def test_once_caught_up_a_session_is_live() -> None:
    turns = scheduler()
    turns.assign([FRAMES], 10_000)
    add(turns, "a", [9000, 9900])
    assert not any(skipped for _, _, skipped in drain(turns, 10_500))
    add(turns, "a", list(range(11_000, 16_000, 20)), first_seq=2)
    assert any(skipped for _, _, skipped in drain(turns, 16_000))


def test_catching_up_ends_with_its_time() -> None:
    turns = scheduler()
    turns.assign([FRAMES], 10_000)
    add(turns, "a", list(range(9000, 14_000, 20)))
    assert any(skipped for _, _, skipped in drain(turns, 10_000 + CATCH_UP_MS + 1))


def test_given_away_partitions_leave_nothing_behind() -> None:
    turns = scheduler(workers=2)
    add(turns, "a", [0] * 6)
    turns.add("b", entry("b", 0, 0, partition=1))
    under_way = turns.take(0)
    assert under_way is not None
    turns.drop(frozenset([FRAMES]))
    assert not turns.at_rest(frozenset([FRAMES]))
    turns.done(under_way, 10)
    assert turns.at_rest(frozenset([FRAMES]))
    assert [name for name, _, _ in drain(turns, 0)] == ["b"]
    assert (turns.waiting, turns.waiting_bytes) == (0, 0)


def test_what_comes_back_while_its_turn_is_still_under_way_is_a_backlog() -> None:
    turns = scheduler(workers=2)
    add(turns, "a", [0] * 6)
    under_way = turns.take(0)
    assert under_way is not None
    turns.drop(frozenset([FRAMES]))
    turns.assign([FRAMES], 10_000)
    add(turns, "a", list(range(0, 10_000, 20)))
    assert turns.take(10_000) is None
    turns.done(under_way, 10)
    assert kept(drain(turns, 10_000)) == list(range(500))
    assert turns.at_rest(frozenset([FRAMES]))


def overload(seconds: int, *, sessions: int, fps: int, frame_ms: float) -> tuple[Counter[str], list[float], list[int]]:
    """A simulation: who gets how many frames analyzed, their ages when analyzed, and session s0's analyzed seqs."""
    turns = scheduler()
    turns.assign([FRAMES], 0)
    arrivals = deque(
        (number * 1000 // fps, f"s{session}", number) for number in range(seconds * fps) for session in range(sessions)
    )
    now_ms, analyzed, ages_ms, first = 0.0, Counter[str](), list[float](), list[int]()
    while now_ms < seconds * 1000:
        while arrivals and arrivals[0][0] <= now_ms:
            at_ms, name, number = arrivals.popleft()
            turns.add(name, entry(name, number, at_ms))
        work: Work | None = turns.take(int(now_ms))
        if work is None:
            now_ms += 1
            continue
        for each in work.entries:
            if not each.skip and each.headers is not None:
                now_ms += frame_ms
                analyzed[work.session_id] += 1
                ages_ms.append(now_ms - each.headers.received_at_ms)
                if work.session_id == "s0":
                    first.append(each.headers.seq)
        turns.done(work, frame_ms * work.frames)
    return analyzed, ages_ms, first


@settings(max_examples=15)
@given(st.integers(2, 12), st.sampled_from([10, 30]), st.floats(8, 40))
def test_with_too_much_work_all_get_an_equal_fresh_share(sessions: int, fps: int, frame_ms: float) -> None:
    analyzed, ages_ms, first = overload(30, sessions=sessions, fps=fps, frame_ms=frame_ms)
    counts = [analyzed[f"s{session}"] for session in range(sessions)]
    jain = sum(counts) ** 2 / (sessions * sum(count * count for count in counts))
    assert jain >= 0.95
    assert max(ages_ms) <= STALE_MS + 4 * frame_ms * sessions
    gaps = [later - earlier for earlier, later in pairwise(first[len(first) // 2 :])]
    assert max(gaps) - min(gaps) <= max(2, 0.75 * sum(gaps) / len(gaps))  # even, not in bursts
