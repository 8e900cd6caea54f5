"""A user's ONNX model behind the predictions: what it is given, what it may say, and how a wrong one is refused."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from services.analyzer.domain.prediction import QUADRANTS, TYPICAL
from services.analyzer.domain.windows import FEATURES, Features
from services.analyzer.predictors.onnx import MOST_LOOK_BACK, OnnxPredictor
from services.analyzer.predictors.port import PredictionFailed, WrongModel
from tests.support.models import FEATURES as INPUT
from tests.support.models import PROBABILITIES, Value, chosen, lstm, save
from tests.support.needs import REPOSITORY
from tests.support.processes import RaptProcess

HIDE = REPOSITORY / "tests" / "support" / "hide"


def window(**changed: float | None) -> Features:
    return tuple(changed[name] if name in changed else TYPICAL[name][0] for name in FEATURES)


MOVES = [window(head_motion_deg_s=float(10 * n), engagement=n / 12) for n in range(12)]


@pytest.mark.parametrize(("look_back", "wanted"), [("T", MOST_LOOK_BACK), (4, 4), (1, 1)])
def test_an_lstm_predicts_from_the_last_windows(tmp_path: Path, look_back: int | str, wanted: int) -> None:
    predictor = OnnxPredictor(lstm(tmp_path / "mood.onnx", look_back))
    assert predictor.look_back == wanted
    assert predictor.name.startswith("onnx:mood@")
    guess = predictor.predict(MOVES)
    assert guess == predictor.predict(MOVES[-wanted:])
    assert guess.change_score is None
    assert guess.point is not None
    assert predictor.predict(MOVES[::-1]).point != guess.point


def test_a_fixed_number_of_windows_is_filled_up_with_the_first(tmp_path: Path) -> None:
    predictor = OnnxPredictor(lstm(tmp_path / "m.onnx", 4))
    assert predictor.predict(MOVES[:2]) == predictor.predict([MOVES[0], MOVES[0], *MOVES[:2]])


def test_the_change_score_may_be_the_models(tmp_path: Path) -> None:
    guess = OnnxPredictor(lstm(tmp_path / "m.onnx", change_score=True)).predict(MOVES)
    assert guess.change_score is not None
    assert 0 < guess.change_score < 1


@pytest.mark.parametrize("quadrant", range(4))
def test_the_most_probable_quadrant_counts(tmp_path: Path, quadrant: int) -> None:
    predictor = OnnxPredictor(chosen(tmp_path / "m.onnx"))
    names = FEATURES[:4]
    guess = predictor.predict([window(**{name: 9.0 * (name == names[quadrant]) for name in names})])
    assert guess.cluster_id == quadrant
    assert guess.point is not None
    assert ["H" if value > 0 else "L" for value in guess.point] == list(QUADRANTS[quadrant])


def test_what_was_not_measured_is_what_is_typical(tmp_path: Path) -> None:
    predictor = OnnxPredictor(lstm(tmp_path / "m.onnx"))
    assert predictor.predict([window(hand_raised=None, happy=None)]) == predictor.predict([window()])


def test_threads_share_a_predictor(tmp_path: Path) -> None:
    predictor = OnnxPredictor(lstm(tmp_path / "m.onnx"))
    recent = [MOVES[: n % 12 + 1] for n in range(200)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(predictor.predict, recent)) == [predictor.predict(each) for each in recent]


def test_a_window_that_the_model_fails_on_has_no_guess(tmp_path: Path) -> None:
    predictor = OnnxPredictor(chosen(tmp_path / "m.onnx"))
    with pytest.raises(PredictionFailed, match=r"'probabilities' is \[nan.*, wanted 4 of 0..1"):
        predictor.predict([window(engagement=float("nan"))])


# --- refusals ---


def identity(inputs: list[Value], outputs: list[Value]) -> Callable[[Path], Path]:
    """A model with these inputs and outputs, and nothing in between that would do."""
    nodes = [
        helper.make_node("ConstantOfShape", ["shape_" + name], [name], value=helper.make_tensor("v", kind, [1], [0]))
        for name, kind, _ in outputs
    ]
    shapes = {
        "shape_" + name: np.array([size if isinstance(size, int) else 1 for size in shape], np.int64)
        for name, _, shape in outputs
    }
    return lambda path: save(path, nodes, inputs, outputs, **shapes)


def written(content: bytes) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        path.write_bytes(content)
        return path

    return write


def broken(path: Path) -> Path:
    """Looks up a line of four by the greatest feature: a typical person blinks 17 times a minute."""
    nodes = [
        helper.make_node("ReduceMax", ["features"], ["greatest"], keepdims=0),
        helper.make_node("Cast", ["greatest"], ["line"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["line", "one"], ["lines"]),
        helper.make_node("Gather", ["table", "lines"], ["probabilities"]),
    ]
    return save(path, nodes, table=np.full((4, 4), 0.25, np.float32), one=np.array([1], np.int64))


F32, F64 = TensorProto.FLOAT, TensorProto.DOUBLE
INPUT_WANTED = r"wanted one input 'features', float32 \[1, T, 14\] with T from 1 to 12 or free"
OUTPUT_WANTED = r"wanted 'probabilities', float32 \[1, 4\]"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path, r"m\.onnx: there is no such file"),
        (lambda path: path.parent, r"there is no such file"),
        (written(b""), r"m\.onnx: not an ONNX model that can be loaded: "),
        (written(b"\xff\xd8\xff"), r"not an ONNX model that can be loaded: "),
        (
            identity([("x", F32, [1, "T", 14])], [PROBABILITIES]),
            rf"its input is 'x' tensor\(float\) .*; {INPUT_WANTED}",
        ),
        (identity([("features", F64, [1, "T", 14])], [PROBABILITIES]), rf"tensor\(double\).*; {INPUT_WANTED}"),
        (identity([("features", F32, [1, "T", 9])], [PROBABILITIES]), INPUT_WANTED),
        (identity([("features", F32, [1, "T", "F"])], [PROBABILITIES]), INPUT_WANTED),
        (identity([("features", F32, [1, 13, 14])], [PROBABILITIES]), INPUT_WANTED),
        (identity([("features", F32, [2, "T", 14])], [PROBABILITIES]), INPUT_WANTED),
        (identity([("features", F32, [1, 14])], [PROBABILITIES]), INPUT_WANTED),
        (identity([INPUT, ("h", F32, [1, 8])], [PROBABILITIES]), INPUT_WANTED),
        (identity([], [PROBABILITIES]), rf"its input is none; {INPUT_WANTED}"),
        (identity([INPUT], [("output", F32, [1, 4])]), rf"its outputs are 'output' .*; {OUTPUT_WANTED}"),
        (identity([INPUT], [("probabilities", F32, [1, 3])]), OUTPUT_WANTED),
        (identity([INPUT], [("probabilities", F32, [4])]), OUTPUT_WANTED),
        (identity([INPUT], [("probabilities", F64, [1, 4])]), OUTPUT_WANTED),
        (identity([INPUT], [PROBABILITIES, ("change_score", F32, [1, 2])]), r"wanted 'change_score', float32 \[1, 1\]"),
        (identity([INPUT], [PROBABILITIES]), r"'probabilities' is 0 in sum, wanted 1: end the model with a Softmax"),
        (lambda path: chosen(path, "Neg"), r"'probabilities' is \[-0\.9.*wanted 4 of 0\.\.1"),
        (lambda path: chosen(path, "Log"), r"'probabilities' is .*-inf.*, wanted 4 of 0\.\.1 \(tried with a typical"),
        (broken, r"the model failed: .*Gather.* \(tried with a typical person\)"),
    ],
)
def test_a_model_that_cannot_serve_is_refused(tmp_path: Path, make: Callable[[Path], Path], said: str) -> None:
    path = make(tmp_path / "m.onnx")
    with pytest.raises(WrongModel, match=said) as refused:
        OnnxPredictor(path)
    assert "\n" not in str(refused.value)


def test_without_onnxruntime_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(WrongModel, match=r"not installed; install rapt\[onnx\]"):
        OnnxPredictor(lstm(tmp_path / "m.onnx"))


@pytest.mark.parametrize(
    ("content", "environment", "said"),
    [
        (None, {}, r": .*m\.onnx: there is no such file; wanted an ONNX model"),
        (b"GIF89a", {}, r": .*m\.onnx: not an ONNX model that can be loaded: .*"),
        (b"", {"EMOTION_INFERENCE": "off"}, r" needs EMOTION_INFERENCE=on: .*"),
        (b"", {"RAPT_HIDE": "onnxruntime"}, r": it needs onnxruntime, which is not installed; install rapt\[onnx\]"),
    ],
)
def test_rapt_does_not_start_with_a_model_that_cannot_serve(
    tmp_path: Path, content: bytes | None, environment: dict[str, str], said: str
) -> None:
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    hide = {"PYTHONPATH": str(HIDE), "RAPT_HIDE": ""}
    process = RaptProcess("up", tmp_path / "data", {**hide, "PREDICTOR_MODEL": str(path), **environment})
    with pytest.raises(AssertionError, match=rf"ended with 1:\nrapt: PREDICTOR_MODEL{said}\n$"):
        process.start()
