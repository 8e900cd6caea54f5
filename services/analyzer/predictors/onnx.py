"""A user's own model, in ONNX, instead of the built-in centroids.

Input `features`: float32 [1, T, 14], the features of the last T windows, oldest first, as `FEATURES` names them; what
could not be measured is what is typical. T is fixed by the model (1 to 12), or free: then as many as there are, up to
12. At a session's beginning a fixed T is filled up with the first window.
Outputs: `probabilities`, float32 [1, 4], of the quadrants LL, LH, HL, HH (arousal first), each 0..1 and 1 in sum; if
the model has it `change_score`, float32 [1, 1], 0..1. Others are not asked for.
"""

import hashlib
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.analyzer.domain.prediction import CENTROIDS, Guess, filled
from services.analyzer.domain.windows import FEATURES, Features
from services.analyzer.predictors.port import PredictionFailed, WrongModel

MOST_LOOK_BACK = 12
_INPUT, _PROBABILITIES, _CHANGE_SCORE = "features", "probabilities", "change_score"
_WANTED_INPUT = f"one input {_INPUT!r}, float32 [1, T, {len(FEATURES)}] with T from 1 to {MOST_LOOK_BACK} or free"
_SUM_TOLERANCE = 0.01


class OnnxPredictor:
    """Runs the model on one thread per call; stateless, so that threads may share it."""

    def __init__(self, path: Path) -> None:
        """Load and try the model. Raises `WrongModel` when it cannot serve."""
        self._session = _load(path)
        self._fixed, self.look_back = _check_input(path, self._session.get_inputs())
        self._outputs = _check_outputs(path, self._session.get_outputs())
        self.name = f"onnx:{path.stem}@{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
        typical: Features = (None,) * len(FEATURES)
        for length in {1, self.look_back}:
            try:
                self.predict([typical] * length)
            except PredictionFailed as error:
                raise WrongModel(f"{path}: {error} (tried with a typical person)") from None

    def predict(self, recent: Sequence[Features]) -> Guess:
        rows = [filled(features) for features in recent[-self.look_back :]]
        if self._fixed:
            rows = [rows[0]] * (self.look_back - len(rows)) + rows
        try:
            results = self._session.run(self._outputs, {_INPUT: np.array([rows], np.float32)})
        except Exception as error:  # whatever the model's operators come up with
            raise PredictionFailed(f"the model failed: {_first_line(error)}") from None
        probabilities = _numbers(_PROBABILITIES, results[0], len(CENTROIDS))
        if abs(sum(probabilities) - 1) > _SUM_TOLERANCE:
            raise PredictionFailed(
                f"{_PROBABILITIES!r} is {sum(probabilities):.3g} in sum, wanted 1: end the model with a Softmax"
            )
        score = _numbers(_CHANGE_SCORE, results[1], 1)[0] if len(results) > 1 else None
        # Where the centroids lie, weighted.
        arousal = sum(2 * centroid[0] * share for centroid, share in zip(CENTROIDS, probabilities, strict=True))
        valence = sum(2 * centroid[1] * share for centroid, share in zip(CENTROIDS, probabilities, strict=True))
        point = max(-1.0, min(1.0, arousal)), max(-1.0, min(1.0, valence))
        return Guess(probabilities.index(max(probabilities)), point, score)


def _load(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise WrongModel("it needs onnxruntime, which is not installed; install rapt[onnx]") from None
    if not path.is_file():
        raise WrongModel(f"{path}: there is no such file; wanted an ONNX model")
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # the analyzer has its threads already
    options.log_severity_level = 4  # what goes wrong is raised
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise WrongModel(f"{path}: not an ONNX model that can be loaded: {_first_line(error)}") from None


def _check_input(path: Path, inputs: Sequence[Any]) -> tuple[bool, int]:
    """Whether T is fixed, and how many windows are asked for."""
    if len(inputs) == 1 and (inputs[0].name, inputs[0].type) == (_INPUT, "tensor(float)"):
        shape = inputs[0].shape
        if len(shape) == 3 and _is(shape[0], 1) and shape[2] == len(FEATURES):
            if not isinstance(shape[1], int):
                return False, MOST_LOOK_BACK
            if 1 <= shape[1] <= MOST_LOOK_BACK:
                return True, shape[1]
    raise WrongModel(f"{path}: its input is {_described(inputs)}; wanted {_WANTED_INPUT}")


def _check_outputs(path: Path, outputs: Sequence[Any]) -> list[str]:
    """The outputs to ask for."""
    found = {output.name: output for output in outputs}
    wanted = {_PROBABILITIES: len(CENTROIDS), **({_CHANGE_SCORE: 1} if _CHANGE_SCORE in found else {})}
    for name, size in wanted.items():
        output = found.get(name)
        shape = [] if output is None else output.shape
        if output is None or output.type != "tensor(float)" or len(shape) != 2 or not all(map(_is, shape, (1, size))):
            wish = f"{name!r}, float32 [1, {size}]"
            raise WrongModel(f"{path}: its outputs are {_described(outputs)}; wanted {wish}")
    return list(wanted)


def _is(dimension: object, wanted: int) -> bool:
    """A free dimension (a name, or none) may be what is wanted."""
    return dimension == wanted or not isinstance(dimension, int)


def _described(values: Sequence[Any]) -> str:
    return ", ".join(f"{each.name!r} {each.type} {each.shape}" for each in values) or "none"


def _numbers(name: str, result: NDArray[np.float32], size: int) -> list[float]:
    """Raises `PredictionFailed` unless these are `size` numbers from 0 to 1."""
    numbers = [float(number) for number in np.ravel(result)]
    if len(numbers) != size or not all(isfinite(number) and -1e-6 <= number <= 1 + 1e-6 for number in numbers):
        said = ", ".join(f"{number:.3g}" for number in numbers[:8])
        raise PredictionFailed(f"{name!r} is [{said}], wanted {size} of 0..1")
    return [max(0.0, min(1.0, number)) for number in numbers]


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
