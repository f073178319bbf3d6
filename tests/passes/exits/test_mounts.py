from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from passes.errors import InputError
from passes.exits.mounts import Mount, find_mounts, resolve_mounts
from passes.model.graph import from_model, load
from passes.registry import parse_pipeline
from passes.state import Exit, state_of
from tests.passes.model.branching_nets import skips_a_block
from tests.passes.net_builder import NetBuilder
from tests.passes.token_nets import mlp, recurrent
from tests.shared_files import shared


def canonical(graph: gs.Graph) -> gs.Graph:
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    return graph


def residual_net() -> gs.Graph:
    """Stem, a residual block, a strided one whose skip is a Conv, a head."""
    net = NetBuilder((1, 3, 8, 8))
    stem = net.op("Relu", net.conv("x", 3, 4))
    inner = net.conv(net.op("Relu", net.conv(stem, 4, 4)), 4, 4)
    one = net.op("Relu", net.op("Add", inner, stem))
    down = net.conv(one, 4, 8, strides=[2, 2])
    skip = net.conv(one, 4, 8, kernel=1, strides=[2, 2])
    two = net.op("Relu", net.op("Add", down, skip))
    three = net.op("Relu", net.conv(two, 8, 8))
    pooled = net.op("Flatten", net.op("GlobalAveragePool", three))
    return canonical(from_model(net.model(net.op("Gemm", pooled, net.normal(5, 8), transB=1))))


def by_name(graph: gs.Graph) -> dict[str, Mount]:
    return {mount.name: mount for mount in find_mounts(graph)}


def test_mounts_are_the_single_tensor_cuts() -> None:
    assert [m.name for m in find_mounts(residual_net()) if m.ok] == ["relu_0", "relu_2", "relu_3"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("input", "the model input: nothing has been computed yet"),
        ("conv_0", "relu_0 follows at once: its output is the mount"),
        ("conv_1", "bypassed by a skip connection: add_0 joins around it"),
        ("conv_4", "bypassed by a skip connection: add_1 joins around it"),
        ("add_1", "relu_3 follows at once: its output is the mount"),
        ("relu_4", "only the final classifier is left behind it"),
        ("flatten_0", "holds the values of globalaveragepool_0 in another form (Flatten)"),
        ("gemm_0", "the logits themselves"),
    ],
)
def test_every_other_tensor_has_its_reason(name: str, reason: str) -> None:
    mount = by_name(residual_net())[name]
    assert (mount.ok, mount.rank, mount.reason) == (False, None, reason)


def test_macs_in_front_of_a_mount() -> None:
    found = by_name(residual_net())
    stem, block, down, last, classifier = 64 * 27 * 4, 2 * 64 * 36 * 4, 16 * (36 + 4) * 8, 16 * 72 * 8, 40
    assert found["input"].macs == 0
    assert found["relu_0"].macs == stem
    assert found["relu_2"].macs == stem + block
    assert found["relu_3"].macs == stem + block + down
    total = stem + block + down + last + classifier
    assert found["relu_3"].macs_fraction == pytest.approx((stem + block + down) / total)
    assert found["gemm_0"].macs_fraction == 1.0


def test_ranks_are_a_permutation_and_prefer_block_ends() -> None:
    found = by_name(residual_net())
    assert sorted(m.rank for m in found.values() if m.rank is not None) == [1, 2, 3]
    assert found["relu_0"].rank == 3
    assert [m.name for m in resolve_mounts(residual_net(), "2")] == ["relu_2", "relu_3"]


def test_more_exits_contain_the_fewer() -> None:
    graph = residual_net()
    chosen = [{m.name for m in resolve_mounts(graph, str(count))} for count in (1, 2, 3)]
    assert chosen[0] < chosen[1] < chosen[2]


