from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passes.errors import InputError
from passes.exits.insert_exits import InsertExits
from passes.heads import AUTO, FAMILIES, HeadLayer, head_family
from passes.model.graph import from_model, infer_shapes
from tests.passes.net_builder import NetBuilder


def layers(kind: str, shape: tuple[int, ...]) -> tuple[HeadLayer, ...]:
    return head_family(kind, shape).layers(shape, 10)


def words(kind: str, *shape: int) -> list[str]:
    return [f"{layer.op}{list(layer.kernel) or ''}" for layer in layers(kind, shape)]


def test_linear_head_pools_to_at_most_four() -> None:
    assert words("linear", 16, 32, 32) == ["MaxPool[8, 8]", "Flatten", "Gemm"]
    assert words("linear", 16, 7, 7) == ["MaxPool[2, 2]", "Flatten", "Gemm"]
    assert words("linear", 16, 4, 4) == ["Flatten", "Gemm"]


def test_conv_head_pools_to_at_most_eight() -> None:
    assert words("conv", 16, 32, 32) == ["MaxPool[4, 4]", "Conv[3, 3]", "Flatten", "Gemm"]
    assert words("conv", 16, 8, 8) == ["Conv[3, 3]", "Flatten", "Gemm"]


@pytest.mark.parametrize(("channels", "width"), [(1, 32), (16, 32), (17, 48), (24, 48), (64, 64), (500, 64)])
def test_conv_head_is_twice_as_wide_within_32_and_64(channels: int, width: int) -> None:
    assert next(k for k in layers("conv", (channels, 8, 8)) if k.op == "Conv").channels == width


def test_auto_goes_by_size() -> None:
    assert head_family(AUTO, (16, 8, 8)) == head_family("conv", (16, 8, 8))
    assert head_family(AUTO, (16, 7, 9)) == head_family("linear", (16, 7, 9))


def test_one_spatial_axis() -> None:
    assert words("conv", 4, 16) == ["MaxPool[2]", "Conv[3]", "Flatten", "Gemm"]


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_pads_keep_the_size(size: int, stride: int) -> None:
    layer = HeadLayer("Conv", (3, 3), (stride, stride), 4)
    begin_y, begin_x, end_y, end_x = layer.pads((size, size))
    assert (begin_y, end_y) == (begin_x, end_x)
    assert end_y - begin_y in (0, 1), "SAME_UPPER pads the end"
    out = layer.output_shape((1, size, size))[1]
    assert out == -(-size // stride)
    assert max(0, (out - 1) * stride + 3 - size) == begin_y + end_y


@pytest.mark.parametrize(("kind", "ops"), [("linear", ["Gemm"]), ("conv", ["Gemm", "Gemm"])])
def test_heads_of_vectors_are_fully_connected(kind: str, ops: list[str]) -> None:
    found = layers(kind, (20,))
    assert [layer.op for layer in found] == ops
    assert [layer.ends_in_relu for layer in found] == [True] * (len(ops) - 1) + [False]
    assert [layer.channels for layer in found] == [48, 10][-len(ops) :]
    assert head_family(AUTO, (20,)) == head_family("linear", (20,))


@pytest.mark.parametrize("shape", [(), (1, 2, 3, 4)])
def test_features_of_other_ranks(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="up to 2 spatial axes"):
        head_family("linear", shape)


def test_what_reads_tokens_stands_in_front() -> None:
    found = head_family("linear", (6,)).on((9, 6), 10, [HeadLayer("ReduceMean", axes=(1,))])
    assert [layer.op for layer in found] == ["ReduceMean", "Gemm"]
    assert found[1].parameters((6,), None)["weight"].shape == (10, 6)


def test_unknown_kind() -> None:
    with pytest.raises(InputError, match="unknown head 'con'"):
        head_family("con", (1, 2, 2))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(2, 6), st.integers(3, 40), st.integers(3, 40), st.sampled_from([AUTO, *FAMILIES]))
def test_shapes_are_those_of_the_graph(channels: int, height: int, width: int, kind: str) -> None:
    net = NetBuilder((1, 2, height, width))
    stem = net.op("Relu", net.conv("x", 2, channels))
    pooled = net.op("Flatten", net.op("GlobalAveragePool", net.op("Relu", net.conv(stem, channels, 2))))
    graph = from_model(net.model(net.op("Gemm", pooled, net.normal(3, 2), transB=1)))
    InsertExits(at=("relu_0",), head=kind)(graph)
    written = {t.name: list(t.shape) for t in graph.tensors().values()}
    infer_shapes(graph)
    assert {t.name: list(t.shape) for t in graph.tensors().values()} == written
