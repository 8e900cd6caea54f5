"""Whose word counts."""

from hypothesis import given
from hypothesis import strategies as st

from services.runtime.epochs import NewestEpochs


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5))))
def test_a_word_counts_unless_a_later_owner_spoke_before(words: list[tuple[str, int]]) -> None:
    heard = NewestEpochs()
    for number, (whose, epoch) in enumerate(words):
        before = [earlier for who, earlier in words[:number] if who == whose]
        assert heard.counts(whose, epoch) == (epoch == 0 or epoch >= max(before, default=0))


def test_the_longest_silent_is_forgotten_first() -> None:
    heard = NewestEpochs(most=2)
    for whose in ("a", "b", "a", "c"):
        heard.counts(whose, 2)
    assert [heard.counts(whose, 1) for whose in ("a", "c", "b")] == [False, False, True]