def test_names_of_all_kinds_resolve_in_network_order() -> None:
    graph = residual_net()
    tensor = by_name(graph)["relu_0"].tensor
    node = next(n.name for n in graph.nodes if n.outputs[0].name == by_name(graph)["relu_2"].tensor)
    assert [m.name for m in resolve_mounts(graph, f"relu_3, {tensor},{node}")] == [
        "relu_0",
        "relu_2",
        "relu_3",
    ]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("rellu_2", "did you mean 'relu_2'"),
        ("relu_2,relu_2", "same mount"),
        ("conv_1", "add_0 joins around it"),
        ("4", "4 exits asked for, but this network has 3 mounts: relu_0, relu_2, relu_3"),
        ("0", "at least 1, not 0"),
        ("-1", "at least 1, not -1"),
        ("", "no tensor or node is called ''"),
    ],
)
def test_what_cannot_be_resolved(spec: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        resolve_mounts(residual_net(), spec)
    assert message in str(error.value)


def test_network_without_mounts() -> None:
    net = NetBuilder((1, 3, 4, 4))
    parallel = net.op("Add", net.conv("x", 3, 3), "x")
    pooled = net.op("Flatten", net.op("GlobalAveragePool", parallel))
    graph = canonical(from_model(net.model(net.op("Gemm", pooled, net.normal(2, 3), transB=1))))
    with pytest.raises(InputError, match="no tensor an exit could read") as error:
        resolve_mounts(graph, "1")
    assert error.value.exit_code == 2
    assert "add_0, globalaveragepool_0: only the final classifier is left behind it" in str(error.value)
    assert "conv_0: bypassed by a skip connection: add_0 joins around it" in str(error.value)
    assert "none alone separates" not in str(error.value), "add_0 does"


def test_network_whose_tensors_are_all_bypassed() -> None:
    net = NetBuilder((1, 3, 4, 4))
    left, right = (net.op("Relu", net.conv("x", 3, 3)) for _ in range(2))
    flat = [net.op("Gemm", net.op("Flatten", t), net.normal(2, 48), transB=1) for t in (left, right)]
    graph = canonical(from_model(net.model(net.op("Add", *flat))))
    with pytest.raises(InputError, match="none alone separates the input from the output") as error:
        resolve_mounts(graph, "1")
    assert "add_0 joins around it" in str(error.value)


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        (2, "gemm_0, relu_0: only the final classifier is left behind it"),
        (1, "gemm_0: the logits themselves"),
    ],
)
def test_plain_mlp(layers: int, reason: str) -> None:
    net = NetBuilder((1, 8))
    x = "x"
    for _ in range(layers - 1):
        x = net.op("Relu", net.op("Gemm", x, net.normal(8, 8), transB=1))
    graph = canonical(from_model(net.model(net.op("Gemm", x, net.normal(3, 8), transB=1))))
    with pytest.raises(InputError, match="no tensor an exit could read") as error:
        resolve_mounts(graph, "1")
    assert reason in str(error.value)
    assert "none alone separates" not in str(error.value)


@pytest.mark.parametrize(
    ("widths", "reason"),
    [
        ((64, 64, 4, 4), "only 0.2% of the MACs are left behind it, beside the final classifier"),
        ((16, 16, 16), ""),
        ((64, 64), "only the final classifier is left behind it"),
    ],
)
def test_work_behind_a_tensor_is_counted_in_macs(widths: tuple[int, ...], reason: str) -> None:
    found = by_name(canonical(from_model(mlp((64, *widths)))))
    mount = found[f"relu_{len(widths) - 2}"] if len(widths) > 2 else found["relu_1"]
    assert (mount.ok, mount.reason if not mount.ok else "") == (not reason, reason)


def test_nothing_is_left_behind_the_last_product() -> None:
    net = NetBuilder((1, 8))
    x = net.op("Relu", net.op("Gemm", "x", net.normal(8, 8)))
    scaled = net.op("Relu", net.op("Gemm", x, net.normal(8, 3)))
    graph = canonical(from_model(net.model(net.op("Tanh", scaled))))
    assert by_name(graph)["relu_1"].reason == "no multiply-accumulate is left behind it"


