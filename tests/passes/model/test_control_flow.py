"""Ifs of others are early exits where they can be; where not, what is said about them is true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from eecompile import api
from passes.errors import InputError, PassError
from passes.exits.chain import set_thresholds
from passes.exits.nest_exits import NestExits
from passes.exits.recognise import classifier_exits, recognise_exits
from passes.exits.split_stages import SplitStages
from passes.model.control_flow import NEW_CONDITION, check_thresholds_replaceable
from passes.model.graph import from_model, load
from passes.model.writing import save, to_model
from passes.registry import parse_pipeline
from passes.rewrite.rewriter import Array
from passes.state import state_of
from targets.network.workload import build_workload
from tests.needs import needs_torch
from tests.passes.equivalence import batch_of, run_model, softmax
from tests.passes.model.branching_nets import (
    both_compute,
    branching,
    flat,
    gated,
    head_inside,
    looped,
    no_ways,
    skips_a_block,
    with_behind,
)


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
    assert found.exits[0].threshold == pytest.approx(0.7)
    assert [d.reason for d in found.declined if d.subject == "if_0"] == [f"{NEW_CONDITION} (max_softmax 0.7)"]
    made = Counter(node.op_type for node in found.nodes)
    assert (made["Conv"], made["Gemm"], made["If"]) == (2, 2, 0)


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (lambda: with_behind(branching(), "Softmax"), [1, 3]),
        (lambda: with_behind(branching("less"), "Identity", "Softmax"), [1, 3]),
        (lambda: with_behind(branching(exits=2), "Identity", "Softmax"), [1, 3]),
        (lambda: with_behind(branching(exits=2), "ArgMax"), [1]),
        (lambda: with_behind(branching(), "ArgMax", "Cast"), [1]),
        (head_inside, [1, 3]),
        (lambda: with_behind(head_inside(), "Softmax"), [1, 3]),
    ],
)
def test_what_follows_an_if_follows_each_of_its_ways(
    build: Callable[[], onnx.ModelProto], shape: list[int]
) -> None:
    model = build()
    graph = from_model(model)
    count = len(graph.outputs)
    assert [list(t.shape) for t in graph.outputs] == [shape] * count
    assert [e.threshold for e in state_of(graph).leavings] == [pytest.approx(0.7)] * (count - 1)
    recognise_exits(graph)
    parse_pipeline("canonicalize,nest-exits")(graph)
    taken = set()
    for x in spread(model):
        logits, number, _ = run_model(to_model(graph), x)
        (expected,) = run_model(model, x)
        found = logits.argmax(axis=1) if shape == [1] else logits
        found = softmax(found) if state_of(graph).softmax else found
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        taken.add(int(number[0]))
    assert taken == set(range(count))


def test_what_is_computed_behind_the_compared_logits_has_no_threshold_of_theirs() -> None:
    model = with_behind(branching(), "Relu")
    graph = from_model(model)
    assert [e.threshold for e in state_of(graph).leavings] == [None]
    assert any("its threshold not taken over" in d.reason for d in state_of(graph).declined)
    for x in spread(model)[:8]:
        (expected,) = run_model(model, x)
        assert any(np.allclose(expected, found, atol=1e-5) for found in run_model(to_model(graph), x))


def spread(model: onnx.ModelProto) -> Array:
    """Return images of which some are easy: [24, 1, …]."""
    scales = np.linspace(0.02, 1.2, 24, dtype=np.float32).reshape(-1, 1, 1, 1)
    return (batch_of(model, 24) * scales)[:, np.newaxis]


@pytest.mark.parametrize("softmax_behind", [False, True])
@pytest.mark.parametrize("target", ["gap9", "diana", "edge_tpu_quad"])
def test_an_exit_that_computes_apart_costs_its_own_way(
    target: str, softmax_behind: bool, tmp_path: Path
) -> None:
    """In front of the If 4,608 MACs; 12 in the body that leaves, 9,228 in the other."""
    model = gated(weights=False)
    onnx.save(with_behind(model, "Softmax") if softmax_behind else model, tmp_path / "net.onnx")
    report = api.cost(tmp_path / "net.onnx", target)
    assert [e.cost.macs for e in report.exits] == [4608 + 12, 4608 + 9228]
    (skipped,) = [report.workload.layers[i] for i in report.planned.skipped if report.workload.layers[i].macs]
    assert skipped.macs == 12
    assert any("behind each other" in warning for warning in report.warnings)
    for number, path in enumerate(report.exits):
        assert sum(report.schedule.energy[number]) == pytest.approx(path.cost.energy_pj)
    assert report.exits[1].cost.energy_pj < report.planned.schedule.energy_pj
    assert report.total == report.exits[1].cost


def test_ways_of_equal_work_are_costed_each(tmp_path: Path) -> None:
    onnx.save(both_compute(), tmp_path / "net.onnx")
    assert [e.cost.macs for e in api.cost(tmp_path / "net.onnx", "gap9").exits] == [4620, 4620]


@pytest.mark.parametrize("wish", [{"speculate": True}, {"solver": "exact"}, {"schedule": "rows"}])
def test_what_is_of_prefixes_is_refused_for_exits_apart(wish: dict[str, Any], tmp_path: Path) -> None:
    onnx.save(gated(weights=False), tmp_path / "net.onnx")
    with pytest.raises(InputError, match="computes only where an input leaves"):
        api.cost(tmp_path / "net.onnx", "diana" if "schedule" in wish else "gap9", **wish)


def test_an_exit_apart_stays_apart_in_files_and_is_not_nested(tmp_path: Path) -> None:
    graph = from_model(gated(weights=False))
    recognise_exits(graph)
    again = load(save(graph, tmp_path / "net.onnx"))
    assert [e.apart for e in state_of(again).exits] == [True, False]
    for step in (NestExits(), SplitStages(0)):
        with pytest.raises(PassError, match="answer is computed only where an input leaves: exit_0"):
            step(again)


@pytest.mark.parametrize("ways", [2, 3])
def test_a_nested_network_of_ours_has_its_exits_back(ways: int, tmp_path: Path) -> None:
    graph = from_model(flat(ways - 1))
    recognise_exits(graph)
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    set_thresholds(graph, [0.5] * (ways - 1))
    before = state_of(graph).exits
    onnx.save(to_model(graph), tmp_path / "flat.onnx")
    NestExits()(graph)
    onnx.save(to_model(graph), tmp_path / "nested.onnx")
    costs = [api.cost(tmp_path / f"{name}.onnx", "gap9").exits for name in ("flat", "nested")]
    assert [e.cost for e in costs[0]] == [e.cost for e in costs[1]] and len(costs[1]) == ways
    found = api.inspect(tmp_path / "nested.onnx", "gap9").exits
    assert [(e.name, e.threshold, e.confidence) for e in found] == [
        (e.name, e.threshold, e.confidence) for e in before
    ]


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (
            lambda: gated(weights=True),
            r"If 'choice' .* its condition needs 1 layer with weights, 4 MACs that none",
        ),
        (skips_a_block, r"If 'choice' .*: 1 layer with weights, 12 MACs follow it whichever way is taken"),
        (no_ways, r"If 'choice' .* none of its ways has layers with weights of its own"),
        (lambda: looped("Loop", 3), r"Loop 'rounds' .* \(1 layer with weights, 16 MACs\) runs 3 times"),
        (lambda: looped("Loop", None), r"Loop 'rounds' .* how often its body .* depends on the image"),
        (lambda: looped("Scan", 5), r"Scan 'rounds' .* \(1 layer with weights, 16 MACs\) runs 5 times"),
    ],
)
def test_what_is_no_exit_says_what_its_ways_hold(build: Callable[[], onnx.ModelProto], reason: str) -> None:
    with pytest.raises(InputError, match=reason) as error:
        build_workload(from_model(build()))
    assert ("unrolled" in str(error.value)) == ("rounds" in reason)


@pytest.mark.parametrize("build", [skips_a_block, lambda: looped("Scan", 5)])
def test_inspect_says_the_same_and_does_not_fail(
    build: Callable[[], onnx.ModelProto], tmp_path: Path
) -> None:
    onnx.save(build(), tmp_path / "net.onnx")
    (note,) = [n for n in api.inspect(tmp_path / "net.onnx", "gap9").notes if n.startswith("placement")]
    assert "is control flow" in note and "with weights" in note


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: branching("greater"), ""),
        (lambda: branching("less"), ""),
        (lambda: branching("largest_logit"), ""),
        (lambda: branching("and"), "If 'if_0' is .* its condition is no comparison with a constant"),
        (lambda: gated(weights=False), "If 'choice' is .* its answer is computed only where an input leaves"),
    ],
)
def test_thresholds_replace_comparisons_only(build: Callable[[], onnx.ModelProto], reason: str) -> None:
    graph = from_model(build())
    if not reason:
        check_thresholds_replaceable(graph, "net")
        return
    with pytest.raises(InputError, match=reason) as error:
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
@pytest.mark.parametrize("name", ["cond", "head_inside", "scripted", "two_exits"])
def test_what_torch_exports_decides_alike_when_nested_again(name: str, tmp_path: Path) -> None:
    from tests.passes.model import torch_branching

    if name in torch_branching.NEWER:
        pytest.importorskip("onnxscript")
    model = torch_branching.exported(name, tmp_path / "net.onnx")
    asked = torch_branching.CONDITIONS[name]
    exits = api.inspect(tmp_path / "net.onnx", "gap9").exits
    assert [e.confidence.name for e in exits[:-1]] == [rule for rule, _ in asked]
    assert [e.threshold for e in exits[:-1]] == [pytest.approx(limit) for _, limit in asked]
    macs = [e.cost.macs for e in api.cost(tmp_path / "net.onnx", "gap9").exits]
    deeper = 4 * 4 * 9 * 64 + 12
    assert macs == [4620 + deeper * number for number in range(len(asked) + 1)]
    api.opt(tmp_path / "net.onnx", "canonicalize,nest-exits", out=tmp_path / "nested.onnx")
    nested = onnx.load(tmp_path / "nested.onnx")
    apart = {p.key: p.value for p in nested.metadata_props}.get("eecompile.softmax") == "true"
    assert apart == (name in ("head_inside", "two_exits"))
    taken = set()
    for x in 4 * spread(model):
        logits, number, _ = run_model(nested, x)
        expected = run_model(model, x)[0]
        np.testing.assert_allclose(softmax(logits) if apart else logits, expected, rtol=1e-4, atol=1e-5)
        taken.add(int(number[0]))
    assert taken == set(range(len(asked) + 1))


@needs_torch
def test_run_chooses_new_thresholds_or_refuses_before_the_work(tmp_path: Path) -> None:
    data = images(tmp_path / "images.npz")
    for kind in ("entropy", "largest_logit", "and"):
        onnx.save(branching(kind), str(tmp_path / f"{kind}.onnx"))
    for kind, rule in (("entropy", "entropy"), ("largest_logit", "max_softmax")):
        result = api.run(
            tmp_path / f"{kind}.onnx", target="gap9", data=data, out=tmp_path / kind, max_drop=90.0,
            optimistic=True, preprocess="raw",
        )  # fmt: skip
        assert result.passed and len(result.summary.exits) == 2
        assert result.summary.exits[0].threshold is not None
        (early, _) = state_of(load(tmp_path / kind / "model.exits.onnx")).exits
        assert early.confidence.name == rule
        forms = [api.cost(tmp_path / kind / f"model.{form}.onnx", "gap9") for form in ("lowered", "dynamic")]
        assert [e.cost for e in forms[0].exits] == [e.cost for e in forms[1].exits]
    with pytest.raises(InputError, match="is no comparison with a constant"):
        api.run(tmp_path / "and.onnx", target="gap9", data=data, out=tmp_path / "other")
    assert not (tmp_path / "other").exists()
