from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.eecompile.training.operators.single import Shape, agree, graph_of, network
from tests.needs import needs_torch

pytestmark = needs_torch
NEAREST = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
WHERE = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")


def resized(shape: Shape, scales: Any = None, sizes: Any = None, **attrs: Any) -> Any:
    """Return a network of one Resize, by scales or to sizes."""
    return network(
        "Resize",
        [shape],
        [
            None,
            None if scales is None else np.array(scales, np.float32),
            None if sizes is None else np.array(sizes, np.int64),
        ][: 2 if sizes is None else 3],
        **attrs,
    )


def on_an_edge(size: int, out: int, scale: Fraction, rounding: str) -> bool:
    """Return whether a place that symmetry shifts lies on an edge between two pixels.

    The shift is no binary fraction: the last bit of a sum, whose order compilers choose, decides there.
    """
    shift = Fraction(size, 2) * (1 - Fraction(out) / (scale * size)) - Fraction(1, 2)
    edge = Fraction(1, 2) if "prefer" in rounding else Fraction(0)
    places = ((2 * place + 1) / (2 * scale) + shift for place in range(out))
    return size != out and any((place + edge).denominator == 1 for place in places)


# All are binary fractions.
FACTORS = st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0, 0.75, 2.5])


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(["nearest", "linear"]),
    st.sampled_from(WHERE),
    st.sampled_from(NEAREST),
    FACTORS,
    FACTORS,
    st.data(),
)
def test_by_scales(
    mode: str, where: str, rounding: str, down: float, along: float, data: st.DataObject
) -> None:
    size = data.draw(st.tuples(st.integers(2, 5), st.integers(2, 5)))
    if (mode, where) == ("nearest", "half_pixel_symmetric"):
        for n, factor in zip(size, (down, along), strict=True):
            assume(not on_an_edge(n, int(n * factor), Fraction(factor), rounding))
    attrs: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": where, "nearest_mode": rounding}
    agree(resized((1, 2, *size), scales=(1, 1, down, along), **attrs), mapped=False)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["nearest", "linear"]), st.sampled_from(WHERE), st.data())
def test_to_sizes(mode: str, where: str, data: st.DataObject) -> None:
    size, wanted = (data.draw(st.tuples(st.integers(1, 5), st.integers(1, 6))) for _ in "ab")
    if (mode, where) == ("nearest", "half_pixel_symmetric"):
        for n, out in zip(size, wanted, strict=True):
            assume(not on_an_edge(n, out, Fraction(out, n), "floor"))
    attrs: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": where, "nearest_mode": "floor"}
    agree(resized((1, 2, *size), sizes=(1, 2, *wanted), **attrs), mapped=False)


def test_of_one_axis() -> None:
    agree(resized((1, 2, 5), scales=(1, 1, 2), mode="linear"), mapped=False)


def test_given_axes() -> None:
    agree(resized((1, 2, 3, 5), scales=(2, 1.5), axes=[-1, 2], mode="linear"), mapped=False)
    agree(resized((1, 2, 3, 5), sizes=(7, 4), axes=[2, 3], mode="linear"), mapped=False)


def test_of_the_batch_is_of_one_image() -> None:
    agree(resized((1, 2), scales=(2, 1), mode="nearest"), mapped=True)


@pytest.mark.parametrize(
    ("attrs", "reason"),
    [
        ({"mode": "cubic"}, "its mode is cubic"),
        ({"mode": "linear", "antialias": 1}, "it crops or blurs while it resizes"),
        ({"keep_aspect_ratio_policy": "not_larger"}, "it keeps the aspect ratio"),
    ],
)
def test_what_is_not_done_is_refused(attrs: dict[str, Any], reason: str) -> None:
    from eecompile.training.torch_graph import TorchGraph
    from passes.errors import InputError

    model = resized((1, 2, 4, 4), sizes=(2, 6), axes=[2, 3], **attrs)
    with pytest.raises(InputError, match=rf"'the_node' \(Resize\) .* {reason}"):
        TorchGraph(graph_of(model))


def test_what_is_tested_is_what_there_is() -> None:
    from eecompile.training.operators.resize import BUILDERS

    assert BUILDERS.keys() == {"Resize"}
