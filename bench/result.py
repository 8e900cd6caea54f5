"""One claim, measured: ours beside a baseline of the same run, and the goal it is held against."""

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Claim:
    """`value` is a ratio or an absolute figure in `unit`; the goal is a bound on it."""

    name: str
    value: float
    unit: str
    bound: Literal["at least", "at most"]
    goal: float
    ours: str
    baseline: str = ""

    @property
    def holds(self) -> bool:
        return self.value >= self.goal if self.bound == "at least" else self.value <= self.goal

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "holds": self.holds}
