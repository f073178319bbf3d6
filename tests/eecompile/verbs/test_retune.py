"""What the verb does is seen in `test_retuning.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eecompile import api


def test_only_what_was_told_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr("eecompile.run.retuning.retune", lambda *given: told.append(given))
    api.retune(tmp_path / "run", max_drop=0.0, max_cost_ratio=0.5)
    api.retune(str(tmp_path / "run"), tmp_path / "out", optimistic=True, min_gain=1.0)
    (run, changed, out, _), other = told
    assert (run, changed, out) == (
        tmp_path / "run", {"max_drop": 0.0, "max_cost_ratio": 0.5}, tmp_path / "run-retuned",
    )  # fmt: skip
    assert other[1:3] == ({"optimistic": True, "min_gain": 1.0}, tmp_path / "out")
