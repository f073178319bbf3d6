from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import onnxruntime as ort

from eecompile.data.preprocess import preprocesses
from eecompile.data.sources import load_data
from eecompile.training.features import Features, TeacherData, extract
from eecompile.training.frozen_heads import Head, Recipe, train_heads
from passes.errors import InputError
from passes.exits.added_head import inserted_layers
from passes.exits.insert_exits import head_parameters, set_head_parameters
from passes.heads.designs import CONV, parse_head
from passes.heads.families import FAMILIES, Genes, HeadFamily, flat
from passes.heads.layers import HeadLayer, Shape
from passes.model.graph import load
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import state_of
from tests.eecompile.quantization.test_calibration import EXAMPLE

SHORT = Recipe(samples=9000)
LONG = Recipe(samples=60_000, linear_share=1.0)


@pytest.fixture(scope="module")
def setting() -> tuple[object, TeacherData, object]:
    graph = load(EXAMPLE)
    parse_pipeline("canonicalize,fold-batchnorm,insert-exits{at=2,head=conv}")(graph)
    data = load_data("digits")
    rule = preprocesses("unit", data.val.x, (1, 1, 8, 8))[0]
    return graph, extract(graph, data.train, rule, 10**9, 0, lambda _: None), rule


def train(setting: tuple[object, TeacherData, object], name: str, seed: int = 0) -> dict[str, np.ndarray]:
    graph, data, _ = setting
    exit_ = next(e for e in state_of(graph).exits if e.name == name)
    shape = tuple(graph.tensors()[exit_.mount].shape[1:])  # type: ignore[attr-defined]
    head = Head(name, CONV.on(shape, 10), shape, data.features[name])
    return train_heads([head], data, seed, SHORT, lambda _: None)[name]


def test_trained_head_classifies_and_the_graph_computes_what_was_trained(
    setting: tuple[object, TeacherData, object],
) -> None:
    graph, _, rule = setting
    values = train(setting, "exit_0")
    set_head_parameters(graph, state_of(graph).exits[0], values)
    session = ort.InferenceSession(
        to_model(graph, "N").SerializeToString(), providers=["CPUExecutionProvider"]
    )
    data = load_data("digits").val
    logits = session.run(["exit_0"], {session.get_inputs()[0].name: rule.apply(data.x)})[0]  # type: ignore[attr-defined]
    assert (logits.argmax(1) == data.y).mean() > 0.8


def test_training_repeats_bit_for_bit_and_depends_on_the_seed(
    setting: tuple[object, TeacherData, object],
) -> None:
    first, second, other = (
        train(setting, "exit_1"),
        train(setting, "exit_1"),
        train(setting, "exit_1", seed=1),
    )
    assert all(np.array_equal(first[k], second[k]) for k in first)
    assert any(not np.array_equal(first[k], other[k]) for k in first)


def test_copies_are_bounded_by_work(setting: tuple[object, TeacherData, object]) -> None:
    data = setting[1]
    assert len(data.logits) == 1, "10^9 MACs per image leave no work for augmented copies"
    assert not data.flips, "a mirrored digit is another digit"


def test_heads_trained_side_by_side_are_those_trained_alone(
    setting: tuple[object, TeacherData, object],
) -> None:
    graph, data, _ = setting
    heads = []
    for name in ("exit_0", "exit_1"):
        mount = next(e.mount for e in state_of(graph).exits if e.name == name)
        shape = tuple(graph.tensors()[mount].shape[1:])  # type: ignore[attr-defined]
        heads.append(Head(name, CONV.on(shape, 10), shape, data.features[name]))
    together = train_heads(heads, data, 0, SHORT, lambda _: None)
    for name in ("exit_0", "exit_1"):
        alone = train(setting, name)
        assert all(np.array_equal(alone[key], together[name][key]) for key in alone)


