"""A window that is over becomes a `Prediction`, by the predictor that the session may have."""

from dataclasses import dataclass

import structlog

from schemas.events import Prediction
from services.analyzer.domain.prediction import EMOTIONS, QUADRANTS, Concluded, Guess
from services.analyzer.domain.windows import BEHAVIOUR, FEATURES
from services.analyzer.predictors import builtin
from services.analyzer.predictors.port import PredictionFailed, Predictor

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Predictors:
    """`emotional` where emotions may be inferred of the person, `behavioural` where not."""

    emotional: Predictor = builtin.QUADRANTS
    behavioural: Predictor = builtin.BEHAVIOUR

    def predict(self, session_id: str, concluded: Concluded) -> tuple[Prediction, bool]:
        """The window's prediction, and whether the predictor gave one: where it failed, what was measured is left.

        Expressions are measured only where emotions may be inferred of this person. A window in which they were not has
        neither them nor what would follow from them.
        """
        expressed = None not in concluded.window.features[len(BEHAVIOUR) :]
        predictor = self.emotional if expressed else self.behavioural
        guess: Guess | None = None
        try:
            guess = predictor.predict(concluded.recent)
        except PredictionFailed as error:
            logger.error("a window is not predicted", session_id=session_id, model=predictor.name, error=str(error))
        window = concluded.window
        names = FEATURES if expressed else BEHAVIOUR
        score = concluded.change_score
        if guess is not None and guess.change_score is not None:
            score = round(guess.change_score, 4)
        prediction = Prediction(
            session_id=session_id,
            window=window.index,
            from_ms=window.from_ms,
            to_ms=window.to_ms,
            features=dict(zip(names, window.features, strict=False)),
            change_score=score,
            cluster_id=guess.cluster_id if guess else None,
            model=predictor.name,
        )
        if guess is None or guess.point is None:
            return prediction, guess is not None
        quadrant = QUADRANTS[guess.cluster_id]
        called, color = EMOTIONS[quadrant]
        arousal, valence = (round(value, 4) for value in guess.point)
        emotional = {"arousal": arousal, "valence": valence, "probe": quadrant, "emotion": called, "color": color}
        return prediction.model_copy(update=emotional), True
