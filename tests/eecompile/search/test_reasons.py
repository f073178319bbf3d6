from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eecompile.search.reasons import reason_of
from passes.errors import InputError

BROKEN = {"constraint": "max_macs", "reached": 20.0, "asked": 10.0, "excess": 1.0}
BOTH = {"constraint": "max_cost_ratio with max_drop", "reached": None, "asked": None, "excess": 0.001}
TRIALS: list[dict[str, Any]] = [
    {"trial": 0, "params": {}, "design": "d0", "points": [{}], "why": []},
    {"trial": 1, "params": {}, "design": "d1", "points": [], "why": [BROKEN]},
    {
        "trial": 2,
        "params": {"width": 4},
        "error": "conv_1 fits no core\nmake it smaller",
        "hint": "make it smaller",
    },
    {"trial": 3, "params": {}, "design": "d3", "points": [], "why": [BOTH]},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "trials.json").write_text(json.dumps({"schema_version": 1, "trials": TRIALS}))
    return tmp_path


def test_each_kind_of_end(folder: Path) -> None:
    assert reason_of(folder, 0) == {
        "trial": 0, "design": "d0", "state": "feasible", "reasons": [], "levers": [],
    }  # fmt: skip
    broken = reason_of(folder, 1)
    assert broken["state"] == "infeasible"
    assert broken["reasons"] == [{"constraint": "max_macs", "reached": 20.0, "asked": 10.0, "what": ""}]
    assert broken["levers"] == ["max_macs: smaller choices of the backbone, or more pruning"]
    failed = reason_of(folder, 2)
    assert (failed["state"], failed["design"], failed["levers"]) == ("failed", "width 4", ["make it smaller"])
    assert failed["reasons"][0]["what"] == "conv_1 fits no core", "its hint is a lever"
    assert [lever.partition(":")[0] for lever in reason_of(folder, 3)["levers"]] == [
        "max_cost_ratio",
        "max_drop",
    ]


def test_what_is_not_there(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no trial 4") as error:
        reason_of(folder, 4)
    assert error.value.hint == "it has 0 to 3"
    with pytest.raises(InputError, match="holds no search"):
        reason_of(tmp_path / "nothing", 0)
    (folder / "trials.json").write_text("[")
    with pytest.raises(InputError, match="is damaged"):
        reason_of(folder, 0)
