from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import onnxruntime as ort

from eecompile.data import load_data
from eecompile.features import TeacherData, extract
from eecompile.preprocess import preprocesses
from eecompile.training import Head, Recipe, train_heads
from passes.graph import load, to_model
from passes.heads import head_layers
from passes.insert_exits import set_head_parameters
from passes.registry import parse_pipeline
from passes.state import state_of
from tests.eecompile.test_calibration import EXAMPLE

SHORT = Recipe(samples=9000)


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
    head = Head(name, head_layers("conv", shape, 10), shape, data.features[name])
    return train_heads([head], data, seed, SHORT, lambda _: None)[name]


def test_trained_head_classifies_and_the_graph_computes_what_was_trained(
    setting: tuple[object, TeacherData, object],
) -> None:
    graph, _, rule = setting
    values = train(setting, "exit_0")
    set_head_parameters(graph, "exit_0", values)
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
        heads.append(Head(name, head_layers("conv", shape, 10), shape, data.features[name]))
    together = train_heads(heads, data, 0, SHORT, lambda _: None)
    for name in ("exit_0", "exit_1"):
        alone = train(setting, name)
        assert all(np.array_equal(alone[key], together[name][key]) for key in alone)
