"""Small networks with seeded weights, written as ONNX text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper, parser

SKIP_NET = """<ir_version: 10, opset_import: ["": 21]>
    net (float[1,3,16,16] image) => (float[1,4] probabilities)
    <float[8,3,3,3] w0, float[8,8,3,3] w1, float[8,8,3,3] w2, float[4,8] v> {
        a = Conv<pads=[1,1,1,1]>(image, w0)
        b = Relu(a)
        c = Conv<pads=[1,1,1,1]>(b, w1)
        d = Relu(c)
        e = Add(b, d)
        f = Conv<pads=[1,1,1,1], strides=[2,2]>(e, w2)
        g = Relu(f)
        h = GlobalAveragePool(g)
        i = Flatten(h)
        logits = Gemm<transB=1>(i, v)
        probabilities = Softmax<axis=1>(logits)
    }"""
WEIGHTS = {"w0": (8, 3, 3, 3), "w1": (8, 8, 3, 3), "w2": (8, 8, 3, 3), "v": (4, 8)}


def skip_net(text: str = SKIP_NET, shapes: Mapping[str, tuple[int, ...]] = WEIGHTS) -> onnx.ModelProto:
    """Return a classifier of three convolutions with a skip connection around the second."""
    model = parser.parse_model(text)
    rng = np.random.default_rng(0)
    for name, shape in shapes.items():
        values = rng.normal(0, 0.3, shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    return model


def write_skip_net(path: Path, text: str = SKIP_NET, shapes: Mapping[str, tuple[int, ...]] = WEIGHTS) -> Path:
    """Write the classifier to ``path``."""
    onnx.save(skip_net(text, shapes), str(path))
    return path


def write_images(path: Path) -> Path:
    """Write random images of the classifier's input shape and classes as an ``.npz``."""
    rng = np.random.default_rng(1)
    sizes = {"train": 64, "val": 32, "test": 32}
    arrays: dict[str, Any] = {}
    for name, count in sizes.items():
        arrays[f"{name}_x"] = rng.normal(0, 1, (count, 3, 16, 16)).astype(np.float32)
        arrays[f"{name}_y"] = np.arange(count) % 4
    np.savez(path, **arrays)
    return path