def test_work_in_bodies_of_control_flow_counts() -> None:
    found = by_name(from_model(skips_a_block()))
    assert found["if_0"].macs == 2 * 4 * 9 * 64 + 4 * 4 * 9 * 64
    assert found["relu_0"].reason.endswith("33% of the MACs run before it")
    assert found["greater_0"].reason == "bypassed by a skip connection: if_0 joins around it"


def test_outputs_that_nothing_reads_say_so() -> None:
    found = by_name(canonical(from_model(recurrent("LSTM"))))
    assert found["lstm_0.1"].reason == "no output depends on it"


def test_several_outputs_lead_to_the_last_exit() -> None:
    net = NetBuilder((1, 3, 8, 8))
    stem = net.op("Relu", net.conv("x", 3, 4))
    early = net.op("Flatten", net.op("GlobalAveragePool", stem))
    first = net.op("Gemm", early, net.normal(5, 4), transB=1)
    deep = net.op("Relu", net.conv(net.op("MaxPool", stem, kernel_shape=[2, 2], strides=[2, 2]), 4, 4))
    pooled = net.op("Flatten", net.op("GlobalAveragePool", deep))
    last = net.op("Gemm", pooled, net.normal(5, 4), transB=1)
    graph = canonical(from_model(net.model(last, first)))
    found = by_name(graph)
    assert found["gemm_0"].reason == f"lies on the way to '{first}', not to the final output '{last}'"
    assert [m.name for m in found.values() if m.ok] == ["relu_0", "maxpool_0"]
    state_of(graph).exits = [Exit("exit_0", found["relu_0"].tensor, first), Exit("final", deep, last)]
    assert by_name(graph)["relu_0"].reason == "already carries exit 'exit_0'"


def test_wide_insides_of_inverted_bottlenecks_rank_last() -> None:
    net = NetBuilder((1, 4, 8, 8))
    x = net.conv("x", 4, 4)
    for _ in range(2):
        wide = net.op("Relu", net.conv(x, 4, 24, kernel=1))
        deep = net.op("Relu", net.conv(wide, 24, 24, group=24))
        x = net.conv(deep, 24, 4, kernel=1)
    end = net.op("Relu", net.conv(x, 4, 8, strides=[2, 2]))
    pooled = net.op("Flatten", net.op("GlobalAveragePool", end))
    graph = canonical(from_model(net.model(net.op("Gemm", pooled, net.normal(2, 8), transB=1))))
    mounts = sorted((m for m in find_mounts(graph) if m.rank is not None), key=lambda m: m.rank or 0)
    assert ["relu" in m.name for m in mounts] == sorted("relu" in m.name for m in mounts)
    end_of_size = next(m for m in mounts if m.name == "conv_6")
    assert end_of_size.reason.startswith("last narrow tensor of its size, very late")


def test_resnet8() -> None:
    path = shared("models", "resnet8_cifar10.onnx")
    graph = canonical(load(path))
    assert [m.name for m in resolve_mounts(graph, "2")] == ["relu_2", "relu_4"]
    final = find_mounts(graph)[-1]
    # MLPerf Tiny ResNet8: 12.5 M MACs, the sum of its Conv and Gemm layers.
    assert final.macs == 12_501_632
    assert np.isclose(final.macs_fraction, 1.0)


def test_a_tensor_whose_first_axis_is_no_batch_is_no_mount() -> None:
    net = NetBuilder((1, 2, 8, 8))
    x = net.op("Relu", net.conv("x", 2, 4))
    windows = net.op("Softmax", net.op("Reshape", x, net.const([4, 4, 4, 4], np.int64)))
    x = net.op("Reshape", windows, net.const([1, 4, 8, 8], np.int64))
    x = net.op("Flatten", net.op("GlobalAveragePool", net.op("Relu", net.conv(x, 4, 4))))
    graph = from_model(net.model(net.op("Gemm", x, net.normal(3, 4), transB=1)))
    (found,) = [mount for mount in find_mounts(graph) if mount.tensor == windows]
    assert not found.ok
    assert found.reason == "its first axis, of 4, is not the batch: an exit reads one image's features"
