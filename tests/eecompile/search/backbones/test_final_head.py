"""A head in the place of the classifier."""

from __future__ import annotations

from pathlib import Path

import pytest

from eecompile.search.backbones.family import mounts_of_blocks
from eecompile.search.backbones.final_head import (
    add_final_heads,
    close_with,
    closing_of,
    final_name,
    last_block,
    split_finals,
)
from passes.errors import InputError
from passes.exits.chain import keep_exits
from passes.exits.insert_exits import InsertExits
from passes.heads.designs import parse_head
from passes.model.graph import load
from passes.state import state_of
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


def test_several_are_exits_on_the_last_block() -> None:
    heads = (parse_head("linear"), None, parse_head("mlp"))
    graph = backbone("resnet8")
    mounts = mounts_of_blocks(graph)
    InsertExits(mounts, "linear")(graph)
    add_final_heads(graph, heads)
    exits = state_of(graph).exits
    assert [item.name for item in exits] == ["exit_0", "exit_1", "exit_2", "exit_3", "final"]
    assert [tensor.name for tensor in graph.outputs] == [item.output for item in exits]
    early, closing = split_finals(exits, heads)
    assert [item.mount for item in early] == list(mounts)
    assert [final_name(item.head) for item in closing] == ["linear", "own", "mlp"]
    assert {item.mount for item in closing} == {last_block(graph).name}
    alone = backbone("resnet8")
    close_with(alone, heads[2] or parse_head("mlp"))
    cut = keep_exits(graph, [], closing[2].name)
    assert counts(cut) == counts(alone)
    before = backbone("resnet8")
    add_final_heads(before, heads[:1])
    assert len(before.outputs) == 1, "one is what closes it"


def test_an_exit_inside_of_a_final_head_goes_with_one_alone() -> None:
    graph = backbone("resnet8")
    close_with(graph, parse_head("conv"))
    InsertExits((last_block(graph).name,), "linear")(graph)
    with pytest.raises(InputError, match="lies behind the last block"):
        add_final_heads(graph, (parse_head("conv"), parse_head("linear")))


@pytest.mark.parametrize(
    ("heads", "closing"), [(("linear", "mlp"), 0), (("linear", "own", "mlp"), 1), (("own",), 0)]
)
def test_what_a_supernet_is_closed_with(heads: tuple[str, ...], closing: int) -> None:
    finals = [None if name == "own" else parse_head(name) for name in heads]
    assert closing_of(finals) == closing
    others = [name for number, name in enumerate(heads) if number != closing]
    assert split_finals(["early", *others, heads[closing]], finals) == (("early",), heads)
