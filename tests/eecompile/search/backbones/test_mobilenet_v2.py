"""MobileNetV2 has the shape of arXiv 2512.04705, and its genes say what they say."""

from __future__ import annotations

from eecompile.search.backbones.family import mounts_of_blocks
from tests.eecompile.search.backbones.networks import backbone, counts

CHANNELS = [16, 24, 24, 32, 32, 64, 64, 96, 96, 160, 160, 320]


def test_shape_of_the_paper() -> None:
    graph = backbone("mobilenet_v2")
    convolutions = [n for n in graph.nodes if n.op == "Conv"]
    projected = [n for n in convolutions if n.name.endswith(".project")]
    assert [n.inputs[1].shape[0] for n in projected] == CHANNELS
    depthwise = [n for n in convolutions if n.name.endswith(".depthwise")]
    assert [n.attrs["kernel_shape"][0] for n in depthwise] == [3] * 7 + [7] * 5
    assert [n for n, node in enumerate(depthwise) if node.attrs["strides"] == [2, 2]] == [5, 9]
    macs, parameters = counts(graph)
    biases = sum(n.inputs[1].shape[0] for n in convolutions)
    # arXiv 2512.04705: 195.33 M MACs; 1.39 M parameters with scale and shift of normalizations, here one bias
    assert (round(macs / 1e6, 2), round((parameters + biases) / 1e6, 2)) == (195.33, 1.39)
    assert len(mounts_of_blocks(graph)) == 11  # blocks 0 to 10, of which the paper takes 0 to 9


def test_genes_say_what_they_say() -> None:
    genes = {"width": 0.5, "expansion": 4, "kernel_early": 5, "kernel_late": 3, "depth_1": 1, "depth_5": 3}
    graph = backbone("mobilenet_v2", genes)
    nodes = {node.name: node for node in graph.nodes}
    assert nodes["stage_3.block_0.expand"].inputs[1].shape == (4 * 16, 16, 1, 1)
    assert nodes["stage_3.block_0.depthwise"].attrs["kernel_shape"] == [5, 5]
    assert nodes["stage_4.block_0.depthwise"].attrs["kernel_shape"] == [3, 3]
    assert "stage_1.block_1.project" not in nodes and "stage_5.block_2.project" in nodes
    assert {node.op for node in graph.nodes if "relu" in node.name} == {"Clip"}


def test_siblings_are_wired_alike() -> None:
    """At width 0.25 the first two stages have 8 channels each, and no way around a first block even so."""
    adds = [
        [n.name for n in backbone("mobilenet_v2", {"width": width}).nodes if n.op == "Add"]
        for width in (0.25, 1.0)
    ]
    assert adds[0] == adds[1] == [f"stage_{stage}.block_1.add" for stage in range(1, 6)]
