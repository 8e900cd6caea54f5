"""What is counted when measurements are compared with the truth. Each figure adds up over clips. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

from services.analyzer.evaluation.truth import Span


class Sum:
    """Adds up field by field."""

    def __add__(self, other: Self) -> Self:
        names = [each.name for each in fields(self)]  # type: ignore[arg-type]
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in names})


@dataclass(frozen=True)
class Tally(Sum):
    """Events that happened and were told (`hits`), that were missed, and that were told and did not happen (false)."""

    hits: int = 0
    missed_at_s: tuple[float, ...] = ()
    false_at_s: tuple[float, ...] = ()

    @property
    def missed(self) -> int:
        return len(self.missed_at_s)

    @property
    def false(self) -> int:
        return len(self.false_at_s)

    @property
    def truth(self) -> int:
        return self.hits + self.missed

    @property
    def told(self) -> int:
        return self.hits + self.false

    @property
    def precision(self) -> float | None:
        return ratio(self.hits, self.told)

    @property
    def recall(self) -> float | None:
        return ratio(self.hits, self.truth)

    @property
    def f1(self) -> float | None:
        return ratio(2 * self.hits, self.truth + self.told)

    def plain(self) -> dict[str, Any]:
        counts = {"hits": self.hits, "missed": self.missed, "false": self.false}
        rates = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        return {**counts, **rates, "missed_at_s": self.missed_at_s, "false_at_s": self.false_at_s}


@dataclass(frozen=True)
class Share(Sum):
    part: int = 0
    whole: int = 0

    @property
    def value(self) -> float | None:
        return ratio(self.part, self.whole)

    def plain(self) -> dict[str, Any]:
        return {"part": self.part, "whole": self.whole, "share": self.value}


@dataclass(frozen=True)
class Mean(Sum):
    total: float = 0.0
    count: int = 0

    @property
    def value(self) -> float | None:
        return ratio(self.total, self.count)

    def plain(self) -> dict[str, Any]:
        return {"mean": self.value, "count": self.count}


@dataclass(frozen=True)
class Delays(Sum):
    """How long after something happened it was told; `never` counts those that were not told at all."""

    delays_s: tuple[float, ...] = ()
    never: int = 0

    @property
    def mean_s(self) -> float | None:
        return ratio(sum(self.delays_s), len(self.delays_s))

    @property
    def longest_s(self) -> float | None:
        """Infinite when one was never told."""
        return float("inf") if self.never else max(self.delays_s, default=None)

    def plain(self) -> dict[str, Any]:
        delays_s = [round(delay_s, 3) for delay_s in self.delays_s]
        return {
            "delays_s": delays_s,
            "mean_s": self.mean_s,
            "longest_s": max(delays_s, default=None),
            "never": self.never,
        }


@dataclass(frozen=True)
class Labels(Sum):
    """A label while it is held. `said` counts (truth, label) over the frames that have a label; `measured` is their
    share. `segments` are the held parts in which the label told most often is the right one."""

    said: Counter[tuple[str, str]] = field(default_factory=Counter)
    measured: Share = field(default=Share())
    segments: Share = field(default=Share())

    @property
    def accuracy(self) -> float | None:
        """Over the frames that have a label."""
        return ratio(sum(n for (truth, label), n in self.said.items() if truth == label), self.said.total())

    @property
    def wrong(self) -> Counter[str]:
        return Counter({f"{truth}→{label}": n for (truth, label), n in self.said.items() if truth != label})

    def plain(self) -> dict[str, Any]:
        said = [{"truth": truth, "said": label, "frames": n} for (truth, label), n in sorted(self.said.items())]
        told = {"measured": self.measured.plain(), "segments": self.segments.plain()}
        return {"accuracy": self.accuracy, **told, "said": said}


def ratio(part: float, whole: float) -> float | None:
    """None for a share of nothing."""
    return part / whole if whole else None


@dataclass(frozen=True, slots=True)
class Matched:
    """`hits`: the time that was told for each matched window, by the window's index; and what is left over."""

    hits: dict[int, float]
    missed: tuple[int, ...]
    false_s: tuple[float, ...]


def match(windows: Sequence[tuple[float, float]], told_s: Iterable[float]) -> Matched:
    """Pair each time with at most one window that holds it, and each window with at most one time: as many pairs as
    there can be.

    Of the open windows the one that closes first is taken: greedy, and optimal for intervals.
    """
    hits: dict[int, float] = {}
    false: list[float] = []
    for at_s in sorted(told_s):
        holding = (i for i, (start_s, end_s) in enumerate(windows) if i not in hits and start_s <= at_s <= end_s)
        first = min(holding, key=lambda i: windows[i][1], default=None)
        if first is None:
            false.append(at_s)
        else:
            hits[first] = at_s
    return Matched(hits, tuple(i for i in range(len(windows)) if i not in hits), tuple(false))


def during(times_s: Iterable[float], spans: Iterable[Span], margin_s: float) -> Counter[str]:
    """What was going on at each of these times; `nothing` where nothing was."""
    known = list(spans)
    found: Counter[str] = Counter()
    for at_s in times_s:
        kinds = {span.kind for span in known if span.overlaps(at_s - margin_s, at_s + margin_s)}
        found.update(kinds or {"nothing"})
    return found
