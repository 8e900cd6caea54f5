"""ONNX models for the predictor, right ones and wrong ones."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Value = tuple[str, int, Sequence[int | str]]  # name, element type, shape

FEATURES: Value = ("features", TensorProto.FLOAT, [1, "T", 14])
PROBABILITIES: Value = ("probabilities", TensorProto.FLOAT, [1, 4])


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[Value] = (FEATURES,),
    outputs: Sequence[Value] = (PROBABILITIES,),
    **constants: NDArray[np.float32] | NDArray[np.int64],
) -> Path:
    """Write a model of these nodes; `constants` are its initializers."""
    graph = helper.make_graph(
        nodes,
        "predictor",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def lstm(path: Path, look_back: int | str = "T", *, change_score: bool = False) -> Path:
    """A small LSTM over the windows, a dense layer, a softmax; weights at random, always the same ones."""
    random, hidden = np.random.default_rng(4), 8
    nodes = [
        helper.make_node("Transpose", ["features"], ["by_time"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["by_time", "w", "r"], ["", "last"], hidden_size=hidden),
        helper.make_node("Squeeze", ["last", "first_axis"], ["state"]),
        helper.make_node("MatMul", ["state", "dense"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    outputs = [PROBABILITIES]
    weights = {
        "w": random.normal(0, 0.3, (1, 4 * hidden, 14)).astype(np.float32),
        "r": random.normal(0, 0.3, (1, 4 * hidden, hidden)).astype(np.float32),
        "dense": random.normal(0, 1, (hidden, 4)).astype(np.float32),
    }
    if change_score:
        nodes += [
            helper.make_node("MatMul", ["state", "score"], ["raw"]),
            helper.make_node("Sigmoid", ["raw"], ["change_score"]),
        ]
        outputs.append(("change_score", TensorProto.FLOAT, [1, 1]))
        weights["score"] = random.normal(0, 1, (hidden, 1)).astype(np.float32)
    inputs = [("features", TensorProto.FLOAT, [1, look_back, 14])]
    return save(path, nodes, inputs, outputs, first_axis=np.array([0], np.int64), **weights)


def chosen(path: Path, operator: str | None = "Softmax", outputs: Sequence[Value] = (PROBABILITIES,)) -> Path:
    """Picks engagement, eyes closed, gaze away and hand raised of the last window, and ends with the operator."""
    nodes = [
        helper.make_node("Gather", ["features", "last"], ["window"], axis=1),
        helper.make_node("Slice", ["window", "zero", "four", "axis"], ["picked"]),
        helper.make_node(operator or "Identity", ["picked"], ["probabilities"]),
    ]
    return save(
        path,
        nodes,
        outputs=outputs,
        last=np.array(-1, np.int64),
        zero=np.array([0], np.int64),
        four=np.array([4], np.int64),
        axis=np.array([1], np.int64),
    )
