"""What leaves quantization nothing to go by: one clear error, or a grid that answers as in float."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from eecompile import api
from passes.errors import EecompileError, InputError
from tests.eecompile.small_models import skip_net, write_images


def changed(name: str, part: Any, value: float) -> onnx.ModelProto:
    """Return the small network with a part of one of its weights set to ``value``."""
    model = skip_net()
    tensor = next(t for t in model.graph.initializer if t.name == name)
    values = numpy_helper.to_array(tensor).copy()
    values[part] = value
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    return model


FALLBACKS: dict[str, tuple[onnx.ModelProto, int]] = {
    "constant channels": (changed("w0", slice(0, 3), 0.0), 64),
    "all weights zero": (changed("w1", slice(None), 0.0), 64),
    "one calibration image": (skip_net(), 1),
}
ERRORS: dict[str, tuple[onnx.ModelProto, dict[str, Any], str]] = {
    "ranges with infinities": (changed("w0", slice(None), 3e38), {}, "becomes NaN or infinite|not finite"),
    "no core at the asked precision": (
        skip_net(),
        {"bits": {"conv_0": 3}},
        "no core computes layer 'conv_0'",
    ),
}


def quantized(folder: Path, model: onnx.ModelProto, images: int = 64, **options: Any) -> Any:
    onnx.save(model, folder / "net.onnx")
    arrays = dict(np.load(write_images(folder / "images.npz")))
    arrays["train_x"], arrays["train_y"] = arrays["train_x"][:images], arrays["train_y"][:images]
    np.savez(folder / "images.npz", **arrays)
    given: dict[str, Any] = {"data": str(folder / "images.npz"), "preprocess": "raw", "out": folder / "out"}
    return api.quantize(folder / "net.onnx", **given, **options)


@pytest.mark.parametrize("kind", FALLBACKS)
def test_a_grid_is_found_all_the_same(tmp_path: Path, kind: str) -> None:
    model, images = FALLBACKS[kind]
    found = quantized(tmp_path, model, images)
    assert found.images == images
    x = np.load(tmp_path / "images.npz")["test_x"]
    plain, written = (
        np.concatenate(
            [onnxruntime.InferenceSession(str(path)).run(None, {"image": image[None]})[0] for image in x]
        )
        for path in (tmp_path / "net.onnx", tmp_path / "out" / "model.quant.onnx")
    )
    same = plain.argmax(axis=1) == written.argmax(axis=1)
    assert same.mean() >= 0.9, "the network answers like that in float"
    assert len(np.unique(written, axis=0)) > 10, "and not all images alike"


@pytest.mark.parametrize("kind", ERRORS)
def test_what_cannot_be_is_one_message_with_a_way_out(tmp_path: Path, kind: str) -> None:
    model, options, message = ERRORS[kind]
    with pytest.raises(InputError, match=message) as caught:
        quantized(tmp_path, model, **options)
    assert caught.value.hint and not (tmp_path / "out").exists()


def test_channels_that_cannot_go_are_not_pruned_below_one(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="pruning trains behind it, with the extra 'train'")
    onnx.save(skip_net(), tmp_path / "net.onnx")
    images = str(write_images(tmp_path / "images.npz"))
    with pytest.raises(EecompileError) as caught:
        api.run(
            tmp_path / "net.onnx", data=images, out=tmp_path / "out", preprocess="raw", exits=1,
            head="linear", prune={"cycles": -0.999}, prune_epochs=1,
        )  # fmt: skip
    assert "channel" in caught.value.message and caught.value.hint and not (tmp_path / "out").exists()
