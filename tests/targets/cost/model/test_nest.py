"""Footprints of operands against walks over the loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.cost.model.nest import LoopNest, Shape, Window

few = st.integers(1, 7)
steps = st.integers(1, 4)


def walked(outer: int, inner: int, stride: int, dilation: int) -> int:
    """Return the number of different elements of an axis that two loops reach."""
    return len({stride * a + dilation * b for a in range(outer) for b in range(inner)})


def axis(outer: float, inner: float, stride: int, dilation: int, size: int = 10**6) -> float:
    window = Window("OX", "FX", stride, dilation, size)
    return float(Shape.axis(window, np.array(outer), np.array(inner)))


def convolution(**sizes: int) -> LoopNest:
    """Return a convolution of stride 2 along x; a window along y has no outer loop that runs."""
    loops = tuple(({"K": 3, "C": 2, "OX": 4, "FX": 3, "OY": 1, "FY": 1} | sizes).items())
    relevant = (
        ("O", frozenset({"K", "OX", "OY"})),
        ("I", frozenset({"C", "OX"})),  # of OX, what the window says counts
        ("W", frozenset({"K", "C", "FX", "FY"})),
    )
    windows = (Window("OX", "FX", 2, 1, 9), Window("OY", "FY", 1, 1, 99))
    return LoopNest(loops, ("O", "I", "W"), relevant, windows, (("W", 8), ("I", 8), ("O", 16)))


@given(few, few, steps, steps)
def test_an_axis_touches_the_elements_a_walk_reaches(a: int, b: int, stride: int, dilation: int) -> None:
    common = np.gcd(stride, dilation)
    found, there = axis(a, b, stride, dilation), walked(a, b, stride, dilation)
    if a >= dilation // common or b <= stride // common:
        assert found == there
    else:
        assert found >= there


def test_few_outputs_of_a_dilated_window_touch_its_holes_too() -> None:
    """One output of a window of three, every other element: the closed form counts all five it spans."""
    assert axis(1, 3, stride=1, dilation=2) == 5 > walked(1, 3, 1, 2)


@pytest.mark.parametrize(
    ("outer", "inner", "touched"),
    [
        (4, 3, 6),
        (3.75, 3, 5),  # fractions are rounded down
        (4 - 1e-12, 3, 6),  # but not the rounding of a product
        (20, 3, 8),  # the axis has no more: what is left over is padding
    ],
)
def test_fractions_and_padding(outer: float, inner: float, touched: float) -> None:
    assert axis(outer, inner, stride=1, dilation=1, size=8) == touched


@given(st.fixed_dictionaries({name: st.integers(1, 3) for name in ("K", "C", "OX", "FX", "OY", "FY")}))
def test_footprints_equal_a_walk_over_all_iterations(extents: dict[str, int]) -> None:
    shape = Shape(convolution())
    touched: dict[str, set[tuple[int, ...]]] = {"O": set(), "I": set(), "W": set()}
    for k, c, ox, fx, oy, fy in itertools.product(*(range(extents[name]) for name in shape.names)):
        touched["O"].add((k, oy, ox))
        touched["W"].add((k, c, fy, fx))
        touched["I"].add((c, oy + fy, 2 * ox + fx))
    steps = np.array([float(extents[name]) for name in shape.names])
    for operand, elements in touched.items():
        assert shape.footprint(operand, steps) == len(elements)
    # Many extents at once.
    stacked = np.stack([steps, np.ones_like(steps)])
    assert shape.footprint("W", stacked).tolist() == [len(touched["W"]), 1]


def test_loops_are_direct_irrelevant_or_of_a_window() -> None:
    shape = Shape(convolution(K=1))

    def named(masks: dict[str, np.ndarray]) -> dict[str, str]:
        return {
            op: " ".join(n for n, chosen in zip(shape.names, mask, strict=True) if chosen)
            for op, mask in masks.items()
        }

    assert named(shape.direct) == {"O": "K OX OY", "I": "C", "W": "K C FX FY"}
    # Loops that run once move nothing: K is not irrelevant to the input, OY not to the weights.
    assert named(shape.irrelevant) == {"O": "C FX", "I": "", "W": "OX"}


def test_operations_are_the_product_of_the_loops() -> None:
    nest = convolution(OY=5)
    assert nest.operations == 3 * 2 * 4 * 3 * 5
    assert nest.sizes == {"K": 3, "C": 2, "OX": 4, "FX": 3, "OY": 5, "FY": 1}
