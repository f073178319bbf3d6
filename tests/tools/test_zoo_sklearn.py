"""Models of scikit-learn as skl2onnx writes them, where it is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.zoo_sklearn import EXPECTED, export


def test_each_model_is_written_and_something_is_expected_of_it(tmp_path: Path) -> None:
    pytest.importorskip("skl2onnx", reason="models are exported by skl2onnx, which is optional")
    assert export(tmp_path) == sorted(EXPECTED)
    assert {path.name for path in tmp_path.iterdir()} == set(EXPECTED)
