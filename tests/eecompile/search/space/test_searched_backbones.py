"""``[backbone]``: a family, several, or a network of the user."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from eecompile.search.space.searched_backbones import OwnBackbone, SearchedFamily, read_backbones
from passes.errors import InputError
from passes.exits.insert_exits import InsertExits
from passes.model.graph import load
from passes.model.writing import save
from passes.registry import parse_pipeline
from tests.eecompile.search.backbones.networks import backbone
from tests.eecompile.small_models import write_skip_net

HERE = Path()


@pytest.mark.parametrize(
    ("table", "message", "hint"),
    [
        ("resnet", "backbone: expected a table", ""),
        ({}, "backbone: says neither `family` nor `file`", "one"),
        ({"family": "resnet", "file": "m.onnx"}, "backbone: names both a family and a file", "one"),
        ({"family": "resnt"}, "backbone.family: unknown backbone family 'resnt'", "'resnet'"),
        ({"family": ["resnet", 3]}, "backbone.family[1]: expected a text", ""),
        ({"family": []}, "backbone.family: is empty", "one value"),
        ({"family": ["resnet", "resnet"]}, "backbone.family: 'resnet' is there twice", "once"),
        (
            {"family": "resnet", "widht": 8},
            "backbone.widht: backbone 'resnet' has no gene 'widht'",
            "'width'",
        ),
        ({"family": "resnet", "width": [8, 0]}, "backbone.width[1]: 0 is not a whole number", "channels"),
        ({"family": "resnet", "width": "8"}, "backbone.width: '8' is not a whole number", "channels"),
        ({"family": "resnet", "width": []}, "backbone.width: is empty", "one value"),
        ({"family": "resnet", "width": [8, 8]}, "backbone.width: '8' is there twice", "once"),
        (
            {"family": ["resnet", "ds_cnn"], "width": 8},
            "backbone.width: of several families",
            "[backbone.resnet]",
        ),
        ({"family": ["resnet", "ds_cnn"], "resnet": 8}, "backbone.resnet: expected a table", ""),
        (
            {"family": ["resnet"], "resnet": {"width": [9, 999]}},
            "backbone.resnet.width[1]: 999 is not",
            "channels",
        ),
        ({"file": 3}, "backbone.file: expected a text", ""),
        ({"file": "none.onnx"}, "backbone.file: there is no file none.onnx", "relative"),
        ({"file": "none.onnx", "width": 8}, "backbone.width: a network of your own has no genes", "leave"),
    ],
)
def test_wrong_tables(table: object, message: str, hint: str) -> None:
    with pytest.raises(InputError) as error:
        read_backbones(table, HERE)
    assert error.value.message.startswith(message) and hint in error.value.hint


def test_choices_rise_and_genes_that_are_not_named_have_their_default() -> None:
    (found,) = read_backbones({"family": "resnet", "width": [16, 4], "blocks": [2, 1]}, HERE)  # type: ignore[misc]
    assert isinstance(found, SearchedFamily)
    assert found.choices == {"width": (4, 16), "blocks": (1, 2), "stages": (3,), "kernel": (3,)}
    assert found.designs == 4
    assert list(found.wirings()) == [
        ({"width": 4, "kernel": 3, "blocks": blocks, "stages": 3}, 2) for blocks in (1, 2)
    ]


def test_a_network_of_the_user_keeps_its_weights(tmp_path: Path) -> None:
    path = write_skip_net(tmp_path / "mine.onnx")
    own = read_backbones({"file": "mine.onnx"}, tmp_path)
    assert isinstance(own, OwnBackbone) and own.designs == 1
    first = own.graph().nodes[0].inputs[1].values
    assert (first == load(path).nodes[0].inputs[1].values).all()
    before = own.text
    write_skip_net(path).write_bytes(path.read_bytes() + b"\x2a\x00")
    assert read_backbones({"file": "mine.onnx"}, tmp_path).text != before, "by content"  # type: ignore[union-attr]


def _with_exits(path: Path) -> None:
    graph = load(write_skip_net(path))
    parse_pipeline("canonicalize")(graph)
    InsertExits(("1",))(graph)
    save(graph, path)


def _without_weights(path: Path) -> None:
    save(backbone("resnet8"), path.with_suffix(".shape.onnx")).rename(path)


def _one_layer(path: Path) -> None:
    text = """<ir_version: 10, opset_import: ["": 21]>
        net (float[1,8] image) => (float[1,4] logits) <float[8,4] w> { logits = MatMul(image, w) }"""
    model = onnx.parser.parse_model(text)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((8, 4), np.float32), "w"))
    onnx.save(model, path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (_with_exits, "has exits already"),
        (_without_weights, "has no weights"),
        (_one_layer, "this network has no tensor an exit could read"),
        (lambda path: path.write_bytes(b"no model"), "backbone.file"),
    ],
)
def test_networks_that_are_no_backbone(write: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    write(path)  # type: ignore[operator]
    own = read_backbones({"file": "mine.onnx"}, tmp_path)
    with pytest.raises(InputError, match=r"backbone\.file") as error:
        own.graph()  # type: ignore[union-attr]
    assert message in error.value.message
