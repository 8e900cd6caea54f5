"""Keeping a rate: when the next frame is due, and which ones are too late to be taken at all. Pure."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Frame `number` is due `number / fps` seconds after `begun_s`."""

    begun_s: float
    fps: float

    def due_s(self, number: int) -> float:
        return self.begun_s + number / self.fps

    def next(self, number: int, now_s: float) -> int:
        """The frame after `number`, leaving out those whose successors are due already: a camera does not catch up."""
        latest_due = math.floor((now_s - self.begun_s) * self.fps + 1e-9)
        return max(number + 1, latest_due)
