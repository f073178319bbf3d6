"""Layers that are not followed, each with what is told of it."""

from __future__ import annotations

import numpy as np
import pytest

from passes.model.graph import from_model
from passes.pruning.groups import find_groups
from tests.passes.net_builder import NetBuilder


@pytest.mark.parametrize(
    ("op", "attrs", "reason"),
    [
        ("weights", {}, "the weights of Conv"),
        ("bias", {}, "the bias of Conv"),
        ("ConvTranspose", {"group": 2}, "has groups of several channels"),
        ("Gemm", {"transA": 1}, "reads its data transposed"),
        ("MatMul", {}, "is no product of data with a constant matrix"),
    ],
)
def test_channels_stay_where_a_layer_is_no_plain_one(op: str, attrs: dict[str, int], reason: str) -> None:
    net = NetBuilder((1, 2, 4, 4))
    x = net.conv("x", 2, 4)
    flat = net.op("Flatten", net.op("GlobalAveragePool", x))
    if op == "weights":
        made = net.op("Conv", x, net.op("Reshape", x, net.const([4, 4, 2, 2], np.int64)), pads=[0] * 4)
    elif op == "bias":
        made = net.op("Conv", x, net.normal(4, 4, 1, 1), net.op("Reshape", flat, net.const([4], np.int64)))
    elif op == "ConvTranspose":
        made = net.op("ConvTranspose", x, net.normal(4, 2, 2, 2), **attrs)
    elif op == "Gemm":
        made = net.op("Gemm", flat, net.normal(1, 3), **attrs)
    else:
        made = net.op("MatMul", net.op("Reshape", flat, net.const([4, 1], np.int64)), flat)
    found = find_groups(from_model(net.model(made)))
    assert not found.groups
    assert reason in found.kept["n0_Conv"]
