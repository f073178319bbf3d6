"""A network is pruned to a goal on its schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile.data.dataset import Split
from eecompile.pruning import prune as pruning
from eecompile.pruning.goal import PruningGoal
from eecompile.pruning.prune import prune
from eecompile.run.prepare import cost_of
from eecompile.training.checkpoint import NOWHERE, Checkpoints
from eecompile.training.contract import Course, TrainingImages, TrainingLog
from eecompile.training.joint import train_jointly
from eecompile.training.recipe import PRUNED
from passes.errors import InputError
from passes.model.graph import from_model
from passes.registry import parse_pipeline
from targets.contract.registry import load_target
from targets.evaluation.report import CostReport
from targets.objective import LATENCY
from tests.eecompile.pruning.test_sensitivity import answered, images, network, whispering
from tests.eecompile.training.small import RAW
from tests.passes.net_builder import NetBuilder

BRIEF = replace(PRUNED, samples=48, least_epochs=1, batch=24, bfloat16="no")
COURSE = Course(0, lambda _: None, NOWHERE)
GAP9 = load_target("gap9", "", 1.0)


KNOWN: dict[tuple[object, ...], CostReport] = {}


def cost(graph: gs.Graph) -> CostReport:
    """Return the cost on gap9, found once for all networks of the same shape."""
    shape = tuple((node.op, *(tuple(t.shape) for t in node.inputs)) for node in graph.nodes)
    if shape not in KNOWN:
        KNOWN[shape] = cost_of(graph, GAP9, LATENCY)
    return KNOWN[shape]


def given() -> TrainingImages:
    split = images(24)
    return TrainingImages(split, Split(split.x[:8], split.y[:8]), RAW)


def test_each_round_goes_a_part_of_the_way_and_its_text_says_which_channels() -> None:
    graph = network()
    found = prune(graph, PruningGoal("cycles", 0.2), given(), BRIEF, COURSE, cost, rounds=2)
    whole = cost(graph).total.latency_cycles
    assert found.before == whole
    assert found.after == cost(found.graph).total.latency_cycles <= 0.8 * whole
    first, last = (told["cycles"] for told in found.rounds)
    assert last == found.after < first <= 0.9 * whole
    assert [len(told["training"]["epochs"]) for told in found.rounds] == [1, 2]
    shapes = network()
    for told in found.rounds:
        parse_pipeline("prune-channels{remove=" + "+".join(told["remove"]) + "}")(shapes)
    for node, other in zip(shapes.nodes, found.graph.nodes, strict=True):
        assert [t.shape for t in node.outputs] == [t.shape for t in other.outputs]
    assert not np.array_equal(
        graph.nodes[0].inputs[1].values.shape, found.graph.nodes[0].inputs[1].values.shape
    )


def test_a_pruning_that_was_interrupted_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rounds that were trained are read; what comes out is the same to the bit."""
    goal, lines = PruningGoal("energy", 0.15), list[str]()
    whole = prune(network(), goal, given(), BRIEF, COURSE, cost, rounds=2)

    def course(resume: bool) -> Course:
        return Course(0, lines.append, Checkpoints(tmp_path / "kept", {}, resume))

    with monkeypatch.context() as broken:
        broken.setattr(pruning, "train_jointly", _fails_the_second_time())
        with pytest.raises(RuntimeError, match="stopped"):
            prune(network(), goal, given(), BRIEF, course(resume=False), cost, rounds=2)
    lines.clear()
    found = prune(network(), goal, given(), BRIEF, course(resume=True), cost, rounds=2)
    assert "training: goes on after epoch 1 of 1" in lines, "that of the first round"
    for node, other in zip(found.graph.nodes, whole.graph.nodes, strict=True):
        for mine, theirs in zip(node.inputs, other.inputs, strict=True):
            if isinstance(mine, gs.Constant):
                np.testing.assert_array_equal(mine.values, theirs.values)


def _fails_the_second_time() -> Callable[..., TrainingLog]:
    calls: list[int] = []

    def train(*arguments: Any, **options: Any) -> TrainingLog:
        calls.append(1)
        if len(calls) > 1:
            raise RuntimeError("stopped")
        return train_jointly(*arguments, **options)

    return train


@pytest.mark.parametrize(("goal", "rounds"), [("cycles=-20%", 1), ("cycles=-60%", 2)])
def test_a_branch_that_is_hardly_heard_goes_first(goal: str, rounds: int) -> None:
    """What was removed, as texts of passes, gives the same network; channels go beside where they have to."""
    graph = whispering()
    split = answered(graph, images(96))
    seen = TrainingImages(split, Split(split.x[:8], split.y[:8]), RAW)
    found = prune(graph, PruningGoal.parse(goal), seen, BRIEF, COURSE, cost, rounds=rounds)
    assert found.after == cost(found.graph).total.latency_cycles <= 0.8 * found.before
    assert [told["branches"] for told in found.rounds] == [["add_0/1:1"], []][:rounds]
    assert bool(found.rounds[-1]["remove"]) == (rounds == 2)
    shapes = whispering()
    for told in found.rounds:
        texts = ("prune-branches", told["branches"]), ("prune-channels", told["remove"])
        steps = [f"{name}{{remove={'+'.join(given)}}}" for name, given in texts if given]
        parse_pipeline(",canonicalize,".join(steps))(shapes)
    assert [(n.name, *n.outputs[0].shape) for n in shapes.nodes] == [
        (n.name, *n.outputs[0].shape) for n in found.graph.nodes
    ]


def test_weights_that_are_zero_and_channels_that_are_constant_stay_numbers() -> None:
    graph = network()
    for node in graph.nodes[:2]:
        if node.op == "Conv":
            node.inputs[1].values = np.zeros_like(node.inputs[1].values)
    found = prune(graph, PruningGoal("cycles", 0.15), given(), BRIEF, COURSE, cost, rounds=1)
    for tensor in found.graph.tensors().values():
        assert not isinstance(tensor, gs.Constant) or np.isfinite(tensor.values).all()


def test_a_network_without_channels_that_may_go_is_refused() -> None:
    net = NetBuilder((1, 3, 16, 16))
    pooled = net.op("Flatten", net.op("GlobalAveragePool", net.op("LRN", net.conv("x", 3, 4), size=3)))
    graph = from_model(net.model(net.op("Gemm", pooled, net.normal(4, 4), transB=1)))
    with pytest.raises(InputError, match=r"no channel of this network may go: .*what LRN 'n1_LRN' does"):
        prune(graph, PruningGoal("cycles", 0.2), given(), BRIEF, COURSE, cost)
