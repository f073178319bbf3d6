from __future__ import annotations

from typing import Any

import pytest

from tests.eecompile.training.operators.single import Shape, graph_of, network
from tests.needs import needs_torch

pytestmark = needs_torch


def window(size: Shape, kernel: Shape, **attrs: Any) -> Any:
    """Return the window of a MaxPool over [1, 1, *size]."""
    from eecompile.training.operators.windows import window_of

    (node,) = graph_of(network("MaxPool", [(1, 1, *size)], kernel_shape=kernel, **attrs)).nodes
    return window_of(node, kernel)


def test_as_declared() -> None:
    found = window((7, 8), (3, 2), strides=[2, 1], pads=[1, 0, 1, 1], dilations=[1, 2])
    assert (found.kernel, found.strides, found.dilations) == ((3, 2), (2, 1), (1, 2))
    assert (found.begin, found.end) == ((1, 0), (1, 1))
    assert found.reach == (1, 1)
    assert not found.plain


def test_left_out() -> None:
    found = window((7,), (3,))
    assert (found.strides, found.dilations, found.begin, found.end, found.reach) == (
        (1,),
        (1,),
        (0,),
        (0,),
        (0,),
    )
    assert found.plain


@pytest.mark.parametrize(
    ("auto", "begin", "end"),
    [("SAME_UPPER", (0, 1), (1, 1)), ("SAME_LOWER", (1, 1), (0, 1)), ("VALID", (0, 0), (0, 0))],
)
def test_automatic(auto: str, begin: Shape, end: Shape) -> None:
    found = window((6, 6), (2, 3), auto_pad=auto)
    assert (found.begin, found.end) == (begin, end)


def test_sizes_rounded_up_reach_further_than_is_padded() -> None:
    up, down = (window((6,), (3,), strides=[2], ceil_mode=mode) for mode in (1, 0))
    assert (up.reach, down.reach) == ((1,), (0,))
    assert not up.plain
    assert down.plain


def test_padded_puts_values_around() -> None:
    import torch

    from eecompile.training.operators.windows import padded

    x = torch.ones(1, 1, 2, 3)
    assert padded(x, (0, 0), (0, 0)) is x
    found = padded(x, (1, 0), (0, 2), -5.0)
    assert found.shape == (1, 1, 3, 5)
    assert (found[0, 0, 0] == -5).all()
    assert found[0, 0, 1].tolist() == [1, 1, 1, -5, -5]
