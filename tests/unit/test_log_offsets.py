"""The commit rule: never past what is not finished, and no further back than needed."""

from hypothesis import given
from hypothesis import strategies as st

from services.runtime.log.offsets import OffsetTracker


@st.composite
def handed_out(draw: st.DrawFn) -> tuple[int, list[int], list[int]]:
    """A committed offset, rising offsets with gaps from there on, and some of them in the order they are finished."""
    committed = draw(st.integers(0, 1000))
    gaps = draw(st.lists(st.integers(1, 4), max_size=40))
    first = committed + draw(st.integers(0, 3))
    offsets = [first + sum(gaps[:number]) for number in range(len(gaps))]
    finished = draw(st.permutations(offsets))
    return committed, offsets, finished[: draw(st.integers(0, len(offsets)))]


@given(handed_out())
def test_the_commit_is_the_lowest_unfinished_offset(case: tuple[int, list[int], list[int]]) -> None:
    committed, offsets, finished = case
    tracker = OffsetTracker(committed)
    for offset in offsets:
        tracker.add(offset)
    for offset in finished:
        tracker.finish(offset)
    unfinished = sorted(set(offsets) - set(finished))
    expected = unfinished[0] if unfinished else (offsets[-1] + 1 if offsets else committed)
    assert tracker.committable == expected
    assert tracker.pending == len(unfinished)


@given(handed_out(), st.data())
def test_looking_in_between_changes_nothing(case: tuple[int, list[int], list[int]], data: st.DataObject) -> None:
    committed, offsets, finished = case
    tracker, looked_at = OffsetTracker(committed), OffsetTracker(committed)
    order: list[tuple[bool, int]] = [(True, offset) for offset in offsets]
    for offset in finished:  # each is finished some time after it was handed out
        added = order.index((True, offset))
        order.insert(data.draw(st.integers(added + 1, len(order))), (False, offset))
    seen = []
    for is_added, offset in order:
        for each in (tracker, looked_at):
            (each.add if is_added else each.finish)(offset)
        seen.append(looked_at.committable)
    assert seen == sorted(seen), "the commit never goes back"
    assert tracker.committable == looked_at.committable


@given(handed_out())
def test_handing_out_again_changes_nothing(case: tuple[int, list[int], list[int]]) -> None:
    committed, offsets, finished = case
    tracker = OffsetTracker(committed)
    for offset in offsets:
        tracker.add(offset)
    for offset in finished:
        tracker.finish(offset)
    before = tracker.committable
    for offset in offsets:
        tracker.add(offset)
    assert tracker.committable == before


@given(st.integers(0, 1000), st.lists(st.integers(0, 2000)))
def test_finishing_what_was_not_handed_out_does_nothing(committed: int, offsets: list[int]) -> None:
    tracker = OffsetTracker(committed)
    for offset in offsets:
        tracker.finish(offset)
    assert tracker.committable == committed


@given(handed_out())
def test_the_oldest_is_the_first_that_is_not_finished(case: tuple[int, list[int], list[int]]) -> None:
    committed, offsets, finished = case
    tracker = OffsetTracker(committed)
    for offset in offsets:
        tracker.add(offset, 10 * offset)
    for offset in finished:
        tracker.finish(offset)
    unfinished = sorted(set(offsets) - set(finished))
    assert tracker.oldest_ms == (10 * unfinished[0] if unfinished else None)
    assert tracker.held == len(offsets)
    assert tracker.committable <= (unfinished[0] if unfinished else 1 << 62)
    assert tracker.held == len([each for each in offsets if unfinished and each >= unfinished[0]])
