"""What moves values: parts along other axes, and what selects channels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.passes.net_builder import NetBuilder
from tests.passes.pruning.zeroed import check_removal


@pytest.mark.parametrize(
    ("kind", "units"),
    [
        ("columns", 6),  # a Split along another axis
        ("joined", 6),  # a Concat along another axis makes both one
        ("constant", 6),  # with a constant, which loses the same
        ("row", 6),  # a Gather along another axis
        ("part", 6),  # a Slice along another axis
        ("channels", 0),  # a Slice of channels
        ("turned", 6),  # channels to the end and flat
        ("mixed", 0),  # channels among pixels: all are one, and the last stays
    ],
)
def test_channels_through_moves(kind: str, units: int) -> None:
    net = NetBuilder((1, 2, 4, 4))
    x = net.conv("x", 2, 6)

    def numbers(*values: int) -> str:
        return net.const(values, np.int64)

    def columns() -> str:
        made = net.op("Split", x, numbers(1, 3), axis=3)
        net.nodes[-1].output.append(f"{made}_b")
        return net.op("Conv", f"{made}_b", net.normal(6, 6, 1, 1))

    kinds: dict[str, Callable[[], tuple[str, int]]] = {
        "columns": lambda: (columns(), 72),
        "joined": lambda: (net.op("Concat", x, net.op("Relu", net.conv(x, 6, 6)), axis=2), 192),
        "constant": lambda: (net.op("Concat", x, net.normal(1, 6, 1, 4), axis=2), 120),
        "row": lambda: (net.op("Gather", x, net.const(2, np.int64), axis=2), 24),
        "part": lambda: (net.op("Slice", x, numbers(0), numbers(2), numbers(-2)), 48),
        "channels": lambda: (net.op("Slice", x, numbers(0, 1), numbers(1, 3)), 32),
        "turned": lambda: (net.op("Transpose", x, perm=[0, 2, 3, 1]), 96),
        "mixed": lambda: (net.op("Relu", net.op("Reshape", x, numbers(1, 4, 6, 4))), 96),
    }
    made, size = kinds[kind]()
    flat = net.op("Flatten", made)
    found = check_removal(net.model(net.op("Gemm", flat, net.normal(size, 3))))
    assert (len(found.groups[0]) if found.groups else 0) == units
    assert units or "n0_Conv" in found.kept
