"""Nodes as the file has them, and as they are read."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from passes.model.file_nodes import file_graph
from passes.model.graph import load
from passes.model.in_memory import ModelInMemory
from tests.eecompile.small_models import skip_net


def test_named_nodes_are_read_by_their_names(tmp_path: Path) -> None:
    model = skip_net()
    for number, node in enumerate(model.graph.node):
        node.name = f"n{number}"
    onnx.save(model, tmp_path / "m.onnx")
    found = file_graph(tmp_path / "m.onnx")
    assert found.name == "net"
    assert [(node.name, node.read_as) for node in found.nodes] == [(f"n{n}", f"n{n}") for n in range(11)]
    assert [node.op_type for node in found.nodes] == [node.op_type for node in model.graph.node]
    assert file_graph(ModelInMemory(model.SerializeToString())) == found


def test_nodes_without_a_name_or_with_that_of_others_are_found_by_what_they_write() -> None:
    model = skip_net()
    model.graph.node[0].name = model.graph.node[2].name = "twice"
    model.graph.node[5].name = "once"
    network = ModelInMemory(model.SerializeToString())
    writes = {t.name: node.name for node in load(network).nodes for t in node.outputs}
    for node, written in zip(file_graph(network).nodes, model.graph.node, strict=True):
        assert node.name == written.name
        assert node.read_as == writes[written.output[0]]
    assert file_graph(network).nodes[5].read_as == "once"


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        file_graph(tmp_path / "gone.onnx")
