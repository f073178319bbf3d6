"""Heads on a frozen backbone: of any family, in any company."""

from __future__ import annotations

import threading
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile.data.dataset import Split
from eecompile.training.features import Features, TeacherData
from eecompile.training.frozen_heads import HeadTraining, _form, _weigh, sureness, train_heads
from eecompile.training.recipe import Recipe
from passes.confidence import MAX_SOFTMAX, ConfidenceRule
from passes.confidence.gate import LearnedGate
from passes.confidence.patience import Patience
from passes.errors import InputError
from passes.exits.chain import ancestors, set_rules
from passes.exits.insert_exits import InsertExits
from passes.heads.families import FAMILIES, Genes, HeadFamily, flat
from passes.heads.layers import HeadLayer, Shape
from passes.model.graph import from_model, tidy
from passes.registry import parse_pipeline
from passes.state import Exit, copy_graph, state_of
from tests.eecompile.training.small import accuracy, constants, course, early, images, network, same
from tests.passes.net_builder import NetBuilder
from tests.passes.small_nets import chain

SHORT = Recipe(samples=400, linear_share=1.0, batch=24)
LONG = Recipe(samples=3000, linear_share=1.0, batch=24, label_share=1.0)


def trained(recipe: Recipe = SHORT, graph: gs.Graph | None = None) -> gs.Graph:
    graph = network("conv", rivals=True) if graph is None else graph
    train_heads(graph, images(), recipe, course(), early(graph))
    return graph


@pytest.fixture(scope="module")
def plain() -> gs.Graph:
    return trained()


def deep(shape: Shape, _genes: Genes) -> tuple[HeadLayer, ...]:
    convs = tuple(HeadLayer("Conv", (3, 3), (stride, stride), 8) for stride in (1, 2))
    return (*convs, *flat(convs[1].output_shape(shape)))


def test_heads_of_all_families_learn_and_the_backbone_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, "deep", HeadFamily("deep", "two convolutions", (2,), (), deep))
    graph = network("deep", rivals=True)
    before, values = accuracy(graph), constants(graph)
    log = train_heads(graph, images(), LONG, course(), early(graph)).to_json()
    after = accuracy(graph)
    assert (after[:-1] > 0.9).all() and after[-1] == before[-1]
    heads = {name for name in values if name.startswith("exit_")}
    found = constants(graph)
    assert found.keys() == values.keys()
    assert not any(np.array_equal(found[name], values[name]) for name in heads)
    assert all(np.array_equal(found[name], values[name]) for name in values.keys() - heads)
    assert log["trainer"] == "frozen" and log["trained"] == early(graph)
    last = log["epochs"][-1]
    assert last["epoch"] == len(log["epochs"]) and last["loss"] < log["epochs"][0]["loss"]
    assert set(last["accuracy"]) == {e.name for e in state_of(graph).exits}
    assert last["accuracy"]["exit_0"] > 0.9


CHANGED: dict[str, Any] = {
    "samples": 900, "linear_share": 0.1, "epochs": 2, "temperature": 1.0, "label_share": 0.9, "rate": 0.1,
    "linear_rate": 0.1, "warm_up": 0.6, "decay": 0.9, "dropout": 0.5, "average": 0.1, "batch": 16,
    "survivors": 1.0,
}  # fmt: skip


def test_every_option_is_seen() -> None:
    assert set(CHANGED) == {field.name for field in fields(Recipe)}


@pytest.mark.parametrize("option", CHANGED)
def test_an_option_changes_what_is_trained(option: str, plain: gs.Graph) -> None:
    assert not same(trained(replace(SHORT, **{option: CHANGED[option]})), plain)


def test_training_repeats_bit_for_bit_and_depends_on_the_seed(plain: gs.Graph) -> None:
    assert same(trained(), plain)
    other = network("conv", rivals=True)
    train_heads(other, images(), SHORT, course(seed=1), early(other))
    assert not same(other, plain)


def test_heads_trained_side_by_side_are_those_trained_alone(plain: gs.Graph) -> None:
    for name in ("exit_0", "exit_3"):
        graph = network("conv", rivals=True)
        train_heads(graph, images(), SHORT, course(), [name])
        found, expected = constants(graph), constants(plain)
        ours = [key for key in found if key.startswith(f"{name}/")]
        assert ours and all(np.array_equal(found[key], expected[key]) for key in ours)


