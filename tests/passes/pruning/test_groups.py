"""Which channels belong together: every structure, random networks, and what is not understood."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings

from passes.model.graph import from_model
from passes.pruning.groups import find_groups
from tests.passes.net_builder import NetBuilder
from tests.passes.pruning.zeroed import check_removal
from tests.passes.random_graphs import networks

Body = Callable[[NetBuilder, str], tuple[str, int]]


def _ends(net: NetBuilder, x: str, channels: int) -> onnx.ModelProto:
    last = net.conv(x, channels, 4)
    pooled = net.op("Flatten", net.op("GlobalAveragePool", last))
    return net.model(net.op("Gemm", pooled, net.normal(3, 4), net.normal(3), transB=1))


def _shuffled(net: NetBuilder, x: str) -> tuple[str, int]:
    grouped = net.conv(x, 8, 8, group=2)
    parted = net.op("Reshape", grouped, net.const([0, 2, 4, 6, 6], np.int64))
    turned = net.op("Transpose", parted, perm=[0, 2, 1, 3, 4])
    return net.conv(net.op("Reshape", turned, net.const([0, 8, 6, 6], np.int64)), 8, 8, group=2), 8


def _halves(net: NetBuilder, x: str) -> tuple[str, int]:
    net.op("Split", x, axis=1, num_outputs=2)
    node = net.nodes[-1]
    node.output.append(f"{node.output[0]}_b")
    return net.op("Concat", net.conv(node.output[0], 4, 4), node.output[1], axis=1), 8


def _dense(net: NetBuilder, x: str) -> tuple[str, int]:
    joined = net.op("Concat", x, net.conv(x, 8, 2), axis=1)
    return net.op("Concat", joined, net.batchnorm(net.conv(joined, 10, 2), 2), axis=1), 12


def _squeezed(net: NetBuilder, x: str) -> tuple[str, int]:
    mean = net.op("Flatten", net.op("GlobalAveragePool", x))
    hidden = net.op("Relu", net.op("Gemm", mean, net.normal(3, 8), net.normal(1, 3), transB=1))
    gate = net.op("Sigmoid", net.op("MatMul", hidden, net.normal(3, 8)))
    return net.op("Mul", x, net.op("Unsqueeze", gate, net.const([2, 3], np.int64))), 8


def _up(net: NetBuilder, x: str) -> tuple[str, int]:
    up = net.op("ConvTranspose", x, net.normal(8, 6, 2, 2), net.normal(6), strides=[2, 2])
    own = net.op("ConvTranspose", up, net.normal(6, 1, 2, 2), net.normal(6), group=6)
    sized = net.op("Resize", own, "", net.const([1, 1, 2, 2]), mode="nearest")
    return net.op("InstanceNormalization", sized, net.normal(6), net.normal(6)), 6


def _shared(net: NetBuilder, x: str) -> tuple[str, int]:
    weights, slope = net.normal(8, 8, 3, 3), net.normal(8, 1, 1)
    one = net.op("PRelu", net.op("Conv", x, weights, pads=[1] * 4), slope)
    two = net.op("PRelu", net.op("Conv", one, weights, pads=[1] * 4), slope)
    return net.op("Add", two, net.op("Conv", two, net.normal(8, 1, 3, 3), pads=[1] * 4, group=8)), 8


def _spatial(net: NetBuilder, x: str) -> tuple[str, int]:
    flat = net.op("Flatten", net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]))
    hidden = net.op("Gemm", flat, net.normal(16, 72), net.normal(16), transB=1)
    return net.op("Reshape", hidden, net.const([0, 4, 2, -1], np.int64)), 4


@pytest.mark.parametrize(
    ("body", "groups"),
    [
        (_shuffled, {"conv_0": 4, "conv_1": 2, "conv_2": 4}),
        (_halves, {"conv_0": 4, "conv_0.2": 4, "conv_1": 4}),
        (_dense, {"conv_0": 8, "conv_1": 2, "conv_2": 2}),
        (_squeezed, {"conv_0": 8, "gemm_0": 3}),
        (_up, {"conv_0": 8, "convtranspose_0": 6}),
        (_shared, {"conv_0": 8, "conv_1": 8, "conv_2": 8}),
        (_spatial, {"conv_0": 8, "gemm_0": 4}),
    ],
)
def test_every_structure_loses_channels_nobody_hears(body: Body, groups: dict[str, int]) -> None:
    net = NetBuilder((1, 2, 6, 6))
    found = check_removal(_ends(net, *body(net, net.conv("x", 2, 8))))
    sizes = {group.name: len(group) for group in found.groups}
    last = max((name for name in sizes if name.startswith("conv_")), key=lambda name: int(name[5:6]))
    assert sizes == groups | {last: 4}


def _unknown(net: NetBuilder, x: str) -> tuple[str, int]:
    return net.op("LRN", x, size=3), 8


def _layer_norm(net: NetBuilder, x: str) -> tuple[str, int]:
    return net.op("LayerNormalization", x, net.normal(8, 6, 6), axis=1), 8


def _over_channels(net: NetBuilder, x: str) -> tuple[str, int]:
    return net.op("Softmax", x, axis=1), 8


def _picked(net: NetBuilder, x: str) -> tuple[str, int]:
    return net.op("Gather", x, net.const([3, 1, 2, 0], np.int64), axis=1), 4


def _widened(net: NetBuilder, x: str) -> tuple[str, int]:
    return net.op("Pad", x, net.const([0, 1, 0, 0, 0, 1, 0, 0], np.int64)), 10


def _beside_the_input(net: NetBuilder, _: str) -> tuple[str, int]:
    net.shape = (1, 8, 6, 6)
    net.nodes.pop()
    return net.op("Add", net.conv("x", 8, 8), "x"), 8


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (_unknown, "it is not known what LRN 'n1_LRN' does with channels"),
        (_layer_norm, "LayerNormalization 'n1_LayerNormalization' weighs channels"),
        (_over_channels, "weighs channels against each other"),
        (_picked, "Gather 'n1_Gather' selects channels"),
        (_widened, "Pad 'n1_Pad' adds channels"),
        (_beside_the_input, "reads 'x' beside, whose channels stay"),
    ],
)
def test_what_is_not_understood_stays_with_a_reason(body: Body, reason: str) -> None:
    net = NetBuilder((1, 2, 6, 6))
    model = _ends(net, *body(net, net.conv("x", 2, 8)))
    found = check_removal(model)
    assert [group.name for group in found.groups] == ["conv_1"]
    assert reason in next(iter(found.kept.values()))


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(networks())
def test_random_networks(model: onnx.ModelProto) -> None:
    check_removal(model)


def test_a_group_is_found_by_any_of_its_layers() -> None:
    net = NetBuilder((1, 2, 6, 6))
    stem = net.conv("x", 2, 8)
    found = find_groups(from_model(_ends(net, net.op("Add", stem, net.conv(stem, 8, 8)), 8)))
    assert [found.group(name) for name in ("conv_0", "conv_1", "n1_Conv")] == [found.groups[0]] * 3
    assert found.group("gemm_0") is None
