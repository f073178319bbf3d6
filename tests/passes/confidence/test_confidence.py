"""The rule recorded in an exit is the one that files and numpy follow; an unknown one is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnxruntime as ort
import pytest

from passes.confidence import (
    ENTROPY,
    GATE,
    MARGIN,
    MAX_SOFTMAX,
    PATIENCE,
    ConfidenceRule,
    confidence_rule,
    rule_with,
)
from passes.confidence.gate import LearnedGate
from passes.confidence.probabilities import Entropy, MaxSoftmax
from passes.errors import InputError, PassError
from passes.exits.chain import set_thresholds
from passes.exits.insert_exits import InsertExits
from passes.exits.nest_exits import NestExits
from passes.exits.recognise import recognise_exits
from passes.exits.split_stages import SplitStages
from passes.model.graph import EXITS_KEY, from_model, load
from passes.model.writing import save, to_model
from passes.registry import parse_pipeline
from passes.rewrite.rewriter import Array
from passes.state import copy_graph, state_of
from tests.passes.equivalence import run_model
from tests.passes.net_builder import NetBuilder
from tests.passes.small_nets import EARLY, FINAL, chain, two_exits

# Sure of the first class, doubtful of the others; the largest probability adds to it.
GATE_WEIGHTS = (2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, -2.0, -0.5)
WRITTEN: dict[str, ConfidenceRule] = {
    "max_softmax": MAX_SOFTMAX,
    "margin": MARGIN,
    "entropy": ENTROPY,
    "patience": PATIENCE,
    "gate": LearnedGate(GATE_WEIGHTS),
    "max_softmax{temperature=2}": MaxSoftmax(2.0),
}
OPERATORS = {
    "max_softmax": ["Softmax", "ReduceMax"],
    "margin": ["Softmax", "TopK", "Mul", "ReduceSum"],
    "entropy": ["Softmax", "LogSoftmax", "Mul", "ReduceSum"],
    "max_softmax{temperature=2}": ["Div", "Softmax", "ReduceMax"],
}
THRESHOLDS = {"max_softmax": 0.4, "margin": 0.4, "entropy": -0.9, "patience": 1.0, "gate": 0.7,
              "max_softmax{temperature=2}": 0.4}  # fmt: skip


def with_exits(model: onnx.ModelProto, *entries: dict[str, Any]) -> onnx.ModelProto:
    model.metadata_props.add(key=EXITS_KEY, value=json.dumps(entries))
    return model


def echo() -> onnx.ModelProto:
    """Return a network both of whose exits answer with the input (three positive numbers) as logits."""
    net = NetBuilder((1, 3, 1, 1))
    same = net.const(np.eye(3).reshape(3, 3, 1, 1))
    stem = net.op("Relu", net.op("Conv", "x", same))
    early = net.op("Gemm", net.op("Flatten", stem), net.const(np.eye(3)))
    deep = net.op("Relu", net.op("Conv", stem, same))
    return net.model(early, net.op("Gemm", net.op("Flatten", deep), net.const(np.eye(3))))


def ruled(rule: ConfidenceRule, threshold: float, path: Path) -> gs.Graph:
    """Return the network of :func:`echo`, read from a file that records ``rule`` in both exits."""
    graph = from_model(echo())
    recognise_exits(graph)
    set_thresholds(graph, [threshold])
    recorded = {"confidence": rule.name, "confidence_parameters": rule.parameters}
    entries = [e.to_json() | recorded for e in state_of(graph).exits]
    model = to_model(graph)
    del model.metadata_props[:]
    onnx.save(with_exits(model, *entries), path)
    return load(path)


def image_of(*shares: float) -> Array:
    return (np.log(np.array(shares, np.float32)) + 10).reshape(1, 3, 1, 1)


@pytest.mark.parametrize("text", sorted(WRITTEN))
@pytest.mark.parametrize("stage", [0, 1])
def test_stages_compute_the_recorded_rule(text: str, stage: int, tmp_path: Path) -> None:
    rule = WRITTEN[text]
    graph = ruled(rule, THRESHOLDS[text], tmp_path / "net.onnx")
    SplitStages(stage)(graph)
    made = [node.op for node in graph.nodes if node.name.startswith(("exit_0/", "final/"))]
    assert made == OPERATORS.get(text, made) and len(made) > 1
    session = ort.InferenceSession(to_model(graph).SerializeToString(), providers=["CPUExecutionProvider"])
    assert len(graph.inputs) == (2 if rule.reads_before and stage else 1)
    rng = np.random.default_rng(0)
    for _ in range(20):
        image = rng.normal(10, 2, (1, 3, 1, 1)).astype(np.float32)
        given = dict(zip((t.name for t in graph.inputs), (image, image.reshape(1, 3)), strict=False))
        logits, confidence, *_ = session.run(None, given)
        before = [image.reshape(1, 3)] * stage
        np.testing.assert_allclose(confidence, rule.evaluate(logits, before), rtol=1e-6, atol=1e-7)
        assert rule.low <= confidence[0] <= rule.high


@pytest.mark.parametrize(
    ("shares", "leaves"),
    [
        ((0.5, 0.45, 0.05), (0, 1, 0, 0, 0, 0)),
        ((0.45, 0.05, 0.5), (0, 1, 0, 0, 1, 0)),
        ((0.7, 0.2, 0.1), (0, 0, 0, 0, 0, 0)),
        ((0.36, 0.34, 0.3), (1, 1, 1, 0, 0, 1)),
    ],
)
@pytest.mark.parametrize(("place", "text"), list(enumerate(WRITTEN)))
def test_nested_networks_decide_by_the_recorded_rule(
    place: int, text: str, shares: tuple[float, ...], leaves: tuple[int, ...], tmp_path: Path
) -> None:
    """Where they leave is worked out by hand: places are those of the rules in ``WRITTEN``."""
    rule = WRITTEN[text]
    graph = ruled(rule, THRESHOLDS[text], tmp_path / "net.onnx")
    NestExits()(graph)
    onnx.checker.check_model(to_model(graph), full_check=True)
    logits, number, confidence = run_model(to_model(graph), image_of(*shares))
    assert number.tolist() == [leaves[place]]
    before = [logits] * int(number[0])
    np.testing.assert_allclose(confidence, rule.evaluate(logits, before), rtol=1e-5)


def test_numpy_values() -> None:
    logits = np.log(np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.4, 0.4, 0.2]], np.float32))
    np.testing.assert_allclose(MAX_SOFTMAX.evaluate(logits), [0.5, 0.8, 0.4], rtol=1e-6)
    np.testing.assert_allclose(MARGIN.evaluate(logits), [0.2, 0.7, 0.0], atol=1e-6)
    np.testing.assert_allclose(ENTROPY.evaluate(logits), [-1.029653, -0.639032, -1.05492], rtol=1e-5)
    huge = np.array([[1e4, 0.0], [0.0, 0.0]], np.float32)
    assert MAX_SOFTMAX.evaluate(huge).tolist() == [1.0, 0.5]
    assert MARGIN.evaluate(huge).tolist() == [1.0, 0.0]
    np.testing.assert_allclose(ENTROPY.evaluate(huge), [0.0, -np.log(2)], rtol=1e-6)


@pytest.mark.parametrize("rule", [*WRITTEN.values(), LearnedGate((9.0, 0.0, 9.0, 0.0, 0.0, 0.0))], ids=str)
def test_the_thresholds_beyond_the_range(rule: ConfidenceRule) -> None:
    logits = np.array([[1e4, 0.0, -1.0], [0.0, 0.0, -9.0], [0.1, 0.0, 0.0]], np.float32)
    logits = logits[:, :2] if len(rule.parameters.get("weights", ())) == 6 else logits
    confidence = rule.evaluate(logits, [logits])
    assert confidence.dtype == np.float32
    assert (confidence >= rule.always).all()
    assert not (confidence >= rule.never).any()
    nothing = rule.evaluate(np.full_like(logits, np.nan), [logits])
    assert np.isnan(nothing).all(), "no threshold lets what is no number leave"


def test_rules_travel_in_files_by_name(tmp_path: Path) -> None:
    graph = from_model(chain())
    parse_pipeline("insert-exits{at=2,confidence=margin}")(graph)
    path = save(graph, tmp_path / "net.onnx")
    written = {p.key: p.value for p in onnx.load(path).metadata_props}
    assert [e["confidence"] for e in json.loads(written[EXITS_KEY])] == ["margin"] * 3
    assert state_of(load(path)).exits == state_of(graph).exits


def test_exits_inserted_later_leave_the_rules_of_others() -> None:
    graph = from_model(chain(4))
    InsertExits(at=("relu_1",), confidence="margin")(graph)
    InsertExits(at=("relu_0",))(graph)
    assert [e.confidence.name for e in state_of(graph).exits] == ["max_softmax", "margin", "margin"]
    before = copy_graph(graph)
    assert not InsertExits(at=("relu_0",), confidence="margin")(graph)
    assert state_of(graph).exits == state_of(before).exits


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"confidence": "energy"},
            r"net\.onnx: exit 'exit_0' records the confidence rule 'energy', which is not known "
            r"\(known: entropy, gate, margin, max_softmax, patience\)",
        ),
        (
            {"head": "deep"},
            r"net\.onnx: exit 'exit_0' records the head 'deep', which is not known: unknown head 'deep'",
        ),
        (
            {"head": "conv{kernel=9}"},
            r"records the head 'conv\{kernel=9\}', which is not known: head 'conv': gene 'kernel' cannot",
        ),
        ({"reads": "exit_1"}, r"is damaged: exit 'exit_0' reads 'exit_1', which is no exit before it"),
        ({"reads": "exit_0"}, r"is damaged: exit 'exit_0' reads 'exit_0', which is no exit before it"),
        ({"reads": 1}, r"net\.onnx: metadata 'eecompile\.exits' is damaged"),
        (
            {"confidence_parameters": {"heat": 2}},
            r"exit 'exit_0': confidence rule 'max_softmax' has no parameter 'heat'\nknown: temperature",
        ),
        *(
            (
                {"confidence_parameters": {"temperature": value}},
                r"exit 'exit_0': confidence rule 'max_softmax': its temperature is",
            )
            for value in (0, -1.0, float("nan"), float("inf"), 1e60, "warm", True, [1.0])
        ),
        (
            {"confidence": "gate", "confidence_parameters": {"weights": [1.0] * 7}},
            r"exit 'exit_0': confidence rule 'gate': it has 7 weights, and 3 classes take 9",
        ),
        *(
            (
                {"confidence": "gate", "confidence_parameters": {"weights": [*[1.0] * 8, value]}},
                r"exit 'exit_0': confidence rule 'gate': its weights are not all finite",
            )
            for value in (float("nan"), float("-inf"), "a", None)
        ),
        (
            {"confidence": "gate", "confidence_parameters": {"weights": 3}},
            r"exit 'exit_0': confidence rule 'gate': its weights are 3",
        ),
        *(
            ({"threshold": value}, rf"exit 'exit_0': its threshold is {told}; those of max_softmax are")
            for value, told in ((1.5, "1.5"), (-0.1, "-0.1"), (float("nan"), "no finite number"), (3, "3"))
        ),
        ({"confidence": "entropy", "threshold": 0.5}, r"its threshold is 0.5; those of entropy are from -64"),
        ({"confidence": "patience", "threshold": 1.5}, r"those of patience are whole numbers from 1 "),
        ({"confidence": "patience", "threshold": 0}, r"those of patience are whole numbers from 1 "),
        ({"confidence_parameters": 3}, r"net\.onnx: metadata 'eecompile\.exits' is damaged"),
        ({"confidence": 3}, r"net\.onnx: metadata 'eecompile\.exits' is damaged"),
        ({"head": None}, r"net\.onnx: metadata 'eecompile\.exits' is damaged"),
        ({"colour": "red"}, r"net\.onnx: metadata 'eecompile\.exits' is damaged"),
    ],
)
def test_what_a_file_records_and_nobody_knows_is_refused(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "net.onnx"
    first = {"name": "exit_0", "mount": "n1_Relu_out", "output": EARLY, "threshold": 0.5, **change}
    final = {"name": "final", "mount": "n5_Relu_out", "output": FINAL}
    onnx.save(with_exits(two_exits(), first, final), path)
    with pytest.raises(InputError, match=message):
        load(path)


@pytest.mark.parametrize("recorded", [{}, {"confidence": "max_softmax"}])
def test_files_of_earlier_versions_load_as_they_did(recorded: dict[str, str]) -> None:
    first = {"name": "exit_0", "mount": "n1_Relu_out", "output": EARLY, "threshold": 0.5, **recorded}
    final = {"name": "final", "mount": "n5_Relu_out", "output": FINAL, "threshold": None, **recorded}
    exits = recognise_exits(from_model(with_exits(two_exits(), first, final)))
    assert [e.confidence for e in exits] == [MAX_SOFTMAX] * 2
    assert [e.head for e in exits] == [None] * 2
    assert [e.threshold for e in exits] == [0.5, None]


@pytest.mark.parametrize("at", ["1", "relu_0"])
def test_unknown_rules_are_refused_as_options(at: str) -> None:
    graph = from_model(chain())
    InsertExits(at=(at,))(graph)
    with pytest.raises(InputError, match="unknown confidence rule 'margn'\ndid you mean 'margin'"):
        InsertExits(at=(at,), confidence="margn")(graph)
    with pytest.raises(InputError, match="unknown head 'con'"):
        InsertExits(at=(at,), head="con")(graph)
    with pytest.raises(InputError, match="unknown confidence rule"):
        confidence_rule("")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("entropy", ENTROPY),
        ("gate", GATE),
        ("patience", PATIENCE),
        ("max_softmax{temperature=1.5}", MaxSoftmax(1.5)),
        ("entropy{temperature=fit}", Entropy(None)),
        ("max_softmax{}", MAX_SOFTMAX),
        ("max_softmax{temperature=1}", MAX_SOFTMAX),
    ],
)
def test_rules_are_read_from_text_and_printed_back(text: str, rule: ConfidenceRule) -> None:
    assert confidence_rule(text) == rule
    assert confidence_rule(str(rule)) == rule
    assert rule_with(rule.name, json.loads(json.dumps(rule.parameters))) == rule


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gaet", "unknown confidence rule 'gaet'\ndid you mean 'gate'"),
        ("max_softmax{", "unknown confidence rule 'max_softmax{'"),
        ("patience{temperature=2}", "'patience' has no parameter 'temperature'\nit has none"),
        ("gate{temperature=2}", "'gate' has no parameter 'temperature'\nknown: weights"),
        ("gate{weights=2}", "its weights are 2.0"),
        ("margin{temperature=hot}", "'temperature=hot' is not name=number, nor name=fit"),
        ("margin{2}", "'2' is not name=number"),
        ("margin{temperature=0}", "its temperature is 0.0"),
    ],
)
def test_texts_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        confidence_rule(text)


@pytest.mark.parametrize("rule", [GATE, Entropy(None)], ids=str)
@pytest.mark.parametrize("step", ["nest-exits", "split-stages"])
def test_what_is_not_fitted_yet_travels_but_decides_nothing(
    rule: ConfidenceRule, step: str, tmp_path: Path
) -> None:
    graph = ruled(rule, -0.0, tmp_path / "net.onnx")
    assert [e.confidence for e in state_of(graph).exits] == [rule] * 2
    with pytest.raises(PassError, match=f"the {rule.unfitted} of '{rule.name}' at exit_0 is not fitted"):
        parse_pipeline(step)(graph)
    with pytest.raises(ValueError, match="not fitted"):
        rule.evaluate(np.zeros((1, 3), np.float32))