@pytest.mark.parametrize("head", ["linear", "conv"])
def test_a_head_of_a_vector_computes_on_real_values_what_was_trained_on_stored_ones(head: str) -> None:
    net = NetBuilder((1, 6))
    hidden = net.op("Relu", net.op("Gemm", "x", net.normal(6, 6), transB=1))
    deeper = net.op(
        "Relu", net.op("Gemm", hidden, net.const(40 * np.eye(6)), net.const([-300.0] * 6), transB=1)
    )
    graph = from_model(net.model(net.op("Gemm", deeper, net.normal(3, 6, scale=0.01), transB=1)))
    parse_pipeline("canonicalize")(graph)
    InsertExits((hidden,), head)(graph)
    rng = np.random.default_rng(0)
    x = rng.normal(0, 5, (600, 6)).astype(np.float32)
    weights = graph.nodes[0].inputs[1].values
    y = np.maximum(x @ weights.T, 0)[:, :3].argmax(axis=1).astype(np.int64)
    data = replace(images(), train=Split(x[:480], y[:480]), val=Split(x[480:], y[480:]))
    log = train_heads(graph, data, replace(LONG, samples=9_000), course(), early(graph))
    assert log.epochs[-1]["accuracy"]["exit_0"] > 0.8, "a guess is right in a third"


def boosted(form: str) -> gs.Graph:
    """Return a network whose second head adds its sums to the logits of the first, or reads its features."""
    graph = network("conv")
    tensors = graph.tensors()
    last = next(n for n in graph.nodes if n.outputs[0].name == "exit_1")
    if form == "logits":
        sums = gs.Variable("exit_1/sums", np.float32, [1, 3])
        last.outputs = [sums]
        graph.nodes.append(gs.Node("Add", "exit_1/add", {}, [sums, tensors["exit_0"]], [tensors["exit_1"]]))
    else:
        read = next(n for n in graph.nodes if n.outputs[0].name == "exit_0").inputs[0]
        both = gs.Variable("exit_1/both", np.float32, [1, read.shape[1] + last.inputs[0].shape[1]])
        graph.nodes.append(gs.Node("Concat", "exit_1/concat", {"axis": 1}, [last.inputs[0], read], [both]))
        weights = np.zeros((3, both.shape[1]), np.float32)
        last.inputs = [both, gs.Constant("exit_1/gemm.weight", weights), last.inputs[2]]
    tidy(graph)
    return graph


@pytest.mark.parametrize("form", ["logits", "features"])
def test_exits_that_read_an_earlier_one_are_trained_with_it(form: str) -> None:
    graph, alone, recipe = boosted(form), network("conv"), replace(LONG, dropout=0.0)
    log = train_heads(graph, images(), recipe, course(), early(graph))
    assert (accuracy(graph)[:-1] > 0.9).all()
    assert set(log.epochs[-1]["accuracy"]) == {"exit_0", "exit_1", "final"}
    train_heads(alone, images(), recipe, course(), early(alone))
    mine, other = constants(graph), constants(alone)
    unmoved = all(np.allclose(mine[k], other[k], atol=1e-3) for k in mine if k.startswith("exit_0/gemm"))
    assert unmoved == (form == "logits"), "no gradient flows into logits, and one does into features"


def test_an_interrupted_training_ends_with_the_same_bits(tmp_path: Path, plain: gs.Graph) -> None:
    class StoppedError(Exception):
        pass

    def progress(line: str) -> None:
        if "exit_1: epoch 2" in line:
            raise StoppedError

    graph = network("conv", rivals=True)
    with pytest.raises(StoppedError):
        train_heads(graph, images(), SHORT, course(tmp_path / "kept", progress=progress), early(graph))
    assert same(graph, network("conv", rivals=True)), "nothing is half trained"
    told: list[str] = []
    train_heads(
        graph, images(), SHORT, course(tmp_path / "kept", resume=True, progress=told.append), early(graph)
    )
    assert same(graph, plain)
    assert any("exit_1: goes on after epoch 2" in line for line in told)
    graph = network("conv", rivals=True)
    with pytest.raises(InputError, match="is of another seed"):
        train_heads(graph, images(), SHORT, course(tmp_path / "kept", resume=True, seed=1), early(graph))


