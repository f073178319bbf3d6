"""Residual networks: depth and width are those of CIFAR ResNet-n, ResNet8 is that of MLPerf Tiny."""

from __future__ import annotations

import pytest

from passes.model.graph import load
from passes.operator_sets import FLOAT_LINEAR
from passes.registry import parse_pipeline
from tests.eecompile.search.backbones.networks import backbone, counts
from tests.shared_files import shared


@pytest.mark.parametrize(
    ("genes", "layers", "macs"),
    [
        ({}, 20, 40_813_184),
        ({"blocks": 9}, 56, None),
        ({"width": 32}, 20, None),
        ({"stages": 2, "blocks": 1}, 6, None),
    ],
)
def test_number_of_layers(genes: dict[str, int], layers: int, macs: int | None) -> None:
    graph = backbone("resnet", genes)
    deep = [n for n in graph.nodes if n.op in FLOAT_LINEAR and "shortcut" not in n.name]
    assert len(deep) == layers == 2 * genes.get("blocks", 3) * genes.get("stages", 3) + 2
    assert deep[0].inputs[1].shape[0] == genes.get("width", 16)
    # ResNet20: 40.55 M MACs where ways around blocks cost nothing (He et al.); here are two 1x1 convolutions
    assert macs in (None, counts(graph)[0])


def test_resnet8_is_that_of_mlperf_tiny_layer_for_layer() -> None:
    theirs = load(shared("models/resnet8_cifar10.onnx"))
    parse_pipeline("canonicalize,fold-batchnorm")(theirs)
    ours = backbone("resnet8")

    def layers(graph: object) -> list[object]:
        return [
            (n.op, dict(n.attrs), [tuple(t.shape) for t in n.inputs], tuple(n.outputs[0].shape))
            for n in graph.nodes  # type: ignore[attr-defined]
        ]

    assert layers(ours) == layers(theirs)
    assert counts(ours) == (12_501_632, 77_706)
