"""What each family makes of features."""

from __future__ import annotations

import pytest

from passes.heads.designs import parse_head
from passes.heads.families import FAMILIES, REUSE
from passes.heads.layers import Shape, shape_behind


def words(text: str, *shape: int) -> str:
    """Return the layers of a head on features of ``shape`` for ten classes, in words."""
    made = []
    for layer in parse_head(text).on(shape, 10):
        sizes = f" {'x'.join(map(str, layer.kernel))}" if layer.kernel else ""
        strided = f"/{layer.stride[0]}" if layer.op == "Conv" else ""
        kind = {"Conv": "DepthwiseConv" if layer.depthwise else "Conv"}.get(layer.op, layer.op)
        made.append(f"{kind}{sizes}{strided}{f' {layer.channels}' if layer.channels else ''}")
    return ", ".join(made)


@pytest.mark.parametrize(
    ("text", "shape", "expected"),
    [
        ("linear", (16, 32, 32), "MaxPool 8x8, Flatten, Gemm 10"),
        ("linear", (16, 7, 7), "MaxPool 2x2, Flatten, Gemm 10"),
        ("linear", (16, 4, 4), "Flatten, Gemm 10"),
        ("linear", (20,), "Gemm 10"),
        # FACTS: max-pool to 4x4, fully connected layer of 8 times the channels, ReLU6, fully connected layer
        ("mlp", (16, 32, 32), "MaxPool 8x8, Flatten, Gemm 128, Gemm 10"),
        ("mlp", (6, 9), "MaxPool 3, Flatten, Gemm 48, Gemm 10"),
        ("mlp", (20,), "Gemm 160, Gemm 10"),
        ("conv", (16, 32, 32), "MaxPool 4x4, Conv 3x3/2 32, Flatten, Gemm 10"),
        ("conv", (16, 8, 8), "Conv 3x3/2 32, Flatten, Gemm 10"),
        ("conv", (4, 16), "MaxPool 2, Conv 3/2 32, Flatten, Gemm 10"),
        ("conv", (20,), "Gemm 48, Gemm 10"),
        ("conv{size=10}", (16, 28, 28), "MaxPool 3x3, Conv 3x3/2 32, Flatten, Gemm 10"),  # 9, then 5 places
        ("conv", (16, 28, 28), "MaxPool 4x4, Conv 3x3/2 32, Flatten, Gemm 10"),  # 7, then 4
        ("conv{kernel=5,expansion=1}", (16, 8, 8), "Conv 5x5/2 16, Flatten, Gemm 10"),
        ("conv{expansion=2}", (40, 8, 8), "Conv 3x3/2 80, Flatten, Gemm 10"),
        ("conv{pool=true}", (16, 8, 8), "Conv 3x3/2 32, MaxPool 2x2, Flatten, Gemm 10"),
        ("conv{pool=true}", (16, 2, 3), "Conv 3x3/2 32, MaxPool 1x2, Flatten, Gemm 10"),
        ("conv{pool=true}", (16, 2, 2), "Conv 3x3/2 32, Flatten, Gemm 10"),
        (
            "conv{modules=2,expansion=2,pool=true}", (4, 32, 32),
            "MaxPool 4x4, Conv 3x3/2 8, MaxPool 2x2, Conv 3x3/2 16, Flatten, Gemm 10",
        ),
        ("conv{modules=2,expansion=1}", (20,), "Gemm 20, Gemm 20, Gemm 10"),
        ("conv{size=16}", (16, 32, 32), "MaxPool 2x2, Conv 3x3/2 32, MaxPool 2x2, Flatten, Gemm 10"),
        (
            "conv{size=32,modules=3}", (16, 32, 32),
            "Conv 3x3/2 32, Conv 3x3/2 64, Conv 3x3/2 64, Flatten, Gemm 10",
        ),
        # FACTS: T-RecX, 1x1 to 32, depthwise 2x2 of stride 2, pool, fully connected layer
        (
            "separable{kernel=2}", (16, 32, 32),
            "Conv 1x1/1 32, DepthwiseConv 2x2/2 32, MaxPool 4x4, Flatten, Gemm 10",
        ),
        ("separable", (4, 16), "Conv 1/1 32, DepthwiseConv 3/2 32, MaxPool 2, Flatten, Gemm 10"),
        ("feature", (20,), "Gemm 10"),
    ],
)  # fmt: skip
def test_layers(text: str, shape: Shape, expected: str) -> None:
    assert words(text, *shape) == expected


@pytest.mark.parametrize(("channels", "width"), [(1, 32), (16, 32), (17, 48), (24, 48), (64, 64), (500, 64)])
def test_a_conv_head_is_twice_as_wide_within_32_and_64(channels: int, width: int) -> None:
    layers = parse_head("conv").on((channels, 8, 8), 10)
    assert next(layer for layer in layers if layer.op == "Conv").channels == width


def test_the_hidden_layer_of_mlp_alone_has_a_ceiling() -> None:
    ceilings = [
        [k.ceiling for k in parse_head(n).on((4, 8, 8), 3) if k.ends_in_relu] for n in ("mlp", "conv")
    ]
    assert ceilings == [[6.0], [0.0]]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("shape", [(5,), (5, 7), (5, 7, 9), (3, 1, 1)])
def test_a_family_ends_in_a_vector_where_it_says_that_it_reads_features(name: str, shape: Shape) -> None:
    family = FAMILIES[name]
    if len(shape) - 1 in family.spatial:
        defaults = {gene.name: gene.default for gene in family.genes}
        assert len(shape_behind(family.layers(shape, defaults), shape)) == 1


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_reuse_and_defaults_that_are_values(name: str) -> None:
    genes = FAMILIES[name].genes
    assert genes[-1] is REUSE
    assert all(gene.default in gene.values and len(set(map(str, gene.values))) > 1 for gene in genes)
    assert FAMILIES[name].name == name
