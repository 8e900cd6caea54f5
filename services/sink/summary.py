"""A session in a few numbers, from its metrics. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.rest import Summary


@dataclass(slots=True)
class Mean:
    """Of what was measurable; None where nothing was."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float | None) -> None:
        if value is not None:
            self.total += value
            self.count += 1

    @property
    def value(self) -> float | None:
        return self.total / self.count if self.count else None


@dataclass(slots=True)
class Summarizer:
    """Takes documents of `metrics` in any order and in any number of parts."""

    frames: int = 0
    measurable: int = 0
    blink_count: int = 0
    yawn_count: int = 0
    first_ms: int | None = None
    last_ms: int | None = None
    perclos: Mean = field(default_factory=Mean)
    engagement: Mean = field(default_factory=Mean)
    states: Counter[str] = field(default_factory=Counter)

    def add(self, documents: Iterable[Mapping[str, Any]]) -> None:
        for document in documents:
            at_ms = document["captured_at_ms"]
            self.frames += 1
            self.measurable += not document["insufficient_signal"]
            self.first_ms = at_ms if self.first_ms is None else min(self.first_ms, at_ms)
            self.last_ms = at_ms if self.last_ms is None else max(self.last_ms, at_ms)
            # The counters run through the session: the highest is the newest.
            self.blink_count = max(self.blink_count, document["blink_count"])
            self.yawn_count = max(self.yawn_count, document["yawn_count"])
            self.perclos.add(document.get("perclos"))
            self.engagement.add(document.get("engagement"))
            self.states[document["state"]] += 1

    def result(self, session_id: str) -> Summary:
        return Summary(
            session_id=session_id,
            frames_analyzed=self.frames,
            frames_measurable=self.measurable,
            duration_ms=(self.last_ms or 0) - (self.first_ms or 0),
            blink_count=self.blink_count,
            yawn_count=self.yawn_count,
            perclos_mean=self.perclos.value,
            engagement_mean=self.engagement.value,
            state_shares={state: count / self.frames for state, count in sorted(self.states.items())},
        )
