"""Properties of the passes from exits to early-exit files, on random networks."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from passes.exits.chain import keep_exits, set_thresholds
from passes.exits.insert_exits import InsertExits
from passes.exits.mounts import find_mounts
from passes.exits.recognise import recognise_exits
from passes.model.graph import from_model, load
from passes.model.writing import save, to_model
from passes.operator_sets import FLOAT_NAMES
from passes.registry import parse_pass, parse_pipeline
from passes.rewrite.rewriter import Array
from passes.state import copy_graph, state_of
from tests.passes.equivalence import batch_of, check_shapes, check_stable, run_model, softmax
from tests.passes.grids import add_grids
from tests.passes.random_graphs import networks

quick = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
FORMS = ["float", "quantized", "lowered"]


def mount_count(graph: gs.Graph) -> int:
    return sum(mount.ok for mount in find_mounts(graph))


def exited(model: onnx.ModelProto, exits: int, head: str = "auto") -> gs.Graph:
    """Return ``model`` in canonical form with up to ``exits`` early exits."""
    graph = from_model(model)
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    count = min(exits, mount_count(graph))
    if not count:
        reject()
    InsertExits(at=(str(count),), head=head)(graph)
    return graph


def in_form(graph: gs.Graph, form: str, images: Array, per_channel: bool = False) -> gs.Graph:
    """Return a copy of the float ``graph`` as it is, quantized, or quantized and lowered."""
    made = copy_graph(graph)
    if form != "float":
        add_grids(made, images, per_channel)
        parse_pipeline("quantize" if form == "quantized" else "quantize,fold-qdq")(made)
    return made


@quick
@given(networks(), st.booleans(), st.booleans())
def test_lowering_keeps_every_bit(model: onnx.ModelProto, exits: bool, per_channel: bool) -> None:
    graph = exited(model, 2) if exits else from_model(model)
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    images = batch_of(model, 4)
    quantized = in_form(graph, "quantized", images, per_channel)
    lowered = copy_graph(quantized)
    parse_pipeline("fold-qdq")(lowered)
    assert not [n for n in lowered.nodes if n.op in ("Conv", "Gemm")]
    for optimize in (False, True):
        for image in images:
            expected = run_model(to_model(quantized), image[None], optimize)
            found = run_model(to_model(lowered), image[None], optimize)
            for a, b in zip(expected, found, strict=True):
                np.testing.assert_array_equal(a, b)
    for made, step in ((quantized, "quantize"), (lowered, "fold-qdq")):
        onnx.checker.check_model(to_model(made), full_check=True)
        check_shapes(made)
        check_stable(made, parse_pipeline(step))


@quick
@given(networks(), st.sampled_from(["auto", "linear", "conv"]))
def test_exits_leave_the_network_as_it_is(model: onnx.ModelProto, head: str) -> None:
    plain = from_model(model)
    parse_pipeline("canonicalize,fold-batchnorm")(plain)
    graph = exited(model, 3, head)
    count = len(state_of(graph).exits) - 1
    for image in batch_of(model, 2):
        expected = run_model(to_model(plain), image[None])[0]
        np.testing.assert_array_equal(run_model(to_model(graph), image[None])[-1], expected)
    static = keep_exits(graph, [])
    assert [n.name for n in static.nodes] == [n.name for n in plain.nodes]
    check_stable(graph, parse_pipeline(f"insert-exits{{at={count},head={head}}}"))


def decide(logits: list[Array], thresholds: list[float]) -> tuple[Array, int, np.float32]:
    """Return logits, exit and confidence of one image, by the rule of the dynamic files, in numpy."""
    for number, found in enumerate(logits):
        confidence = np.float32(softmax(found).max())
        if number == len(logits) - 1 or confidence >= np.float32(thresholds[number]):
            return found, number, confidence
    raise AssertionError


def thresholds_for(flat: list[list[Array]], exits: int) -> list[float]:
    """Return thresholds that let about 1/exits of the images leave at each exit, between two confidences."""
    waiting, chosen = list(range(len(flat))), []
    for number in range(exits - 1):
        found = sorted((float(softmax(flat[i][number]).max()), i) for i in waiting)
        leave = max(1, len(waiting) // (exits - number))
        at = len(found) - leave
        below = found[at - 1][0] if at > 0 else 0.0
        chosen.append((found[at][0] + below) / 2)
        waiting = [i for value, i in found if value < chosen[-1]]
    return chosen


@settings(quick, max_examples=25)
@given(networks(), st.sampled_from(FORMS))
def test_dynamic_forms_decide_like_the_flat_network(model: onnx.ModelProto, form: str) -> None:
    images = batch_of(model, 9)
    graph = in_form(exited(model, 2, "linear"), form, images)
    # optimized float graphs of other extent may differ in the last bit: other nodes are fused
    optimize = form != "float"
    flat = [run_model(to_model(graph), image[None], optimize) for image in images]
    count = len(state_of(graph).exits)
    set_thresholds(graph, thresholds_for(flat, count))
    thresholds = [float(e.threshold or 0.0) for e in state_of(graph).exits]
    stages = []
    for number in range(count):
        stage = copy_graph(graph)
        parse_pass(f"split-stages{{stage={number}}}")(stage)
        check_stable(stage, parse_pipeline(f"split-stages{{stage={number}}}"))
        stages.append(to_model(stage))
    nested = copy_graph(graph)
    parse_pass("nest-exits")(nested)
    check_stable(nested, parse_pipeline("nest-exits"))
    dynamic = to_model(nested)
    for one in [*stages, dynamic]:
        onnx.checker.check_model(one, full_check=True)
    assert not {t.name for t in dynamic.graph.initializer} & {t.name for t in stages[1].graph.initializer}
    for image, logits in zip(images, flat, strict=True):
        expected = decide(logits, thresholds)
        found = run_model(dynamic, image[None], optimize)
        _same(found[0], int(found[1][0]), found[2], expected)
        carried: Array = image[None]
        for number, stage_model in enumerate(stages):
            result = run_model(stage_model, carried, optimize)
            if number == expected[1]:
                _same(result[0], number, result[1], expected)
                break
            carried = result[2]


def _same(logits: Array, number: int, confidence: Array, expected: tuple[Array, int, np.float32]) -> None:
    assert number == expected[1]
    np.testing.assert_array_equal(logits, expected[0])
    np.testing.assert_allclose(confidence, [expected[2]], rtol=1e-6)


@quick
@given(networks(), st.booleans())
def test_layers_are_those_of_the_float_network(model: onnx.ModelProto, residual: bool) -> None:
    graph = exited(model, 2)
    images = batch_of(model, 3)
    step = f"fuse-layers{{add={str(residual).lower()},pool={str(residual).lower()}}}"
    seen = []
    for form in FORMS:
        made = in_form(graph, form, images)
        parse_pass(step)(made)
        check_stable(made, parse_pipeline(step))
        seen.append(layers_of(made))
    assert seen[0] == seen[1] == seen[2]


def layers_of(graph: gs.Graph) -> dict[str, str]:
    """Return layer -> the operator it starts with, in float words."""
    found: dict[str, str] = {}
    for node in graph.nodes:
        layer = state_of(graph).layers[node.name]
        if node.op not in ("QuantizeLinear", "DequantizeLinear"):
            found.setdefault(layer, FLOAT_NAMES.get(node.op, node.op))
    return found


@settings(quick, max_examples=25)
@given(networks(), st.sampled_from(FORMS))
def test_state_survives_the_file(model: onnx.ModelProto, form: str) -> None:
    model.metadata_props.add(key="author", value="a user")
    graph = in_form(exited(model, 2), form, batch_of(model, 3))
    parse_pass("fuse-layers")(graph)
    set_thresholds(graph, [0.1 + 0.2] * (len(state_of(graph).exits) - 1))
    with tempfile.TemporaryDirectory() as folder:
        again = load(save(graph, Path(folder) / "model.onnx"))
    before, after = state_of(graph), state_of(again)
    assert after.exits == before.exits == recognise_exits(again)
    assert after.metadata == {"author": "a user"}
    assert after.softmax == before.softmax
    names = [n.name for n in graph.nodes]
    assert [n.name for n in again.nodes] == names
    assert after.layers == before.layers
    assert after.origins == {name: before.origins[name] for name in names}


@pytest.mark.parametrize("form", FORMS)
def test_every_exit_is_taken(form: str) -> None:
    """The thresholds of the property above let images leave everywhere: shown on one network."""
    from tests.passes.random_graphs import build

    blocks = [("conv", "wider"), ("activation", "relu"), ("conv", "wider"), ("activation", "relu")]
    model = build(blocks * 2, pooling="global", flatten="flatten", linear="gemm", ending="logits")
    images = batch_of(model, 9)
    graph = in_form(exited(model, 2, "linear"), form, images)
    flat = [run_model(to_model(graph), image[None]) for image in images]
    thresholds = [*thresholds_for(flat, 3), 0.0]
    assert {decide(logits, thresholds)[1] for logits in flat} == {0, 1, 2}
