"""What the bench must not fall under. Raise a floor when the analyzer has become better for good."""

from dataclasses import dataclass
from typing import Literal

from services.analyzer.evaluation.report import number
from tests.accuracy.bench import RATES, Figures


@dataclass(frozen=True, slots=True)
class Floor:
    """`limits` at the rates of `RATES`."""

    figure: str
    side: Literal["≥", "≤"]
    limits: tuple[float, ...]

    def limit(self, fps: int) -> float:
        return self.limits[RATES.index(fps)]

    def fallen(self, figures: dict[int, Figures]) -> list[str]:
        """A line for each rate at which the figure is beyond its limit, or was not measured at all."""
        lines = []
        for fps in RATES:
            value, limit = figures[fps][self.figure], self.limit(fps)
            if value is None or (value < limit if self.side == "≥" else value > limit):
                lines.append(f"{self.figure} at {fps} fps is {number(value)}; wanted {self.side} {number(limit)}")
        return lines


FLOORS = (
    #     figure                               30    15    10    5 fps
    Floor("blink F1", "≥", (0.95, 0.95, 0.93, 0.90)),
    Floor("blink precision", "≥", (0.98, 0.98, 0.98, 0.98)),
    Floor("false blinks while the mouth moves", "≤", (0, 0, 0, 0)),
    Floor("yawn F1", "≥", (1, 1, 1, 1)),
    Floor("long closures found", "≥", (1, 1, 1, 1)),
    Floor("long closures, false", "≤", (0, 0, 0, 0)),
    Floor("long closure, longest delay, s", "≤", (0.2, 0.2, 0.25, 0.35)),
    Floor("yaw MAE, °", "≤", (2, 2, 2, 2)),
    Floor("pitch MAE, °", "≤", (2, 2, 2, 2)),
    Floor("roll MAE, °", "≤", (1, 1, 1, 1)),
    Floor("frames with a pose", "≥", (0.99, 0.99, 0.99, 0.99)),
    Floor("gaze accuracy", "≥", (0.8, 0.8, 0.8, 0.8)),
    Floor("frames with a gaze", "≥", (0.85, 0.85, 0.85, 0.85)),
    Floor("expression accuracy", "≥", (0.97, 0.97, 0.97, 0.97)),
    Floor("frames with an expression", "≥", (0.9, 0.9, 0.9, 0.9)),
    Floor("left, longest delay, s", "≤", (0.3, 0.3, 0.3, 0.4)),
    Floor("returned, longest delay, s", "≤", (0.5, 0.5, 0.5, 0.6)),
    Floor("raised hand F1", "≥", (1, 1, 1, 1)),
    Floor("hand raised, longest delay, s", "≤", (1, 1, 1, 1)),
    Floor("hand lowered, longest delay, s", "≤", (2, 2, 2, 2)),
    Floor("PERCLOS, largest error", "≤", (0.05, 0.05, 0.05, 0.05)),
    Floor("clear frames refused", "≤", (0.01, 0.01, 0.01, 0.01)),
    Floor("hidden frames refused", "≥", (0.99, 0.99, 0.99, 0.99)),
)
