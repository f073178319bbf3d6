"""A quantized file and what is written of it again: the same integers, or what would differ, in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnxruntime
import pytest
from onnx import helper

from passes.integers.file_grids import Misfit, keep_grids
from passes.integers.to_float import is_quantized, to_float
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from tests.passes.quantized_nets import GRIDS, QuantizedNet, images, with_logits

# Steps whose ratios put no sum half way between two integers, where runtimes differ.
ANYWHERE = {
    name: (step * (0.83 + 0.017 * n), 3, "int8") for n, (name, (step, _, _)) in enumerate(GRIDS.items())
}
BYTES = {name: (step, 131, "uint8") for name, (step, _, _) in ANYWHERE.items()}
DROPPED = BYTES | dict.fromkeys(("first", "sum", "pooled", "mean"), (0.09, 0, "uint8"))
ANYWHERE["pooled"], BYTES["pooled"] = ANYWHERE["sum"], BYTES["sum"]
CHANNELS = {"first": tuple(0.001 * k for k in range(1, 9)), "last": (0.01, 0.02, 0.015, 0.03)}
KEPT: dict[str, dict[str, Any]] = {
    "powers of two": {},
    "zero points anywhere": {"grids": ANYWHERE},
    "a Relu that saturation does": {"grids": DROPPED, "relu": False},
    "steps per channel": {"steps": CHANNELS},
    "logits in float": {"grids": {"logits": None}},
    "an input of bytes": {"grids": {"image": (1 / 64, 128, "uint8")}, "given": "uint8"},
}


def kept(model: onnx.ModelProto) -> tuple[gs.Graph, tuple[Misfit, ...]]:
    graph = from_model(model)
    found = to_float(graph)
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    assert not is_quantized(graph)
    return graph, keep_grids(graph, found)


def answers(model: onnx.ModelProto, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return np.concatenate([session.run(None, {"image": x[k : k + 1]})[0] for k in range(len(x))])


def integers(model: onnx.ModelProto) -> list[tuple[str, bytes]]:
    """Return all integers of weights and biases of a file, in an order that names do not decide."""
    arrays = [onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    return sorted((str(a.dtype), a.tobytes()) for a in arrays if a.dtype.kind in "iu" and a.ndim > 1)


@pytest.mark.parametrize("case", KEPT)
def test_what_is_written_again_answers_to_the_bit_as_the_file_does(case: str) -> None:
    model = QuantizedNet(**KEPT[case]).model()
    graph, misfits = kept(model)
    assert not misfits
    x = images(48)
    given = x
    if "given" in KEPT[case]:
        step, zero, dtype = KEPT[case]["grids"]["image"]
        given = np.clip(np.rint(x / np.float32(step)) + zero, 0, 255).astype(dtype)
    theirs = answers(with_logits(model), given)
    assert len(np.unique(theirs)) > 40, "there is something to tell apart"
    assert (answers(to_model(graph), x) != theirs).any(), "in float nothing is rounded"
    parse_pipeline("quantize")(graph)
    assert np.array_equal(answers(to_model(graph), x), theirs)
    assert integers(to_model(graph)) == integers(model)
    parse_pipeline("fold-qdq")(graph)
    assert np.array_equal(answers(to_model(graph), x), theirs)


def test_our_own_files_are_read_as_they_were_written() -> None:
    graph, _ = kept(QuantizedNet().model())
    grids = state_of(graph).grids
    name = next(n for n in grids if n == "r1")
    grids[name] = type(grids[name])(grids[name].scale, 0, -64, 63, "int8")  # narrower than its type
    parse_pipeline("quantize")(graph)
    again, misfits = kept(to_model(graph))
    assert not misfits and state_of(again).grids[name] == grids[name]
    x = images(16)
    theirs = answers(to_model(graph), x)
    parse_pipeline("quantize")(again)
    assert np.array_equal(answers(to_model(again), x), theirs)


def with_op(after: str, op: str, *constants: float, **attrs: Any) -> onnx.ModelProto:
    """Return the network with one operator more behind what a layer computes, in front of its rounding."""
    model = QuantizedNet().model()
    nodes = model.graph.node
    place = next(
        i for i, node in enumerate(nodes) if node.op_type == "QuantizeLinear" and node.input[0] == after
    )
    names = []
    for number, value in enumerate(constants):
        names.append(f"extra_{number}")
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value, np.float32), names[-1]))
    nodes[place].input[0] = "more"
    nodes.insert(place, helper.make_node(op, [after, *names], ["more"], "n_more", **attrs))
    return model


def rounded_twice() -> onnx.ModelProto:
    """Return the network with a result that is rounded, scaled and rounded again."""
    model = with_op("second", "Mul", 0.5)
    nodes = model.graph.node
    place = next(i for i, node in enumerate(nodes) if node.name == "n_more")
    nodes.insert(
        place, helper.make_node("DequantizeLinear", ["twice", "second_s", "second_z"], ["wide"], "w")
    )
    nodes.insert(
        place, helper.make_node("QuantizeLinear", ["second", "second_s", "second_z"], ["twice"], "t")
    )
    next(node for node in nodes if node.name == "n_more").input[0] = "wide"
    return model


def read_in_float() -> onnx.ModelProto:
    model = QuantizedNet().model()
    next(node for node in model.graph.node if node.op_type == "Add").input[0] = "r1"
    return model


def constant_in_integers() -> onnx.ModelProto:
    model = QuantizedNet().model()
    next(node for node in model.graph.node if node.op_type == "Add").input[0] = "first_bb"
    made: dict[str, Any] = {"ci": np.ones((1, 8, 1, 1), np.int8), "cs": np.array(0.1, np.float32)}
    for name, values in made.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    model.graph.node.insert(0, helper.make_node("DequantizeLinear", ["ci", "cs"], ["first_bb"], "c"))
    return model


MISFITS: dict[str, tuple[dict[str, Any] | Any, str, str]] = {
    "bias in float": ({"biases": {"second": "float"}}, "n_second", "its bias has no grid"),
    "bias on another grid": ({"biases": {"last": 2.0}}, "n_logits", "input step x weight step"),
    "bias of many bits": ({"biases": {"first": "large"}}, "n_c1", "24 bits"),
    "moved to another grid": ({"grids": {"pooled": (0.1, 0, "int8")}}, "n_pooled", "another grid"),
    "zero points per channel": (
        {"zeros": {"first": np.arange(8)}, "steps": CHANNELS}, "n_c1", "a zero point per channel"
    ),
    "scaled behind its layer": (lambda: with_op("second", "Mul", 0.5), "n_second", "what stands beside it"),
    "rounded in the middle of a layer": (rounded_twice, "n_second", "becomes a part of the layer"),
    "read in float too": (read_in_float, "n_r1", "read in float too"),
    "another constant": (constant_in_integers, "n_a", "reads a constant in integers"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISFITS)
def test_what_would_differ_is_told_with_its_node(case: str) -> None:
    made, node, words = MISFITS[case]
    _, misfits = kept(QuantizedNet(**made).model() if isinstance(made, dict) else made())
    assert any(m.subject == node and words in m.rule for m in misfits), misfits


def test_a_layer_that_was_left_in_float_has_no_grid_for_its_weights() -> None:
    model = QuantizedNet().model()
    conv = next(node for node in model.graph.node if node.name == "n_c1")
    values = np.random.default_rng(0).normal(0, 0.1, (8, 3, 3, 3)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(values, "plain"))
    conv.input[1] = "plain"
    _, misfits = kept(model)
    assert [m.rule for m in misfits if m.subject == "n_c1"] == ["its weights are in float"]


def test_the_float_form_is_not_bound_to_its_file() -> None:
    graph, _ = kept(QuantizedNet().model())
    before = dict(state_of(graph).grids)
    copy = copy_graph(graph)
    state_of(copy).grids.clear()
    assert state_of(graph).grids == before
