"""The main job on networks of others and real images, where the folder of reference data is."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from eecompile.data.sources import load_data
from tests.eecompile.run.brief_run import call
from tests.shared_files import shared

Array = NDArray[Any]


def accuracy(model: Path, images: Array, labels: Array) -> float:
    """Return the accuracy of a network that takes one image at a time, in stock onnxruntime."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    answers = [session.run(None, {name: images[i : i + 1]})[-1].argmax() for i in range(len(images))]
    return float((np.array(answers) == labels).mean())


@pytest.mark.slow
def test_resnet8_keeps_its_accuracy(tmp_path: Path) -> None:
    """Float within 0.2 points of the user's file on test, quantized within 1.0 of float on val and test."""
    model, data = shared("models/resnet8_cifar10.onnx"), shared("data/cifar10_lossless_subset.npz")
    dataset = load_data(str(data))
    shape = ort.InferenceSession(model).get_inputs()[0].shape
    x = np.concatenate([dataset.val.x, dataset.test.x]).astype(np.float32)
    images = x if x.shape[1:] == tuple(shape[1:]) else x.transpose(0, 2, 3, 1)
    labels = np.concatenate([dataset.val.y, dataset.test.y])
    assert len(labels) == 1611
    canonical = "canonicalize,fold-batchnorm"
    for name, pipeline in (
        ("float", canonical),
        ("quant", f"{canonical},quantize"),
        ("lowered", f"{canonical},quantize,fold-qdq"),
    ):
        options = ["--data", data, "--preprocess", "raw"] if name != "float" else []
        call("opt", model, "-p", pipeline, "-o", tmp_path / f"{name}.onnx", *options)
    taken = onnx.load(tmp_path / "float.onnx").graph.input[0].type.tensor_type.shape
    ours = images if [d.dim_value for d in taken.dim] == list(shape) else images.transpose(0, 3, 1, 2)
    test = slice(len(dataset.val), None)
    given = accuracy(model, images[test], labels[test])
    assert given > 0.8
    assert abs(accuracy(tmp_path / "float.onnx", ours[test], labels[test]) - given) <= 0.002
    quantized = accuracy(tmp_path / "quant.onnx", ours, labels)
    assert accuracy(tmp_path / "float.onnx", ours, labels) - quantized <= 0.01
    sessions = [ort.InferenceSession(tmp_path / f"{name}.onnx") for name in ("quant", "lowered")]
    for index in range(0, len(ours), 8):
        quant, lowered = (
            s.run(None, {s.get_inputs()[0].name: ours[index : index + 1]})[-1] for s in sessions
        )
        np.testing.assert_array_equal(lowered, quant)


@pytest.mark.parametrize(("numbers", "exits"), [("0_4_5_7", 5), ("3_5_8", 4)])
def test_networks_with_exits_and_without_weights(numbers: str, exits: int) -> None:
    model = shared(f"reference/eenn/mobilenetv2_exits_{numbers}.onnx")
    # Their weights and tensors are more than L2 has: GAP9 has a memory behind it.
    costs = json.loads(call("cost", model, "--target", "gap9", "--json"))
    assert any("are fetched from l3" in warning for warning in costs["warnings"])
    names = [*(f"exit_{k}" for k in range(exits - 1)), "final"]
    assert [e["name"] for e in costs["exits"]] == names
    macs = [e["macs"] for e in costs["exits"]]
    assert macs == sorted(set(macs))
    assert costs["total"]["macs"] == macs[-1] == sum(layer["macs"] for layer in costs["layers"])
    assert all(e["energy_pj"] > 0 and e["latency_cycles"] > 0 for e in costs["exits"])
    found = json.loads(call("inspect", model, "--json"))
    assert [e["name"] for e in found["exits"]] == names
    assert found["exits_from"] == "recognised"
    assert found["weights"] is False


def test_every_layer_of_vww_is_placed_or_refused_with_a_reason(tmp_path: Path) -> None:
    model = shared("models/mobilenetv1_025_vww.onnx")
    document = json.loads(call("run", model, "--out", tmp_path, "--json"))
    assert [e["name"] for e in document["exits"]] == ["exit_0", "exit_1", "final"]
    assert all(e["energy_pj"] > 0 for e in document["exits"])
    found = json.loads(call("inspect", model, "--json"))
    assert all(node["core"] or node["reasons"] for node in found["nodes"])
    layers = list(csv.DictReader((tmp_path / "layers.csv").read_text().splitlines()))
    assert all(row["core"] and float(row["latency_cycles"]) > 0 for row in layers)
