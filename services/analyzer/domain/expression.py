"""What is remembered of a face's expressions. Apart from `emotion`, so that a state can be read where that is not
imported."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.events import Emotion
from services.analyzer.domain.geometry import Geometry

Measures = tuple[float, ...]  # as `emotion.MEASURES`
Scores = dict[Emotion, float]


@dataclass(frozen=True, slots=True)
class Expression:
    """`neutral` is this person's face at rest, as far as learned in `learned_ms`. `off` is by how much the face differs
    from it now, smoothed, and `emotion` what that was called; None where it cannot be told. `odd_ms`: for how long the
    face has looked unlike anyone's at rest. `seen_at_ms` is the last frame that was measured."""

    neutral: Measures | None = None
    learned_ms: float = 0.0
    off: Measures | None = None
    emotion: Emotion | None = None
    odd_ms: float = 0.0
    seen_at_ms: float | None = None


# How `emotion.see` looks from where it may not be imported.
See = Callable[[Expression, NDArray[np.float32], Geometry, float], tuple[Expression, Scores | None]]
