"""A head in the place of the classifier."""

from __future__ import annotations

from pathlib import Path

import pytest

from eecompile.search.backbones.final_head import close_with, last_block
from passes.errors import InputError
from passes.heads.designs import parse_head
from passes.model.graph import load
from tests.eecompile.search.backbones.networks import backbone, counts
from tests.eecompile.small_models import write_skip_net


def test_the_classifier_gives_way_to_the_heads_of_the_paper() -> None:
    """Of arXiv 2512.04705: max-pool to 4 x 4 and a fully connected layer of 320 * 16 * 10 weights."""
    own, graph = backbone("mobilenet_v2"), backbone("mobilenet_v2")
    close_with(graph, parse_head("linear"))
    assert graph.outputs[0].name == "logits" and graph.outputs[0].shape == [1, 10]
    assert counts(graph)[1] - counts(own)[1] == 320 * 15 * 10
    assert last_block(graph).name == "stage_6.block_0"
    assert not {"pool", "classifier"} & {node.name for node in graph.nodes}


def test_what_cannot_be_closed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="reads no features"):
        close_with(backbone("resnet8"), parse_head("feature"))
    with pytest.raises(ValueError, match="no blocks"):
        close_with(load(write_skip_net(tmp_path / "skip.onnx")), parse_head("linear"))
