"""Heads on mounts of every kind, and heads that read the exit before, in all forms of a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest

from passes.confidence import MAX_SOFTMAX
from passes.errors import InputError
from passes.exits.added_head import reading_on, reused_tensor
from passes.exits.chain import head_nodes, keep_exits, readers_of, set_thresholds
from passes.exits.insert_exits import InsertExits, add_rival_heads
from passes.exits.mounts import find_mounts
from passes.exits.recognise import recognise_exits
from passes.exits.stages import cut
from passes.heads.designs import CONV, LINEAR, members, parse_head
from passes.heads.families import FAMILIES
from passes.heads.layers import HeadLayer
from passes.model.graph import from_model, infer_shapes, load
from passes.model.writing import save, to_model
from passes.registry import parse_pass, parse_pipeline
from passes.rewrite.rewriter import Array
from passes.state import Exit, copy_graph, state_of
from tests.passes import token_nets
from tests.passes.equivalence import batch_of, check_shapes, run_model
from tests.passes.grids import add_grids
from tests.passes.net_builder import NetBuilder
from tests.passes.small_nets import chain, two_exits
from tests.passes.test_lowering_properties import decide, thresholds_for


def signal() -> onnx.ModelProto:
    """Return three convolutions over one spatial axis and a classifier."""
    net, x = NetBuilder((1, 2, 20)), "x"
    for cin, cout in ((2, 4), (4, 6), (6, 4)):
        weights = net.normal(cout, cin, 3, scale=(3 * cin) ** -0.5)
        x = net.op("Relu", net.op("Conv", x, weights, net.normal(cout, scale=0.1), pads=[1, 1]))
    pooled = net.op("Flatten", net.op("GlobalAveragePool", x))
    return net.model(net.op("Gemm", pooled, net.normal(3, 4), net.normal(3), transB=1))


def head_layers(graph: gs.Graph, item: Exit) -> tuple[HeadLayer, ...]:
    """Return the layers that the head of an exit has by its design; of what it reuses one number is read."""
    assert item.head is not None
    tensors = graph.tensors()
    mount, classes = tensors[item.mount], int(tensors[item.output].shape[-1])
    shape = tuple(int(d) for d in mount.shape[1:])
    return item.head.on(shape, classes, reading_on(mount, graph).layers, int(bool(item.reads)))


# Network, two of its mounts, and how many spatial axes a head has there.
NETWORKS: dict[str, tuple[Callable[[], onnx.ModelProto], tuple[str, str], int]] = {
    "maps": (lambda: chain(4), ("relu_0", "relu_1"), 2),
    "signal": (signal, ("relu_0", "relu_1"), 1),
    "vectors": (lambda: token_nets.mlp((8, 12, 10, 9)), ("relu_0", "relu_1"), 0),
    "tokens": (token_nets.vit, ("add_8", "add_16"), 0),
}


def canonical(model: onnx.ModelProto) -> gs.Graph:
    graph = from_model(model)
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    return graph


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("network", NETWORKS)
def test_every_family_reads_every_kind_of_mount_or_is_refused_by_name(network: str, family: str) -> None:
    build, mounts, spatial = NETWORKS[network]
    model = build()
    plain = canonical(model)
    if spatial not in FAMILIES[family].spatial:
        with pytest.raises(InputError, match=f"an exit at '.+': head '{family}' reads no features with"):
            InsertExits(mounts, family)(copy_graph(plain))
        return
    x = batch_of(model, 1)
    expected = run_model(to_model(plain), x)[0]
    listed = list(members(FAMILIES[family]))
    for design in listed[:: max(1, len(listed) // 12)]:
        graph = copy_graph(plain)
        given = f"{design.alone().name},{design.name}"
        try:
            InsertExits(mounts, given)(graph)
        except InputError as error:
            assert spatial == 0 and "have no" in error.message
            continue
        first, second, final = state_of(graph).exits
        assert (first.head, second.head, final.head) == (design.alone(), design, None)
        assert (first.reads, second.reads) == ("", "" if design.reuse == "none" else "exit_0")
        for item in (first, second):
            ops = [op for layer in head_layers(graph, item) for op in layer.ops]
            assert [node.op for node in head_nodes(graph, item)] == ops
        written = {t.name: list(t.shape) for t in graph.tensors().values()}
        infer_shapes(graph)
        assert {t.name: list(t.shape) for t in graph.tensors().values()} == written
        outputs = run_model(to_model(graph), x)
        assert [o.shape for o in outputs] == [expected.shape] * 3 and np.isfinite(outputs[1]).all()
        np.testing.assert_array_equal(outputs[2], expected)


def boosted(reuse: str, family: str = "linear", model: onnx.ModelProto | None = None) -> gs.Graph:
    """Return a network with three exits, the second and third of which read the one before."""
    graph = canonical(model or chain(5))
    InsertExits(("3",), f"{family}{{reuse={reuse}}}", seed=3)(graph)
    return graph


def test_logits_are_those_of_the_own_classifier_and_of_the_exit_before() -> None:
    graph = boosted("logits")
    graph.outputs += [graph.tensors()["exit_1/gemm_out"], graph.tensors()["exit_2/gemm_out"]]
    e0, e1, e2, _, f1, f2 = run_model(to_model(graph), batch_of(chain(5), 1))
    np.testing.assert_allclose(e1, f1 + e0, rtol=1e-6)
    np.testing.assert_allclose(e2, f2 + e1, rtol=1e-6)


def test_a_classifier_reads_what_that_of_the_exit_before_reads() -> None:
    graph = boosted("features", "mlp")
    gemms = [[n for n in head_nodes(graph, e) if n.op == "Gemm"][-1] for e in state_of(graph).exits[:-1]]
    graph.outputs += [gemm.inputs[0] for gemm in gemms]
    *_, h0, h1, h2 = run_model(to_model(graph), batch_of(chain(5), 1))
    np.testing.assert_array_equal(h1[:, -h0.shape[1] :], h0)
    np.testing.assert_array_equal(h2[:, -h1.shape[1] :], h1)
    assert h2.shape[1] == 3 * 32, "eight times four channels each"


@pytest.mark.parametrize("reuse", ["logits", "features"])
def test_a_node_that_two_exits_need_belongs_to_the_first(reuse: str) -> None:
    graph = boosted(reuse, "conv")
    exits = state_of(graph).exits
    for item in exits[:-1]:
        ops = [op for layer in head_layers(graph, item) for op in layer.ops]
        assert [n.op for n in head_nodes(graph, item)] == ops
        assert {n.name.partition("/")[0] for n in head_nodes(graph, item)} == {item.name}
    assert [[r.name for r in readers_of(graph, e)] for e in exits] == [
        ["exit_1", "exit_2"],
        ["exit_2"],
        [],
        [],
    ]
    assert [len(stage.entries) for stage in cut(graph)] == [1, 2, 2, 1]


FORMS = {"float": "", "quantized": "quantize", "lowered": "quantize,fold-qdq"}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("reuse", "family", "network"),
    [
        ("logits", "linear", "maps"),
        ("logits", "mlp", "vectors"),
        ("features", "conv", "maps"),
        ("features", "separable", "maps"),
        ("features", "feature", "vectors"),
    ],
)
def test_files_that_exit_early_answer_as_the_flat_network(
    reuse: str, family: str, network: str, form: str, tmp_path: Path
) -> None:
    model = chain(5) if network == "maps" else token_nets.mlp((8, 16, 12, 10, 9, 6))
    graph = boosted(reuse, family, model)
    images = batch_of(model, 9)
    if FORMS[form]:
        add_grids(graph, images)
        parse_pipeline(FORMS[form])(graph)
    check_shapes(graph)
    parse_pipeline("fuse-layers")(graph)
    # other nodes are fused in float graphs of other extent
    again = check_early_files(graph, images, tmp_path, optimize=form != "float")
    assert [e.reads for e in state_of(again).exits] == ["", "exit_0", "exit_1", ""]


def check_early_files(graph: gs.Graph, images: Array, folder: Path, *, optimize: bool) -> gs.Graph:
    """Check that stages and the nested form of a network with four exits answer as it does, bit for bit.

    Its thresholds are set so that some image leaves at every exit.

    Returns:
        The network as it is read from its file.
    """
    flat = [run_model(to_model(graph), image[None], optimize) for image in images]
    set_thresholds(graph, thresholds_for(flat, 4))
    thresholds = [float(e.threshold or 0) for e in state_of(graph).exits]
    again = load(save(graph, folder / "flat.onnx"))
    assert state_of(again).exits == state_of(graph).exits == recognise_exits(again)
    stages = []
    for number in range(4):
        stage = copy_graph(again)
        parse_pass(f"split-stages{{stage={number}}}")(stage)
        stages.append(to_model(load(save(stage, folder / "stage.onnx"))))
    nested = copy_graph(again)
    parse_pass("nest-exits")(nested)
    onnx.checker.check_model(dynamic := to_model(nested), full_check=True)
    left_at = set()
    for image, logits in zip(images, flat, strict=True):
        expected, number, _ = decide(logits, thresholds)
        left_at.add(number)
        found = run_model(dynamic, image[None], optimize)
        assert int(found[1][0]) == number
        np.testing.assert_array_equal(found[0], expected)
        np.testing.assert_array_equal(staged(stages, number, image[None], optimize), expected)
    assert left_at == {0, 1, 2, 3}
    return again


def staged(stages: list[onnx.ModelProto], last: int, image: Array, optimize: bool) -> Array:
    """Return the logits of stage ``last``; each reads by name what those before hand on."""
    import onnxruntime as ort

    known: dict[str, Array] = {stages[0].graph.input[0].name: image}
    for model in stages[: last + 1]:
        options = ort.SessionOptions()
        if not optimize:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        found = session.run(None, {t.name: known[t.name] for t in session.get_inputs()})
        known |= dict(zip((t.name for t in session.get_outputs()), found, strict=True))
    return known["logits"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("reuse", ["logits", "features"])
def test_an_exit_is_kept_only_with_the_one_it_reads(reuse: str, form: str) -> None:
    graph = boosted(reuse)
    images = batch_of(chain(5), 3)
    if FORMS[form]:
        add_grids(graph, images)
        parse_pipeline(FORMS[form])(graph)
    for names in (["exit_1"], ["exit_2"], ["exit_0", "exit_2"]):
        with pytest.raises(
            InputError, match=r"exit 'exit_(1|2)' reads 'exit_(0|1)', which is not kept \(linear"
        ):
            keep_exits(graph, names)
    expected = run_model(to_model(graph), images[:1])
    for names in ([], ["exit_0"], ["exit_1", "exit_0"]):
        few = keep_exits(graph, names)
        assert [e.reads for e in state_of(few).exits[:-1]] == ["", "exit_0"][: len(names)]
        for a, b in zip(
            run_model(to_model(few), images[:1]), [*expected[: len(names)], expected[3]], strict=True
        ):
            np.testing.assert_array_equal(a, b)


def test_an_exit_inserted_between_two_leaves_what_they_read_and_moves_the_names() -> None:
    graph = canonical(chain(5))
    InsertExits(("relu_0", "relu_3"), "linear,conv{reuse=features}")(graph)
    x = batch_of(chain(5), 1)
    before = run_model(to_model(graph), x)
    InsertExits(("relu_2",), "linear{reuse=logits}")(graph)
    assert [(e.name, e.head_name, e.reads) for e in state_of(graph).exits] == [
        ("exit_0", "linear", ""),
        ("exit_1", "linear{reuse=logits}", "exit_0"),
        ("exit_2", "conv{reuse=features}", "exit_0"),
        ("final", "", ""),
    ]
    after = run_model(to_model(graph), x)
    for a, b in zip([after[0], after[2], after[3]], before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert [n.op for n in head_nodes(graph, state_of(graph).exits[0])] == ["MaxPool", "Flatten", "Gemm"]
    few = keep_exits(graph, ["exit_0", "exit_2"])
    assert [e.reads for e in state_of(few).exits] == ["", "exit_0", ""]


def test_a_rival_reads_the_same_head_of_the_mount_before() -> None:
    graph = canonical(chain(5))
    InsertExits(("3",), "linear")(graph)
    add_rival_heads(graph, [LINEAR, CONV, *map(parse_head, ("conv{reuse=logits}", "mlp{reuse=features}"))])
    exits = {e.name: e for e in state_of(graph).exits}
    listed = [(e.head_name, exits[e.reads].head_name if e.reads else "") for e in exits.values()]
    one = [("linear", ""), ("conv", "")]
    assert listed == [
        *one,
        *one, ("conv{reuse=logits}", "conv"), ("mlp{reuse=features}", "linear"),
        *one, ("conv{reuse=logits}", "conv{reuse=logits}"), ("mlp{reuse=features}", "mlp{reuse=features}"),
        ("", ""),
    ]  # fmt: skip
    read = [exits[e.reads].mount for e in exits.values() if e.reads]
    assert read == [list(exits.values())[k].mount for k in (0, 0, 2, 2)], "of the mount before"


@pytest.mark.parametrize("head", ["linear{reuse=logits}", "conv{reuse=features}"])
def test_a_quantized_network_may_get_a_head_that_reuses(head: str) -> None:
    graph = canonical(chain(5))
    InsertExits(("relu_0",), "conv")(graph)
    images = batch_of(chain(5), 3)
    add_grids(graph, images)
    parse_pipeline("quantize")(graph)
    expected = run_model(to_model(graph), images[:1])
    lowered = copy_graph(graph)
    deeper = [mount.tensor for mount in find_mounts(graph) if mount.ok][-1]
    assert InsertExits((state_of(graph).exits[0].mount, deeper), head)(graph)
    _, second, _ = state_of(graph).exits
    assert second.reads == "exit_0"
    assert all(node.name.startswith("exit_1/") for node in head_nodes(graph, second))
    found = run_model(to_model(graph), images[:1])
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[2], expected[1])
    parse_pipeline("fold-qdq")(lowered)
    if "features" in head:
        with pytest.raises(InputError, match="the features of exit 'exit_0' are integers that no Dequantize"):
            reused_tensor(lowered, state_of(lowered).exits[0], "features")


def test_what_of_an_exit_of_the_user_can_be_reused() -> None:
    graph = from_model(two_exits())
    early, _ = recognise_exits(graph)
    assert reused_tensor(graph, early, "none") is None
    logits = reused_tensor(graph, early, "logits")
    assert logits is not None and logits.name == early.output
    with pytest.raises(InputError, match="the head of exit 'exit_0' is the network's own"):
        reused_tensor(graph, early, "features")
    early.__dict__["apart"] = True
    with pytest.raises(InputError, match="answers only where an input leaves"):
        reused_tensor(graph, early, "logits")
    assert early.confidence is MAX_SOFTMAX


def test_shape_only_heads_that_reuse_are_symbolic() -> None:
    graph = canonical(chain(5))
    state_of(graph).symbolic = True
    InsertExits(("2",), "separable{reuse=features}")(graph)
    weights = [n.inputs[1] for n in graph.nodes if n.name.startswith("exit_") and n.op in ("Conv", "Gemm")]
    assert len(weights) == 6 and not any(any(t.values.strides) for t in weights)
