"""The documented centroids as predictors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.analyzer.domain.prediction import Guess, by_behaviour, by_quadrant
from services.analyzer.domain.windows import Features


@dataclass(frozen=True, slots=True)
class Centroids:
    """The nearest centroid of the last window alone."""

    name: str
    guess: Callable[[Features], Guess]
    look_back: int = 1

    def predict(self, recent: Sequence[Features]) -> Guess:
        return self.guess(recent[-1])


QUADRANTS = Centroids("centroids-1", by_quadrant)
BEHAVIOUR = Centroids("behaviour-1", by_behaviour)
