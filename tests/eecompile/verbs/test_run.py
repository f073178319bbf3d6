"""`run` hands on what was told."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from eecompile import api
from eecompile.run.options import RunOptions
from targets.objective import EDP, LATENCY
from tests.eecompile.verbs.handed_on import handed_on, words


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, RunOptions(Path("net.onnx"))),
        (
            {"data": "digits", "exits": ["relu_2", "add_1"], "out": "out", "objective": "latency"},
            RunOptions(
                Path("net.onnx"), data="digits", exits=("relu_2", "add_1"), out=Path("out"),
                objective=LATENCY, told=frozenset({"data", "exits", "out"}),
            ),
        ),
        (
            {
                "target": "gap9", "data": "digits", "exits": 3, "head": "conv", "max_drop": 0.0, "seed": 0,
                "optimistic": True, "preprocess": "raw", "cost_model": "m", "point": "p", "speculate": True,
                "min_gain": 0.0, "rules": "zigzag", "schedule": "layers", "max_latency": 0.5,
                "confidence": "gate",
            },
            RunOptions(
                Path("net.onnx"), "gap9", "digits", None, 3, "conv", EDP, 0.0, True, "raw", "m", 0, "p", True,
                0.0, "zigzag", "layers",
                frozenset({
                    "data", "exits", "head", "max_drop", "seed", "optimistic", "preprocess", "cost_model",
                    "point", "speculate", "min_gain", "rules", "schedule", "max_latency", "confidence",
                }),
                0.5,
                confidence="gate",
            ),
        ),
    ],
    ids=["defaults", "some", "zeros are told"],
)  # fmt: skip
def test_run_hands_on_what_was_told(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], expected: RunOptions
) -> None:
    models: tuple[str | Path, ...] = ("net.onnx", Path("net.onnx"))
    for model in models:
        call = functools.partial(api.run, model, **given, progress=words)
        found = handed_on(monkeypatch, "eecompile.run.main.run", call)
        assert found.arguments == {"options": expected, "progress": words}
