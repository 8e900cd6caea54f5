"""`Predictor`: from the features of the last windows to a guess."""

from collections.abc import Sequence
from typing import Protocol

from services.analyzer.domain.prediction import Guess
from services.analyzer.domain.windows import Features


class WrongModel(Exception):
    """The user's model cannot serve: what is wrong, and what is wanted, in one line."""


class PredictionFailed(Exception):
    """This window has no guess; says why."""


class Predictor(Protocol):
    """Called from several threads at once, and keeps nothing between calls."""

    @property
    def name(self) -> str:
        """What `Prediction.model` says."""

    @property
    def look_back(self) -> int:
        """Windows that it wants to see, at most."""

    def predict(self, recent: Sequence[Features]) -> Guess:
        """Features of the last windows, the newest last; fewer than `look_back` at a session's beginning.

        Raises `PredictionFailed`.
        """