def test_images_that_leave_before_count_less() -> None:
    graph = network("linear")
    forms = [_form(graph, [item]) for item in state_of(graph).exits[:-1]]
    stored = np.zeros((5, *[int(d) for d in forms[0].graph.inputs[0].shape[1:]]), np.uint8)
    stored[:, 0] = np.array([3, 0, 4, 1, 2]).reshape(-1, *[1] * (stored.ndim - 2))
    data = TeacherData(
        {tap: Features((stored,), 1.0, 0.0) for form in forms for tap in form.taps},
        (np.zeros((5, 3), np.float32),), np.zeros(5, np.int64), flips=False,
    )  # fmt: skip
    recipe = replace(SHORT, survivors=0.8)
    jobs = [
        HeadTraining(form, data, np.zeros(0, np.int64), recipe, course(), threading.Event()) for form in forms
    ]
    sure = sureness(state_of(graph).exits[:-1], jobs[0].answers(), ["exit_0"])
    _weigh(jobs, 0, sure, recipe)
    assert (jobs[0].weights == 1).all()
    ranks = [int((sure < value).sum()) for value in sure]
    np.testing.assert_allclose(jobs[1].weights, 1 - 0.8 * np.array(ranks) / 4, rtol=1e-6)


def test_rules_read_the_exits_on_the_mounts_before() -> None:
    def item(name: str, mount: str, rule: ConfidenceRule) -> Exit:
        return Exit(name, mount, name, confidence=rule)

    one, other = (
        np.array([[3, 0], [3, 0], [0, 3]], np.float32),
        np.array([[3, 0], [0, 3], [3, 0]], np.float32),
    )
    exits = [
        item("exit_0", "a", Patience()), item("exit_1", "b", Patience()), item("exit_2", "b", Patience()),
        item("exit_3", "c", Patience()), item("exit_4", "c", LearnedGate()),
    ]  # fmt: skip
    answers = {"exit_0": one, "exit_1": one, "exit_2": other, "exit_4": other}
    assert sureness(exits, answers, ["exit_0"]).tolist() == [1, 1, 1]
    assert sureness(exits, answers, ["exit_1", "exit_2"]).tolist() == [2, 1.5, 1.5]
    assert sureness(exits, answers | {"exit_3": other}, ["exit_3"]).tolist() == [4, 2, 2]
    np.testing.assert_array_equal(sureness(exits, answers, ["exit_4"]), MAX_SOFTMAX.evaluate(other))


def test_where_no_image_is_surer_than_another_all_count_alike() -> None:
    """The first exit has nobody to agree with."""
    found = []
    for survivors in (0.0, 0.8):
        graph = network("linear")
        set_rules(graph, [Patience()] * 3)
        found.append(trained(replace(SHORT, survivors=survivors), graph))
    assert same(*found)


def test_the_scale_of_features_is_that_of_all_images() -> None:
    """Data sets are often sorted by class: of the first images alone the deviation would be 0."""
    graph = network("linear")
    (item, *_) = state_of(graph).exits
    form = _form(graph, [item])
    stored = np.zeros((5000, *[int(d) for d in form.graph.inputs[0].shape[1:]]), np.uint8)
    stored[3000:] = 200
    data = TeacherData(
        {form.taps[0]: Features((stored,), 0.5, 0.0)},
        (np.zeros((5000, 3), np.float32),), np.zeros(5000, np.int64), flips=False,
    )  # fmt: skip
    job = HeadTraining(form, data, np.zeros(0, np.int64), SHORT, course(), threading.Event())
    assert job._scales == {"exit_0/gemm.weight": pytest.approx(1 / (0.5 * stored.std()), rel=0.01)}


def test_a_head_without_a_torch_function_is_named_before_anything_is_run() -> None:
    graph = from_model(chain(3))
    InsertExits(("1",), "linear")(graph)
    first = next(
        n for n in graph.nodes if n.name in ancestors([graph.outputs[0]]) and n.name.startswith("exit_0")
    )
    made = gs.Variable("exit_0/nonsense_out", np.float32, list(first.inputs[0].shape))
    graph.nodes.append(
        gs.Node("Nonsense", "exit_0/nonsense", {}, [first.inputs[0]], [made], domain="of.users")
    )
    first.inputs[0] = made
    tidy(graph)
    told: list[str] = []
    with pytest.raises(InputError, match=r"node 'exit_0/nonsense' \(Nonsense\)"):
        train_heads(copy_graph(graph), images(), SHORT, course(progress=told.append), ["exit_0"])
    assert told == []
