"""Training for integers: what is trained is what is written, and only that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import onnx_graphsurgeon as gs

from eecompile.exits.answers import answers
from eecompile.training import quantized
from eecompile.training.graph_training import GraphTraining
from eecompile.training.quantized import train_quantized
from eecompile.training.recipe import QUANTIZED, JointRecipe
from passes.errors import InputError
from passes.exits.chain import ancestors, keep_exits
from passes.integers.quantize import Quantize
from passes.state import copy_graph, state_of
from tests.eecompile.training.quantized_nets import NETWORKS, calibrated, shaken
from tests.eecompile.training.small import RAW, constants, course, images, same

QUICK = replace(QUANTIZED, epochs=2, batch=24, rate=1e-2, average=0.9)


def file_of(graph: gs.Graph) -> gs.Graph:
    """Return what is written of a calibrated network."""
    file = copy_graph(graph)
    Quantize()(file)
    return file


def far_off(graph: gs.Graph, given: gs.Graph) -> float:
    """Return how far a calibrated network's answers are from those in float, in deviations of these."""
    val = images().val
    ours, theirs = (answers(g, val, RAW).logits for g in (file_of(graph), given))
    return float(np.mean([np.std(a - b) / np.std(b) for a, b in zip(ours, theirs, strict=True)]))


@pytest.mark.parametrize(
    ("kind", "scheme"),
    [("chain", "int8-pow2"), ("skip", "int4-channel"), ("reuse", "int2-channel")],
)
def test_what_was_trained_is_what_is_written_and_nearer_to_the_network_in_float(
    kind: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[GraphTraining] = []

    class Kept(GraphTraining):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            kept.append(self)

    monkeypatch.setattr(quantized, "GraphTraining", Kept)
    given = NETWORKS[kind]()
    graph = shaken(calibrated(given, scheme))
    grids, before, off = dict(state_of(graph).grids), constants(graph), far_off(graph, given)
    recipe = replace(QUICK, epochs=6, teacher_share=1.0, final_teacher_share=1.0, teacher_temperature=1.0)
    told = train_quantized(graph, given, images(), recipe, course()).to_json()
    assert state_of(graph).grids == grids
    after = constants(graph)
    moved = {name for name in after if not np.array_equal(after[name], before[name])}
    assert moved == set(kept[0].module.learnt), "scales stay, all else is trained"
    found = answers(file_of(graph), images().val, RAW)
    assert kept[0].accuracies() == pytest.approx(
        dict(zip((e.name for e in state_of(graph).exits), found.correct.mean(axis=1), strict=True))
    ), "of the values that were kept, image by image"
    assert told["trainer"] == "qat" and len(told["epochs"]) == 6
    assert far_off(graph, given) < 0.8 * off


def test_heads_are_trained_alone_where_the_backbone_is_to_stay() -> None:
    given = NETWORKS["skip"]()
    graph = calibrated(given, "int8-pow2")
    before, final = constants(graph), keep_exits(graph, [])
    train_quantized(graph, given, images(), QUICK, course(), heads_only=True)
    assert same(keep_exits(graph, []), final)
    early = ancestors([t for t in graph.outputs if t.name == state_of(graph).exits[0].output])
    after = constants(graph)
    moved = {name for name, value in after.items() if not np.array_equal(value, before[name])}
    assert moved and moved == {
        t.name for n in graph.nodes if n.name in early and n.name.startswith("exit_0/")
        for t in n.inputs if t.name in after and after[t.name].ndim
    }  # fmt: skip


def test_an_interrupted_training_ends_with_the_same_bits(tmp_path: Path) -> None:
    given = NETWORKS["chain"]()
    start = calibrated(given, "int8-channel")

    def trained(folder: Path | None, **how: Any) -> gs.Graph:
        graph = copy_graph(start)
        train_quantized(graph, given, images(), replace(QUICK, epochs=3), course(folder, **how))
        return graph

    def stop(line: str) -> None:
        if "epoch 2 of 3" in line:
            raise KeyboardInterrupt

    whole, folder = trained(None), tmp_path / "kept"
    with pytest.raises(KeyboardInterrupt):
        trained(folder, progress=stop)
    assert same(trained(folder, resume=True), whole)
    name = next(n.inputs[1].name for n in start.nodes if n.op == "Conv")
    grids = state_of(start).grids
    grids[name] = replace(grids[name], scale=tuple(2 * s for s in grids[name].scale))
    with pytest.raises(InputError, match="is of another calibration"):
        trained(folder, resume=True)


@pytest.mark.parametrize("changed", [{"batch_norm": "all"}, {"bfloat16": "auto"}, {"balance": "equilibrium"}])
def test_a_recipe_that_asks_for_what_no_file_has_is_refused(changed: dict[str, Any]) -> None:
    recipe: JointRecipe = replace(QUICK, **changed)
    given = NETWORKS["chain"]()
    with pytest.raises(InputError, match="of a recipe for a quantized network"):
        train_quantized(copy_graph(given), given, images(), recipe, course())
