"""Networks that came quantized against the rules of targets: kept where they fit, else the rules by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from eecompile.quantization.kept_grids import calibrate_added, check_mounts, is_kept, kept_wish
from eecompile.quantization.wishes import SchemeWish
from eecompile.run.prepare import prepare
from passes.errors import InputError
from passes.exits.insert_exits import InsertExits
from passes.integers.quantize import to_integers
from passes.state import Exit, copy_graph, state_of
from targets.contract.registry import load_target
from targets.objective import EDP
from tests.passes.quantized_nets import GRIDS, QuantizedNet, images

FREE = {name: (step * 0.9, 0, "int8") for name, (step, _, _) in GRIDS.items()}
CHANNELS = {"first": tuple(0.001 * k for k in range(1, 9))}
BYTES: dict[str, Any] = {
    "grids": FREE | dict.fromkeys(("first", "sum", "pooled", "mean"), (0.09, 0, "uint8")),
    "relu": False,
}
LOWEST = np.full((8, 3, 3, 3), -128, np.int8)


def prepared(folder: Path, target: str, **made: Any) -> Any:
    path = folder / "net.onnx"
    onnx.save(QuantizedNet(**made).model(), path)
    return prepare(path, load_target(target), EDP, None, "auto", keep=True)


@pytest.mark.parametrize(
    ("target", "made", "schemes"),
    [
        ("diana", {}, {"int8-pow2"}),
        ("max78000", {}, {"int8-pow2"}),
        ("gap9", {"grids": FREE, "steps": CHANNELS}, {"int7-channel"}),
        ("gap9", {"weights": {"first": LOWEST // 16}}, {"int5-channel", "int7-channel"}),
        ("edge_tpu_quad", BYTES, {"uint8-channel"}),
    ],
)
def test_what_a_target_computes_with_is_kept(
    tmp_path: Path, target: str, made: dict[str, Any], schemes: set[str]
) -> None:
    found = prepared(tmp_path, target, **made)
    assert found.kept
    wish = kept_wish(found.graph, found.target, SchemeWish())
    assert {*wish.chosen.values()} == schemes, "the fewest bits that hold the integers"


@pytest.mark.parametrize(
    ("target", "made", "layers", "words"),
    [
        ("diana", {"grids": {"sum": (0.1, 0, "int8"), "pooled": (0.1, 0, "int8")}}, "'add_0'",
         "its values have steps that are no powers of two"),
        ("diana", {"steps": {"first": 0.003}}, "'conv_0'", "its weights have steps that are no powers"),
        ("diana", {"steps": {"first": (1 / 256,) * 8}}, "'conv_0'", "one step per channel, where all share"),
        ("diana", {"grids": {"first": (2.0**-14, 0, "int8")}}, "'conv_0'", "only shifts right"),
        ("diana", {"grids": {"image": (1 / 32, 5, "int8")}}, "the input",
         "integers from -133 to 122 about the zero point 5, where there are -128 to 127"),
        ("gap9", {"weights": {"first": LOWEST}}, "'conv_0'", "its weights have integers from -128"),
        ("gap9", {"zeros": {"second": 3}}, "'conv_1'", "its weights have a zero point of 3"),
        ("gap9", {"grids": {"second": (1 / 4096, 0, "int16")}}, "'conv_1'", "integers of 16 bits"),
        ("edge_tpu_quad", {"grids": {"second": (1 / 4096, 0, "int16")}}, "'conv_1'", "integers of 16 bits"),
        ("edge_tpu_quad", {"grids": {"second": None}}, "'conv_1'", "its result has no grid"),
        ("edge_tpu_quad", {"biases": {"last": "float"}}, "'gemm_0'", "its bias has no grid"),
        ("edge_tpu_quad", {"grids": {"image": None}}, "the input", "it has no grid"),
        ("gap9", {"grids": dict.fromkeys(GRIDS)}, "'conv_0', 'conv_1', 'add_0'", "its result has no grid"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_with_its_layers_and_its_rule(
    tmp_path: Path, target: str, made: dict[str, Any], layers: str, words: str
) -> None:
    with pytest.raises(InputError) as caught:
        prepared(tmp_path, target, **made)
    message = caught.value.message
    assert f"{target} cannot compute with its integers: " in message
    told = message.partition(": ")[2].split("; ")
    assert any(rule.startswith(layers) and words in rule for rule in told), told
    assert "`requantize`" in caught.value.hint


def test_layers_of_one_rule_are_told_together(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'conv_0', 'conv_1', 'gemm_0': its weights have steps that are no"):
        prepared(tmp_path, "diana", steps={"first": 0.003, "second": 0.003, "last": 0.01})


@pytest.mark.parametrize("target", ["diana", "gap9"])
def test_exits_get_grids_and_nothing_of_the_file_moves(tmp_path: Path, target: str) -> None:
    found = prepared(tmp_path, target)
    graph = copy_graph(found.graph)
    InsertExits(("relu_0",), "linear")(graph)
    given, weights = dict(state_of(graph).grids), {}
    for node in found.graph.nodes:
        if node.op in ("Conv", "Gemm"):
            weights[node.name] = [np.array(t.values) for t in node.inputs[1:]]
    wish = SchemeWish(bits={"head": 4}) if target == "gap9" else SchemeWish()
    schemes, done = calibrate_added(graph, found.target, EDP, images(40), "least-squares", wish)
    grids = state_of(graph).grids
    assert given.items() < grids.items(), "those of the head are new"
    assert {*done.rounding} == {
        node.name for node in graph.nodes if "exit_0" in node.name and node.op == "Gemm"
    }
    for node in graph.nodes:
        if node.name in weights:
            assert all(
                np.array_equal(t.values, before)
                for t, before in zip(node.inputs[1:], weights[node.name], strict=True)
            )
    head = next(node for node in graph.nodes if node.name in done.rounding)
    grid = grids[head.inputs[1].name]
    integers = to_integers(head.inputs[1].values, grid).astype(int) - grid.zero_point
    assert np.abs(integers).max() <= (7 if target == "gap9" else 128) and integers.any()
    assert ("int4-channel" in schemes) == (target == "gap9")


def test_an_exit_cannot_read_what_stays_in_the_accumulator(tmp_path: Path) -> None:
    graph = copy_graph(prepared(tmp_path, "gap9").graph)
    assert is_kept(graph)
    InsertExits(("relu_0",), "linear")(graph)
    check_mounts(graph)
    mount = next(node for node in graph.nodes if node.op == "Relu")
    head = next(node for node in mount.outputs[0].outputs if "exit_0" in node.name)
    head.inputs[0] = mount.inputs[0]
    state = state_of(graph)
    state.exits = [Exit("exit_0", mount.inputs[0].name, state.exits[0].output), state.exits[1]]
    with pytest.raises(InputError, match="keeps in sums"):
        check_mounts(graph)
