from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.eecompile.training.operators.single import BATCH, agree, graph_of, images, network
from tests.needs import needs_torch

pytestmark = needs_torch
GLOBAL = ("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
TESTED = {"MaxPool", "AveragePool", "LpPool", *GLOBAL}


def drawn(data: st.DataObject, rank: int, op: str) -> tuple[list[int], dict[str, Any]]:
    """Return the spatial size and the attributes of a pooling that onnxruntime takes."""

    def numbers(low: int, high: int) -> list[int]:
        return data.draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank))

    size, kernel = numbers(5, 8), numbers(1, 3)
    attrs: dict[str, Any] = {"kernel_shape": kernel}
    if data.draw(st.booleans()):
        attrs["strides"] = numbers(1, 3)
    dilated = data.draw(st.booleans())
    if dilated:
        attrs["dilations"] = numbers(1, 2)
    auto = data.draw(st.sampled_from(["NOTSET", "NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if auto != "NOTSET" and not dilated:
        attrs["auto_pad"] = auto
        if auto.startswith("SAME"):  # onnxruntime pads by less than nothing where steps leave elements out
            assume(all(k >= s for k, s in zip(kernel, attrs.get("strides", [1] * rank), strict=True)))
        return size, attrs
    if data.draw(st.booleans()):  # less than the kernel, as onnxruntime wants it
        attrs["pads"] = [data.draw(st.integers(0, k - 1)) for k in (*kernel, *kernel)]
    if data.draw(st.booleans()):
        attrs["ceil_mode"] = 1
    if op == "AveragePool" and data.draw(st.booleans()):
        attrs["count_include_pad"] = 1
    return size, attrs


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "LpPool"])
@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(1, 2))
def test_windows(op: str, data: st.DataObject, rank: int) -> None:
    size, attrs = drawn(data, rank, op)
    if op == "LpPool" and data.draw(st.booleans()):
        attrs["p"] = data.draw(st.integers(1, 3))
    model = network(op, [(1, 2, *size)], **attrs)
    declared = [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim[2:]]
    begin, steps = attrs.get("pads", [0] * rank), attrs.get("strides", [1] * rank)
    # onnxruntime drops a window that begins behind the input; for such onnx infers another shape
    assume(all((o - 1) * s < n + b for o, s, n, b in zip(declared, steps, size, begin, strict=False)))
    agree(model, mapped=False)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_three_axes(op: str) -> None:
    attrs: dict[str, Any] = {"kernel_shape": [2, 3, 2], "strides": [1, 2, 1], "pads": [0, 1, 0, 1, 1, 1]}
    agree(network(op, [(1, 2, 4, 5, 4)], **attrs))


def test_padding_is_smaller_than_all_numbers() -> None:
    model = network("MaxPool", [(1, 1, 4, 4)], kernel_shape=[3, 3], pads=[2, 2, 2, 2], ceil_mode=1)
    agree(model, [-np.abs(x) - 1 for x in images(model)])


@pytest.mark.parametrize("op", GLOBAL)
@pytest.mark.parametrize("size", [(5,), (3, 4), (1, 1), (2, 3, 2)])
def test_all_of_space(op: str, size: tuple[int, ...]) -> None:
    attrs: dict[str, Any] = {"p": 3} if op == "GlobalLpPool" and len(size) == 2 else {}
    agree(network(op, [(1, 3, *size)], **attrs), mapped=False)


@pytest.mark.parametrize(("op", "attrs"), [("LpPool", {"kernel_shape": [2, 2]}), ("GlobalLpPool", {})])
def test_windows_of_zeros_have_gradient_zero(op: str, attrs: dict[str, Any]) -> None:
    """Behind a Relu whole windows are 0, where a root has no slope: it must not become NaN."""
    import torch

    from eecompile.training.torch_graph import TorchGraph

    x = torch.zeros(1, 1, 4, 4, requires_grad=True)
    TorchGraph(graph_of(network(op, [(1, 1, 4, 4)], **attrs)))(x)[0].sum().backward()
    assert x.grad is not None
    assert (x.grad == 0).all()


def test_counts_follow_the_type_of_the_module() -> None:
    import torch

    from eecompile.training.torch_graph import TorchGraph

    attrs: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 0, 1, 1]}
    module = TorchGraph(graph_of(network("AveragePool", [(1, 1, 5, 5)], **attrs)))
    assert module(torch.ones(BATCH, 1, 5, 5))[0].dtype == torch.float32
    found = module.double()(torch.ones(BATCH, 1, 5, 5, dtype=torch.float64))[0]
    assert found.dtype == torch.float64
    assert (found == 1).all()


def test_four_spatial_axes_are_refused() -> None:
    from eecompile.training.torch_graph import TorchGraph
    from passes.errors import InputError

    with pytest.raises(InputError, match=r"'the_node' \(MaxPool\) .* it has 4 spatial axes"):
        TorchGraph(graph_of(network("MaxPool", [(1, 1, 2, 2, 2, 2)], kernel_shape=[1, 1, 1, 1])))


def test_places_of_the_largest_are_refused() -> None:
    from eecompile.training.torch_graph import TorchGraph
    from passes.errors import InputError

    graph = graph_of(network("MaxPool", [(1, 1, 4)], outputs=2, kernel_shape=[2]))
    graph.outputs = list(graph.nodes[0].outputs)
    with pytest.raises(InputError, match=r"'the_node' \(MaxPool\) .* more than its first output is read"):
        TorchGraph(graph)


def test_what_is_tested_is_what_there_is() -> None:
    from eecompile.training.operators.pooling import BUILDERS

    assert BUILDERS.keys() == TESTED
