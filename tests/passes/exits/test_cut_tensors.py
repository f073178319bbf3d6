"""Which tensors alone separate input and logits."""

from __future__ import annotations

from pathlib import Path

from passes.exits.cut_tensors import cut_tensors, final_logits, nodes_before
from passes.model.graph import load
from tests.eecompile.small_models import write_skip_net


def test_what_a_skip_connection_joins_around_is_none(tmp_path: Path) -> None:
    graph = load(write_skip_net(tmp_path / "net.onnx"))
    names = [tensor.name for tensor in cut_tensors(graph)]
    assert names[:3] == ["image", "a", "b"] and {"e", "f", "g", "h", "i"} <= {*names}
    assert not {"c", "d"} & {*names}, "the skip connection needs b, too"
    assert final_logits(graph).name not in names
    assert nodes_before(graph, "image") == frozenset()
    assert len(nodes_before(graph, "e")) == 5


def test_a_second_reader_of_the_image_makes_it_the_only_place(tmp_path: Path) -> None:
    text = """<ir_version: 10, opset_import: ["": 21]>
        net (float[1,4] x) => (float[1,4] y) {
            a = Relu(x)
            b = Add(a, x)
            y = Neg(b)
        }"""
    graph = load(write_skip_net(tmp_path / "net.onnx", text, {}))
    assert [tensor.name for tensor in cut_tensors(graph)] == ["x", "b"]
