"""What is counted when measurements are compared with the truth. Each adds up over clips. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Self

from services.analyzer.evaluation.truth import Span


class Sum:
    """Adds up field by field."""

    def __add__(self, other: Self) -> Self:
        pairs = {each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)}  # type: ignore[arg-type]
        return type(self)(**pairs)


@dataclass(frozen=True)
class Tally(Sum):
    """Events that happened and were told (`hits`), that were `missed`, and that were told and did not happen."""

    hits: int = 0
    missed: int = 0
    false: int = 0

    @property
    def precision(self) -> float | None:
        return ratio(self.hits, self.hits + self.false)

    @property
    def recall(self) -> float | None:
        return ratio(self.hits, self.hits + self.missed)

    @property
    def f1(self) -> float | None:
        return ratio(2 * self.hits, 2 * self.hits + self.missed + self.false)


@dataclass(frozen=True)
class Share(Sum):
    part: float = 0
    whole: float = 0

    @property
    def value(self) -> float | None:
        return ratio(self.part, self.whole)


@dataclass(frozen=True)
class Delays(Sum):
    """How long after something happened it was told; `missed` are those that never were."""

    delays_s: tuple[float, ...] = ()
    missed: int = 0

    @property
    def mean_s(self) -> float | None:
        return ratio(sum(self.delays_s), len(self.delays_s))

    @property
    def longest_s(self) -> float | None:
        return max(self.delays_s, default=None)


@dataclass(frozen=True)
class Labels(Sum):
    """A label while it is held. `said` counts (truth, label) of the frames that have one; the rest say nothing.
    `segments` is the share of the held segments in which the label told most often is the right one."""

    said: Counter[tuple[str, str]] = field(default_factory=Counter)
    measured: Share = field(default=Share())
    segments: Share = field(default=Share())

    @property
    def accuracy(self) -> float | None:
        """Of the frames that have a label."""
        return ratio(sum(n for (truth, label), n in self.said.items() if truth == label), self.said.total())


def ratio(part: float, whole: float) -> float | None:
    """None for a share of nothing."""
    return part / whole if whole else None


def match(
    windows: Sequence[tuple[float, float]], told_s: Iterable[float]
) -> tuple[dict[int, float], list[int], list[float]]:
    """Pair each time with at most one window that holds it, as many pairs as there can be.

    Returns the time told for each matched window, the windows left over, and the times left over. Of the windows that
    are open the one that closes first is taken: the greedy choice, which is optimal for intervals.
    """
    matched: dict[int, float] = {}
    false: list[float] = []
    for at_s in sorted(told_s):
        holding = (i for i, (start_s, end_s) in enumerate(windows) if i not in matched and start_s <= at_s <= end_s)
        first = min(holding, key=lambda i: windows[i][1], default=None)
        if first is None:
            false.append(at_s)
        else:
            matched[first] = at_s
    return matched, [i for i in range(len(windows)) if i not in matched], false


def during(times_s: Iterable[float], spans: Iterable[Span], margin_s: float) -> Counter[str]:
    """What was going on at each of these times; `nothing` where nothing was."""
    known = list(spans)
    found: Counter[str] = Counter()
    for at_s in times_s:
        kinds = {span.kind for span in known if span.overlaps(at_s - margin_s, at_s + margin_s)}
        found.update(kinds or {"nothing"})
    return found
