"""Operators that keep each value with its channel, or do not, as they are told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from passes.model.graph import from_model
from passes.pruning.groups import find_groups
from tests.passes.net_builder import NetBuilder
from tests.passes.pruning.zeroed import check_removal


@pytest.mark.parametrize(
    ("op", "lists", "attrs", "stays"),
    [
        ("ReduceMean", [[2, 3]], {"keepdims": 0}, ""),
        ("ReduceMax", [[-1]], {}, ""),
        ("ReduceMean", [[1]], {}, "makes one value of several channels"),
        ("ReduceSum", [], {}, "makes one value of several channels"),
        ("Softmax", [], {"axis": -1}, ""),
        ("LogSoftmax", [], {"axis": -3}, "weighs channels against each other"),
        ("Pad", [[1, 2], None, [-1, -2]], {}, ""),
        ("Pad", [[1, 0], None, [1]], {}, "adds channels"),
        ("Clip", [], {}, ""),
    ],
)
def test_axes_say_whether_channels_may_go(
    op: str, lists: list[list[int] | None], attrs: dict[str, Any], stays: str
) -> None:
    net = NetBuilder((1, 2, 4, 4))
    x = net.conv("x", 2, 6)
    if op == "Pad":
        lists = [[1, 1, 1, 1], None, [-1, -2]] if not stays else lists
    made = net.op(op, x, *("" if given is None else net.const(given, np.int64) for given in lists), **attrs)
    flat = net.op("Flatten", made)
    size = int(np.prod(from_model(net.model(flat)).outputs[0].shape))
    found = check_removal(net.model(net.op("Gemm", flat, net.normal(size, 3))))
    assert [len(group) for group in found.groups] == ([] if stays else [6])
    assert stays in found.kept.get("n0_Conv", "")


@pytest.mark.parametrize("kind", ["one for all", "other axes"])
def test_arithmetic_across_channels_keeps_them(kind: str) -> None:
    net = NetBuilder((1, 2, 4, 4))
    x = net.conv("x", 2, 4)
    one = net.conv(x, 4, 1)
    made = {
        "one for all": lambda: net.op("Mul", x, one),
        "other axes": lambda: net.op("Add", x, net.op("Transpose", x, perm=[0, 2, 3, 1])),
    }[kind]()
    found = find_groups(from_model(net.model(net.conv(made, 4, 2))))
    assert "n0_Conv" in found.kept
    assert not found.groups
