"""Ifs of others are early exits where they can be; where not, what is said about them is true."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from eecompile import api
from passes.errors import InputError
from passes.exits.recognise import classifier_exits
from passes.model.control_flow import NEW_CONDITION, OTHER_CONDITION, check_thresholds_replaceable
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import state_of
from targets.network.workload import build_workload
from tests.needs import needs_torch
from tests.passes.equivalence import batch_of, run_model
from tests.passes.model.branching_nets import both_compute, branching, flat, not_the_outputs


@pytest.mark.parametrize("exits", [1, 2])
@pytest.mark.parametrize("kind", ["greater", "less", "and"])
def test_every_way_is_an_output(kind: str, exits: int) -> None:
    model = branching(kind, exits)
    graph = from_model(model)
    assert len(graph.outputs) == exits + 1
    assert not {"If", "Greater", "Less", "And", "ReduceMax"} & {node.op for node in graph.nodes}
    names = [node.name for node in graph.nodes]
    assert len(set(names)) == len(names) == len(state_of(graph).origins.keys() & set(names))
    found = set()
    for x in batch_of(model, 20)[:, np.newaxis]:
        (taken,) = run_model(model, x)
        logits = run_model(to_model(graph), x)
        near = [i for i, value in enumerate(logits) if np.allclose(value, taken, rtol=1e-4, atol=1e-5)]
        assert near, "the network's answer is that of one of its exits"
        found.update(near)
    assert 0 in found


def test_results_beside_the_logits_are_left_out() -> None:
    model = branching()
    (node,) = [node for node in model.graph.node if node.op_type == "If"]
    node.output.append("number")
    for attribute in node.attribute:
        value = onnx.numpy_helper.from_array(np.array([len(attribute.name)], np.int64))
        body = attribute.g
        body.node.append(onnx.helper.make_node("Constant", [], [f"{body.name}_number"], value=value))
        made = (f"{body.name}_number", onnx.TensorProto.INT64, [1])
        body.output.append(onnx.helper.make_tensor_value_info(*made))
    model.graph.output.append(onnx.helper.make_tensor_value_info("number", onnx.TensorProto.INT64, [1]))
    graph = from_model(model)
    assert [list(t.shape) for t in graph.outputs] == [[1, 3], [1, 3]]
    assert {d.subject for d in state_of(graph).declined} == {"if_0", "number"}


@pytest.mark.parametrize("softmax", [True, False])
def test_names_of_bodies_may_be_the_same(softmax: bool) -> None:
    """Bodies beside each other may name their tensors alike; both may end in Softmax."""
    model = branching()
    (node,) = [node for node in model.graph.node if node.op_type == "If"]
    for attribute in node.attribute:
        body = attribute.g
        op = "Softmax" if softmax else "Relu"
        body.node.append(onnx.helper.make_node(op, [body.output[0].name], ["same"], name="same"))
        body.output[0].name = "same"
    graph = from_model(model)
    assert len({t.name for t in graph.outputs}) == 2
    x = batch_of(model, 1)
    (taken,) = run_model(model, x)
    assert any(np.allclose(taken, value, atol=1e-5) for value in run_model(to_model(graph), x))
    parse_pipeline("canonicalize")(graph)
    assert [e.name for e in classifier_exits(graph)] == ["exit_0", "final"]
    assert ("Softmax" in {node.op for node in graph.nodes}) is False


@pytest.mark.parametrize("exits", [1, 2])
def test_ways_cost_what_they_cost_without_if(exits: int, tmp_path: Path) -> None:
    costs = []
    for name, model in (("if", branching(exits=exits)), ("flat", flat(exits))):
        onnx.save(model, str(tmp_path / f"{name}.onnx"))
        costs.append(api.cost(tmp_path / f"{name}.onnx", "gap9"))
    assert [e.cost.macs for e in costs[0].exits] == [e.cost.macs for e in costs[1].exits]
    assert [e.cost.latency_cycles for e in costs[0].exits] == [e.cost.latency_cycles for e in costs[1].exits]
    assert len(costs[0].exits) == exits + 1


def test_inspect_shows_the_exit_and_where_it_comes_from(tmp_path: Path) -> None:
    onnx.save(branching(), str(tmp_path / "net.onnx"))
    found = api.inspect(tmp_path / "net.onnx", "gap9")
    assert (len(found.exits), found.exits_from, found.classes, found.notes) == (2, "recognised", 3, ())
    assert [d.reason for d in found.declined if d.subject == "if_0"] == [NEW_CONDITION]


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (both_compute, r"If 'choice' .* both its ways compute \(1 and 1 layers with weights\)"),
        (not_the_outputs, r"If 'if_0' .* ways have 0 and 2 layers .* results are not the outputs"),
    ],
)
def test_what_is_no_exit_says_what_its_ways_hold(build: Callable[[], onnx.ModelProto], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        build_workload(from_model(build()))


def test_thresholds_replace_comparisons_only() -> None:
    for kind, reason in (("greater", NEW_CONDITION), ("less", NEW_CONDITION), ("and", OTHER_CONDITION)):
        graph = from_model(branching(kind))
        assert [d.reason for d in state_of(graph).declined] == [reason]
        if kind != "and":
            check_thresholds_replaceable(graph, "net")
            continue
        with pytest.raises(InputError, match="condition of If 'if_0' is no comparison") as error:
            check_thresholds_replaceable(graph, "net")
        assert "without `data` the costs" in str(error.value)


def images(path: Path) -> str:
    rng = np.random.default_rng(1)
    arrays: dict[str, Any] = {}
    for name, count in {"train": 32, "val": 32, "test": 32}.items():
        arrays[f"{name}_x"] = rng.normal(size=(count, 2, 8, 8)).astype(np.float32)
        arrays[f"{name}_y"] = np.arange(count) % 3
    np.savez(path, **arrays)
    return str(path)


@needs_torch
def test_run_chooses_new_thresholds_or_refuses_before_the_work(tmp_path: Path) -> None:
    data = images(tmp_path / "images.npz")
    for kind in ("greater", "and"):
        onnx.save(branching(kind), str(tmp_path / f"{kind}.onnx"))
    result = api.run(
        tmp_path / "greater.onnx", target="gap9", data=data, out=tmp_path / "out", max_drop=90.0,
        optimistic=True, preprocess="raw",
    )  # fmt: skip
    assert result.passed and len(result.summary.exits) == 2
    assert result.summary.exits[0].threshold is not None
    with pytest.raises(InputError, match="is no comparison with a constant"):
        api.run(tmp_path / "and.onnx", target="gap9", data=data, out=tmp_path / "other")
    assert not (tmp_path / "other").exists()
