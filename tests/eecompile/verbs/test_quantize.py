"""`quantize` hands on what was told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eecompile import api
from eecompile.verbs.work.quantize_options import QuantizeOptions
from passes.errors import InputError
from targets.objective import EDP, ENERGY
from tests.eecompile.verbs.handed_on import handed_on, words

COMMON: dict[str, Any] = {"out": None, "keep_float": (), "max_drop": None}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"objective": EDP, "calibration": "least-squares", "quantize": "ptq", "bits": {}}),
        (
            {"objective": "energy", "keep_float": ["conv_0", "conv_0"], "out": "there",
             "bits": {"head": 4}, "frontier": True, "seed": 3},
            {"objective": ENERGY, "keep_float": ("conv_0",), "out": Path("there"),
             "bits": {"head": 4}, "frontier": True, "seed": 3},
        ),
        ({"keep_float": "auto", "max_drop": 0.0}, {"keep_float": "auto", "max_drop": 0.0}),
    ],
)  # fmt: skip
def test_what_was_told_is_handed_on(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = handed_on(
        monkeypatch,
        "eecompile.verbs.work.quantize.quantize_network",
        lambda: api.quantize("net.onnx", "digits", **given, progress=words),
    ).arguments
    assert found["progress"] is words
    options: QuantizeOptions = found["options"]
    assert (options.model, options.data, options.target) == (Path("net.onnx"), "digits", "diana")
    told = COMMON | expected
    assert {name: getattr(options, name) for name in told} == told


def test_without_images_nothing_is_quantized() -> None:
    with pytest.raises(InputError, match="`data` is missing"):
        api.quantize("missing.onnx")
