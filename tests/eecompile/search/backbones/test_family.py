"""The contract of a family: values in range, a graph as it must be, mounts at the ends of blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from eecompile.search.backbones.family import BackboneFamily, BackboneGene, mounts_of_blocks
from eecompile.search.backbones.registry import backbone_family
from passes.errors import InputError
from passes.exits.insert_exits import InsertExits
from passes.model.graph import load
from passes.model.writing import save
from passes.registry import parse_pipeline
from tests.eecompile.search.backbones.networks import BUILT_IN, backbone
from tests.eecompile.small_models import write_skip_net

RESNET = backbone_family("resnet")


@pytest.mark.parametrize(
    ("genes", "message"),
    [
        ({"widht": 8}, "backbone 'resnet' has no gene 'widht'"),
        ({"width": 0}, "resnet.width: 0 is not a whole number from 1 to 256"),
        ({"width": 2.0}, "resnet.width: 2.0 is not a whole number from 1 to 256"),
        ({"width": True}, "resnet.width: True is not a whole number"),
        ({"blocks": "two"}, "resnet.blocks: 'two' is not a whole number"),
        ({"kernel": 4}, "resnet.kernel: 4 is not one of 3, 5"),
    ],
)
def test_genes_outside_of_the_family_are_refused(genes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as error:
        RESNET.values(genes)
    assert error.value.message.startswith(message) and error.value.hint


def test_text_names_all_genes_and_whole_numbers_become_what_the_gene_has() -> None:
    assert RESNET.text({"width": 8}) == "resnet{width=8,blocks=3,stages=3,kernel=3}"
    v1 = backbone_family("mobilenet_v1")
    assert (
        v1.text({"width": 1})
        == v1.text({"width": 1.0})
        == "mobilenet_v1{width=1.0,depth=5,kernel=3,stem_stride=2}"
    )


@pytest.mark.parametrize("name", BUILT_IN)
def test_graphs_are_canonical_and_survive_a_file(name: str, tmp_path: Path) -> None:
    graph = backbone(name)
    names = [(node.op, node.name) for node in graph.nodes]
    again = load(save(graph, tmp_path / f"{name}.shape.onnx"))
    for made in (graph, again):
        parse_pipeline("canonicalize,fold-batchnorm")(made)
        assert [(node.op, node.name) for node in made.nodes] == names


@pytest.mark.parametrize("name", BUILT_IN)
def test_exits_go_to_the_end_of_every_block_but_the_last(name: str) -> None:
    graph = backbone(name)
    ends = [
        t.name for node in graph.nodes for t in node.outputs if t.name.rpartition(".")[2].startswith("block_")
    ]
    assert mounts_of_blocks(graph) == tuple(ends[:-1]) and len(ends) > 2
    InsertExits(mounts_of_blocks(graph), "linear")(graph)
    assert len(graph.outputs) == len(ends)


def test_a_network_without_blocks_has_all_its_mounts(tmp_path: Path) -> None:
    assert mounts_of_blocks(load(write_skip_net(tmp_path / "skip.onnx"))) == ("b", "e")


def _two_outputs(graph: gs.Graph) -> None:
    graph.outputs.append(graph.nodes[0].outputs[0])


def _normalized(graph: gs.Graph) -> None:
    made = graph.nodes[0].outputs[0]
    before = gs.Variable("before", np.float32, made.shape)
    graph.nodes[0].outputs = [before]
    four = [gs.Constant(f"c{number}", np.ones(made.shape[1], np.float32)) for number in range(4)]
    graph.nodes.insert(1, gs.Node("BatchNormalization", "bn", {}, [before, *four], [made]))


def _other_opset(graph: gs.Graph) -> None:
    graph.opset = 17


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_two_outputs, "answers "),
        (_normalized, "has BatchNormalization 'bn', which training puts in itself"),
        (_other_opset, "returned opset 17, not 21"),
        (lambda graph: graph.nodes[99], "raised IndexError: list index out of range"),
        (InsertExits(("1",)), "answers "),
    ],
)
def test_a_function_that_returns_no_backbone_is_told(
    change: Callable[[gs.Graph], object], message: str
) -> None:
    def build(shape: tuple[int, ...], classes: int, **genes: int) -> gs.Graph:
        graph = RESNET.build(shape, classes, **genes)
        change(graph)
        return graph

    with pytest.raises(InputError, match="backbone 'resnet': its function") as error:
        replace(RESNET, build=build).graph((1, 3, 16, 16), 4, {"blocks": 1})
    assert message in error.value.message


def test_a_function_that_returns_no_graph_is_told() -> None:
    family = BackboneFamily("theirs", "nothing", (), lambda *_: None)
    with pytest.raises(InputError, match="returned NoneType, not a graph"):
        family.graph((1, 3, 8, 8), 2)


@pytest.mark.parametrize(
    ("shape", "classes", "message"),
    [
        ((1, 64), 10, "reads images of shape"),
        ((2, 3, 8, 8), 10, "reads images"),
        ((1, 3, 8, 8), 1, "2 classes"),
    ],
)
def test_images_must_fit(shape: tuple[int, ...], classes: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        RESNET.graph(shape, classes)


def test_ranges_in_words() -> None:
    assert BackboneGene("a", 0.5, 0.1, 2.0, "").range == "a number from 0.1 to 2"
    assert BackboneGene("a", 3, 3, 5, "", values=(3, 5)).range == "one of 3, 5"
