"""The main job on networks whose stages hand several tensors on, as those of MSDNet do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from eecompile import api
from passes.errors import InputError
from passes.model.graph import from_model
from passes.model.writing import save
from passes.state import Exit, state_of
from tests.needs import needs_torch
from tests.passes.exits.test_recognise import branching
from tests.passes.net_builder import NetBuilder


def two_scales() -> onnx.ModelProto:
    """Return two exits: the second stage reads a fine and a coarse tensor of the first."""
    net = NetBuilder((1, 2, 8, 8))
    fine = net.op("Relu", net.conv("x", 2, 4))
    coarse = net.op("Relu", net.conv(fine, 4, 4, strides=[2, 2]))
    first = net.op("Gemm", net.op("Flatten", coarse), net.normal(3, 64), transB=1)
    finer = net.op("Relu", net.conv(fine, 4, 4))
    joined = net.op("Relu", net.op("Add", net.conv(finer, 4, 4, strides=[2, 2]), coarse))
    deep = net.op("Flatten", net.op("GlobalAveragePool", joined))
    return net.model(first, net.op("Gemm", deep, net.normal(3, 4), transB=1))


def write_images(path: Path, size: int = 8) -> Path:
    rng = np.random.default_rng(1)
    arrays: dict[str, Any] = {}
    for name, count in {"train": 32, "val": 32, "test": 32}.items():
        arrays |= {f"{name}_x": rng.normal(size=(count, 2, size, size)).astype(np.float32)}
        arrays |= {f"{name}_y": np.arange(count) % 3}
    np.savez(path, **arrays)
    return path


@needs_torch
def test_several_tensors_are_handed_on_in_all_files(tmp_path: Path) -> None:
    onnx.save(two_scales(), str(tmp_path / "net.onnx"))
    images = write_images(tmp_path / "images.npz")
    result = api.run(
        tmp_path / "net.onnx", target="gap9", data=str(images), out=tmp_path / "out", max_drop=90.0,
        optimistic=True, preprocess="raw",
    )  # fmt: skip
    assert result.passed and len(result.summary.exits) == 2
    deeper = onnx.load(tmp_path / "out" / "stages" / "stage_1.onnx")
    assert len(deeper.graph.input) == 2


@needs_torch
@pytest.mark.parametrize("case", ["joins", "features", "logits"])
def test_exits_that_read_several_tensors_or_are_read_run(case: str, tmp_path: Path) -> None:
    onnx.save(branching(case)[0], str(tmp_path / "net.onnx"))
    images = write_images(tmp_path / "images.npz", size=4)
    result = api.run(
        tmp_path / "net.onnx", target="gap9", data=str(images), out=tmp_path / "out", max_drop=90.0,
        optimistic=True, preprocess="raw",
    )  # fmt: skip
    assert result.passed
    first, last = result.summary.exits
    assert first.macs < last.macs and first.name == "exit_0"
    # What the stages hand on is what the later one reads, of both: the logits too where they are corrected.
    entries = onnx.load(tmp_path / "out" / "stages" / "stage_1.onnx").graph.input
    assert len(entries) == (1 if case == "joins" else 2)


@needs_torch
def test_what_cannot_be_cut_is_refused_before_the_work(tmp_path: Path) -> None:
    net = NetBuilder((1, 2, 8, 8))
    early = net.op(
        "Gemm", net.op("Flatten", net.op("Relu", net.conv("x", 2, 4))), net.normal(3, 256), transB=1
    )
    graph = from_model(net.model(early, net.op("Gemm", early, net.normal(3, 3))))
    first, last = (t.name for t in graph.outputs)
    state_of(graph).exits = [Exit("exit_0", first, last), Exit("final", first, first)]
    images = write_images(tmp_path / "images.npz")
    with pytest.raises(InputError, match=r"cannot be cut into stages: exit 'final' needs nothing") as error:
        api.run(save(graph, tmp_path / "net.onnx"), target="gap9", data=str(images), out=tmp_path / "out")
    assert "shallow to deep" in str(error.value)
    assert not (tmp_path / "out").exists()
