"""MobileNetV1 and DS-CNN are those of MLPerf Tiny."""

from __future__ import annotations

from passes.model.graph import load
from passes.registry import parse_pipeline
from tests.eecompile.search.backbones.networks import backbone, counts
from tests.shared_files import shared
from tools.make_tiny_networks import NETWORKS, write


def test_mobilenet_is_that_of_mlperf_tiny() -> None:
    theirs = load(shared("models/mobilenetv1_025_vww.onnx"))
    parse_pipeline("canonicalize,fold-batchnorm")(theirs)
    ours = backbone("mobilenet_v1", shape=(1, 3, 96, 96), classes=2)
    convolutions = [
        [
            (tuple(n.inputs[1].shape), n.attrs["pads"], n.attrs["strides"])
            for n in graph.nodes
            if n.op == "Conv"
        ]
        for graph in (ours, theirs)
    ]
    assert convolutions[0] == convolutions[1] and len(convolutions[0]) == 27
    assert counts(ours) == counts(theirs) == (7_489_664, 210_850)


def test_ds_cnn_is_that_of_mlperf_tiny(tmp_path: object) -> None:
    assert "ds_cnn" in NETWORKS
    theirs = load(write("ds_cnn", tmp_path))  # type: ignore[arg-type]
    ours = backbone("ds_cnn", shape=(1, 1, 49, 10), classes=12)
    assert counts(ours) == counts(theirs) == (2_656_768, 22_604)


def test_genes_say_what_they_say() -> None:
    wide = backbone("mobilenet_v1", {"width": 0.5, "depth": 2, "kernel": 5, "stem_stride": 1})
    stem, depthwise, *_ = [n for n in wide.nodes if n.op == "Conv"]
    assert stem.attrs["strides"] == [1, 1] and stem.inputs[1].shape[0] == 16
    assert depthwise.attrs["kernel_shape"] == [5, 5]
    assert sum(n.name.startswith("stage_1.") and n.op == "Conv" for n in wide.nodes) == 4
    small = backbone("ds_cnn", {"channels": 12, "blocks": 2, "kernel": 5})
    assert [n.inputs[1].shape for n in small.nodes if n.op == "Conv"] == [
        (12, 3, 10, 4), (12, 1, 5, 5), (12, 12, 1, 1), (12, 1, 5, 5), (12, 12, 1, 1),
    ]  # fmt: skip