def test_a_head_of_two_convolutions_trains_and_the_graph_computes_what_was_trained(
    setting: tuple[object, TeacherData, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def layers(shape: Shape, _genes: Genes) -> tuple[HeadLayer, ...]:
        convs = tuple(HeadLayer("Conv", (3, 3), (stride, stride), 16) for stride in (1, 2))
        return (*convs, *flat(convs[1].output_shape(shape)))

    monkeypatch.setitem(FAMILIES, "deep", HeadFamily("deep", "two convolutions", (2,), (), layers))
    rule = setting[2]
    graph = load(EXAMPLE)
    parse_pipeline("canonicalize,fold-batchnorm,insert-exits{at=1,head=deep}")(graph)
    item = state_of(graph).exits[0]
    dataset = load_data("digits")
    data = extract(graph, dataset.train, rule, 10**9, 0, lambda _: None)  # type: ignore[arg-type]
    shape = tuple(graph.tensors()[item.mount].shape[1:])
    head = Head(item.name, inserted_layers(graph, item), shape, data.features[item.name])
    values = train_heads([head], data, 0, SHORT, lambda _: None)[item.name]
    assert set(values) == set(head_parameters(graph, item))
    assert {"conv.weight", "conv_1.weight", "gemm.weight"} < set(values)
    set_head_parameters(graph, item, values)
    session = ort.InferenceSession(
        to_model(graph, "N").SerializeToString(), providers=["CPUExecutionProvider"]
    )
    images = rule.apply(dataset.val.x)  # type: ignore[attr-defined]
    logits = session.run([item.output], {session.get_inputs()[0].name: images})[0]
    assert (logits.argmax(1) == dataset.val.y).mean() > 0.8


@pytest.mark.parametrize("reuse", ["logits", "features"])
def test_a_head_that_reads_another_is_refused(reuse: str) -> None:
    features = Features((np.zeros((8, 6), np.uint8),), 1.0, 0.0)
    data = TeacherData({}, (np.zeros((8, 3), np.float32),), np.zeros(8, np.int64), flips=False)
    head = Head("exit_1", parse_head(f"linear{{reuse={reuse}}}").on((6,), 3), (6,), features)
    with pytest.raises(InputError, match="the head of exit 'exit_1' reads the exit before it"):
        train_heads([head], data, 0, SHORT, lambda _: None)


@pytest.mark.parametrize(("head", "trained"), [("separable", 0.8), ("mlp", 0.8)])
def test_heads_with_depthwise_layers_and_ceilings_train(
    setting: tuple[object, TeacherData, object], head: str, trained: float
) -> None:
    graph = load(EXAMPLE)
    parse_pipeline(f"canonicalize,fold-batchnorm,insert-exits{{at=2,head={head}}}")(graph)
    item = state_of(graph).exits[0]
    mount = tuple(graph.tensors()[item.mount].shape[1:])
    dataset, rule = load_data("digits"), setting[2]
    data = extract(graph, dataset.train, rule, 10**9, 0, lambda _: None)  # type: ignore[arg-type]
    made = Head(item.name, inserted_layers(graph, item), mount, data.features[item.name])
    set_head_parameters(graph, item, train_heads([made], data, 0, SHORT, lambda _: None)[item.name])
    session = ort.InferenceSession(
        to_model(graph, "N").SerializeToString(), providers=["CPUExecutionProvider"]
    )
    images = rule.apply(dataset.val.x)  # type: ignore[attr-defined]
    logits = session.run([item.output], {session.get_inputs()[0].name: images})[0]
    assert (logits.argmax(1) == dataset.val.y).mean() > trained


@pytest.mark.parametrize("head", ["linear", "conv"])
def test_a_head_of_a_vector_computes_on_real_values_what_was_trained_on_stored_ones(head: str) -> None:
    stored = np.random.default_rng(0).integers(0, 256, (512, 6)).astype(np.uint8)
    scale, offset = 0.05, -3.0
    labels = stored[:, :3].argmax(axis=1).astype(np.int64)
    features = Features((stored,), scale, offset)
    answers = np.eye(3, dtype=np.float32)[labels] * 8
    data = TeacherData({"exit_0": features}, (answers,), labels, flips=False)
    layers = parse_head(head).on((9, 6), 3, [HeadLayer("ReduceMean", axes=(1,))])
    values = train_heads([Head("exit_0", layers, (9, 6), features)], data, 0, LONG, lambda _: None)["exit_0"]
    real = stored * np.float32(scale) + np.float32(offset)
    names = ["gemm", "gemm_1"] if head == "conv" else ["gemm"]
    for number, name in enumerate(names):
        real = real @ values[f"{name}.weight"].T + values[f"{name}.bias"]
        real = np.maximum(real, 0) if number < len(names) - 1 else real
    assert (real.argmax(axis=1) == labels).mean() > 0.75, "a guess is right in a third"
