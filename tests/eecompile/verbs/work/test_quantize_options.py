"""What `quantize` is asked is said again as the command line that asks for it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from eecompile.cli import main as cli
from eecompile.verbs.work import quantize
from eecompile.verbs.work.quantize_options import QuantizeOptions
from targets.objective import objective_named


@pytest.mark.parametrize(
    "more",
    [
        {},
        {
            "target": "gap9", "out": Path("o p"), "objective": objective_named("energy"), "preprocess": "raw",
            "seed": 3, "calibration": "minmax", "keep_float": "auto", "max_drop": 0.5,
        },
        {
            "keep_float": ("conv_0", "gemm_0"), "placement": "digital", "bits": {"conv_0": 4, "head": 8},
            "frontier": True, "quantize": "qat", "qat_epochs": 2, "requantize": True,
        },
    ],
)  # fmt: skip
def test_the_command_asks_for_the_same(monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]) -> None:
    options = QuantizeOptions(Path("my net.onnx"), "digits", **more)
    taken: list[QuantizeOptions] = []

    def stop(given: QuantizeOptions, _: object) -> None:
        taken.append(given)
        raise KeyboardInterrupt

    monkeypatch.setattr(quantize, "quantize_network", stop)
    words = shlex.split(options.command)
    assert words[:3] == ["eecompile", "quantize", "my net.onnx"]
    with pytest.raises(SystemExit):
        cli.app(words[1:], standalone_mode=False)
    assert taken == [options]


def test_what_is_as_usual_is_not_said() -> None:
    options = QuantizeOptions(Path("net.onnx"), "digits")
    assert options.command == "eecompile quantize net.onnx --data digits --target diana"
