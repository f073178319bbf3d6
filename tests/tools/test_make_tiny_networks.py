"""Networks of shapes only: what they hold, and that they are costed."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from eecompile import api
from passes.errors import EecompileError
from passes.model.graph import load
from passes.state import state_of
from tests.targets.networks import ds_cnn as ds_cnn_loops
from tools.make_tiny_networks import NETWORKS, write

MLPERF = "MLPerf Tiny v1.0, reference networks"


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_weights_are_absent(name: str, tmp_path: Path) -> None:
    path = write(name, tmp_path)
    assert path.name == f"{name}.shape.onnx"
    graph = load(path)
    assert state_of(graph).symbolic
    assert write(name, tmp_path / "again").read_bytes() == path.read_bytes()


def test_ds_cnn_has_the_layers_of_the_reference(tmp_path: Path) -> None:
    report = api.cost(write("ds_cnn", tmp_path), target="gap9")
    linear = [layer for layer in report.layers if layer.layer.macs]
    assert [x.layer.macs for x in linear] == [dims.iterations for dims in ds_cnn_loops()], MLPERF
    assert [x.layer.op_type for x in report.layers[-3:]] == [
        "GlobalAveragePool",
        "Gemm",
        "Softmax",
    ], MLPERF


def test_the_autoencoder_is_costed_though_it_classifies_nothing(tmp_path: Path) -> None:
    report = api.cost(write("autoencoder", tmp_path), target="gap9")
    widths = [640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640]
    assert [x.layer.macs for x in report.layers] == [a * b for a, b in itertools.pairwise(widths)], MLPERF
    assert {layer.core for layer in report.layers} == {"ne16"}
    assert not any(x.layer.op_type == "Softmax" for x in report.layers), "it ends in no softmax"


def test_ds_cnn_is_too_odd_for_diana(tmp_path: Path) -> None:
    with pytest.raises(EecompileError, match="Kernels are 1, 3, 5 or 7 along each axis"):
        api.cost(write("ds_cnn", tmp_path), target="diana")


def test_resnet8_is_that_of_the_reference(tmp_path: Path) -> None:
    report = api.cost(write("resnet8", tmp_path), target="gap9")
    assert sum(x.layer.macs for x in report.layers) == 12_501_632, MLPERF
    graph = load(write("resnet8_28", tmp_path))
    assert list(graph.inputs[0].shape) == [1, 1, 28, 28]
    assert [list(n.outputs[0].shape) for n in graph.nodes if n.op == "Add"] == [
        [1, 16, 28, 28],
        [1, 32, 14, 14],
        [1, 64, 7, 7],
    ]
