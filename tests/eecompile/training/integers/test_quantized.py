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
from eecompile.quantization.calibration import calibrate
from eecompile.training.graph_training import GraphTraining
from eecompile.training.integers import quantized
from eecompile.training.integers.live_form import LiveLayer, in_arrays
from eecompile.training.integers.quantized import train_quantized
from eecompile.training.observed import moments
from eecompile.training.recipe import QUANTIZED, QuantizedRecipe
from eecompile.training.torch_graph import learnt_constants
from passes.errors import InputError
from passes.exits.chain import ancestors, keep_exits
from passes.integers.analog import converter_key
from passes.integers.quantize import Quantize, to_integers
from passes.state import copy_graph, state_of
from tests.eecompile.schemes import assign
from tests.eecompile.training.quantized_nets import NETWORKS, calibrated, shaken
from tests.eecompile.training.small import RAW, constants, course, images, same

QUICK = replace(QUANTIZED, epochs=2, batch=24, rate=1e-2, low_rate=1e-2, average=0.9)
TAUGHT = replace(
    QUICK, epochs=12, average=0.0, teacher_share=1.0, final_teacher_share=1.0, teacher_temperature=1.0
)


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
    ("kind", "scheme", "stages"),
    [("chain", "int8-pow2", [8]), ("reuse", "int4-channel", [4]), ("chain", "int2-channel", [8, 4, 2])],
)
def test_what_was_trained_is_what_is_written_and_nearer_to_the_network_in_float(
    kind: str, scheme: str, stages: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[GraphTraining] = []

    class Kept(GraphTraining):
        def run(self) -> list[dict[str, Any]]:
            kept.append(self)
            return super().run()

        def loss(self) -> float:
            return -float(len(kept))  # two bits win nothing in so short a training; it is kept still

    monkeypatch.setattr(quantized, "GraphTraining", Kept)
    given = NETWORKS[kind]()
    graph = shaken(calibrated(given, scheme))
    grids, before, off = dict(state_of(graph).grids), constants(graph), far_off(graph, given)
    told = train_quantized(graph, given, images(), TAUGHT, course()).to_json()
    found, after = state_of(graph).grids, constants(graph)
    assert {name for name in grids if found[name] != grids[name]} >= {
        t.name for n in graph.nodes for t in n.inputs[1:2] if t.name in grids
    } or scheme == "int8-pow2", "steps of weights at least"
    assert any(found[name].scale != grids[name].scale for name in grids)
    assert {(g.zero_point, g.low, g.high) for g in found.values()} == {
        (g.zero_point, g.low, g.high) for g in grids.values()
    }, "the last stage has the integers that were asked for"
    moved = {name for name in after if not np.array_equal(after[name], before[name])}
    assert moved == set(learnt_constants(graph))
    seen = answers(file_of(graph), images().val, RAW)
    assert kept[-1].accuracies() == pytest.approx(
        dict(zip((e.name for e in state_of(graph).exits), seen.correct.mean(axis=1), strict=True))
    ), "of the values that were kept, image by image"
    assert told["trainer"] == "qat" and told["kept"] == "trained" and len(told["epochs"]) == 12
    assert list(dict.fromkeys(line["bits"] for line in told["epochs"])) == stages
    assert [line["epoch"] for line in told["epochs"]] == list(range(1, 13))
    assert scheme == "int2-channel" or far_off(graph, given) < 0.8 * off


def test_heads_are_trained_alone_where_the_backbone_is_to_stay() -> None:
    given = NETWORKS["skip"]()
    graph = shaken(calibrated(given, "int8-channel"))
    before, final, grids = constants(graph), keep_exits(graph, []), dict(state_of(graph).grids)
    train_quantized(graph, given, images(), TAUGHT, course(), heads_only=True)
    assert same(keep_exits(graph, []), final)
    assert state_of(keep_exits(graph, [])).grids == state_of(final).grids
    early = ancestors([t for t in graph.outputs if t.name == state_of(graph).exits[0].output])
    after = constants(graph)
    moved = {name for name, value in after.items() if not np.array_equal(value, before[name])}
    heads = [n for n in graph.nodes if n.name in early and n.name.startswith("exit_0/")]
    assert moved and moved == {
        t.name for n in heads for t in n.inputs if t.name in after and after[t.name].ndim
    }  # fmt: skip
    assert {name for name in grids if state_of(graph).grids[name] != grids[name]} >= moved & grids.keys()


def test_a_training_that_only_harms_is_thrown_away_and_told() -> None:
    given, said = NETWORKS["chain"](), list[str]()
    graph = calibrated(given, "int8-channel")
    before, grids = constants(graph), dict(state_of(graph).grids)
    wild = replace(TAUGHT, epochs=1, rate=2.0)
    told = train_quantized(graph, given, images(), wild, course(progress=said.append)).to_json()
    losses = told["loss_on_val"]
    assert told["kept"] == "calibrated" and losses["trained"] > losses["calibrated"]
    after = constants(graph)
    assert (
        all(np.array_equal(after[name], before[name]) for name in before) and state_of(graph).grids == grids
    )
    assert "the network stays as calibrated" in said[-1]


def in_array() -> tuple[gs.Graph, gs.Graph]:
    """Return a network whose convolutions are calibrated for an analog array, and the same in float."""
    given = NETWORKS["chain"]()
    graph = copy_graph(given)
    assign(graph, "int8-pow2", {node.name: "ternary-analog" for node in graph.nodes if node.op == "Conv"})
    calibrate(graph, images().train.x)
    return graph, given


LIVE = replace(TAUGHT, epochs=8, rate=2e-4, live=0.75, live_rate=1e-3)


def test_what_an_array_learnt_with_a_live_normalization_is_written() -> None:
    graph, given = in_array()
    before, grids = constants(graph), dict(state_of(graph).grids)
    told = train_quantized(graph, given, images(), LIVE, course()).to_json()
    assert [bool(line.get("live")) for line in told["epochs"]] == [True] * 6 + [False] * 2
    assert [line["epoch"] for line in told["epochs"]] == list(range(1, 9))
    losses = told["loss_on_val"]
    assert told["kept"] == "trained" and losses["trained"] < losses["calibrated"]
    after = state_of(graph).grids
    for node in in_arrays(graph):
        weight = node.inputs[1]
        moved = np.array(after[weight.name].scale) / np.array(grids[weight.name].scale)
        assert np.abs(moved - 1).max() > 1e-3, "the affine was live"
        assert float(np.log2(after[converter_key(node)].scale[0])).is_integer()
        assert len(np.unique(to_integers(weight.values, after[weight.name]))) == 3
        assert not np.array_equal(constants(graph)[node.inputs[2].name], before[node.inputs[2].name])


@pytest.mark.parametrize(
    ("changed", "bits", "live"),
    [
        ({"live": 1.0, "live_stages": (8, 4)}, [8, 4, 2, 2], [True] * 4),
        ({"live": 0.0}, [8] * 4, [False] * 4),
        ({"live": 0.5, "live_stages": (8, 4)}, [2, 2, 8, 8], [True] * 2 + [False] * 2),
        ({"live": 1.0, "live_stages": (8,), "live_held": 0.5}, [8, 2, 2, 2], [True] * 4),
    ],
)
def test_stages_of_arrays_are_those_of_the_recipe(
    changed: dict[str, Any], bits: list[int], live: list[bool]
) -> None:
    """Behind them the narrowest weights beside arrays have 8 bits."""
    graph, given = in_array()
    recipe = replace(LIVE, epochs=4, **changed)
    told = train_quantized(graph, given, images(24), recipe, course()).to_json()
    assert [line["bits"] for line in told["epochs"]] == bits
    assert [bool(line.get("live")) for line in told["epochs"]] == live


@pytest.mark.parametrize("held", [0.0, 0.5])
def test_converters_keep_their_step_in_the_share_of_the_epochs_that_is_asked_for(
    held: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, given = in_array()
    written: list[float] = []

    def freeze(form: gs.Graph, _: gs.Graph, layers: dict[str, LiveLayer]) -> None:
        written.extend(float(form.tensors()[layer.octaves].values) for layer in layers.values())

    monkeypatch.setattr(quantized, "freeze", freeze)
    recipe = replace(LIVE, epochs=4, live=1.0, live_rate=3e-2, live_held=held)
    train_quantized(graph, given, images(), recipe, course())
    assert written and all(value.is_integer() for value in written) == (held > 0)


@pytest.mark.parametrize(
    ("scheme", "where"),
    [("int2-channel", "2 bit: epoch 1 of 2"), ("ternary-analog", "array, 2 bit: epoch 2")],
)
def test_an_interrupted_training_ends_with_the_same_bits(tmp_path: Path, scheme: str, where: str) -> None:
    given = NETWORKS["chain"]()
    start = shaken(calibrated(given, scheme))

    def trained(folder: Path | None, **how: Any) -> gs.Graph:
        graph = copy_graph(start)
        train_quantized(graph, given, images(), replace(QUICK, epochs=4), course(folder, **how))
        return graph

    def stop(line: str) -> None:
        if where in line:
            raise KeyboardInterrupt

    whole, folder = trained(None), tmp_path / "kept"
    with pytest.raises(KeyboardInterrupt):
        trained(folder, progress=stop)
    again = trained(folder, resume=True)
    assert same(again, whole) and state_of(again).grids == state_of(whole).grids
    name, grids = start.inputs[0].name, state_of(start).grids
    grids[name] = replace(grids[name], scale=tuple(2 * s for s in grids[name].scale))
    with pytest.raises(InputError, match="is of another"):
        trained(folder, resume=True)


@pytest.mark.parametrize("changed", [{"batch_norm": "all"}, {"bfloat16": "auto"}, {"balance": "equilibrium"}])
def test_a_recipe_that_asks_for_what_no_file_has_is_refused(changed: dict[str, Any]) -> None:
    recipe: QuantizedRecipe = replace(QUICK, **changed)
    given = NETWORKS["chain"]()
    with pytest.raises(InputError, match="of a recipe for a quantized network"):
        train_quantized(copy_graph(given), given, images(), recipe, course())


def test_statistics_that_are_folded_are_those_of_the_weights_that_are_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Averaged weights are rounded to others than those whose statistics were averaged."""
    kept: list[GraphTraining] = []

    class Kept(GraphTraining):
        def run(self) -> list[dict[str, Any]]:
            kept.append(self)
            return super().run()

    monkeypatch.setattr(quantized, "GraphTraining", Kept)
    graph, given = in_array()
    recipe = replace(LIVE, epochs=4, live=1.0, live_rate=3e-2, average=0.9)
    train_quantized(graph, given, images(), recipe, course())
    form, device, x = kept[0].form, kept[0].device, images().train.x
    norms = [node for node in form.nodes if node.op == "BatchNormalization"]
    seen = moments(form, [node.inputs[0].name for node in norms], lambda s: [x[s]], len(x), device)
    for node in norms:
        found = seen[node.inputs[0].name]
        off = (node.inputs[3].values - found.mean) / np.sqrt(found.variance + 1e-3)
        assert np.abs(off).max() < 0.15
