from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from eecompile.cli.show_what_if import moved
from eecompile.search.what_if import WhatIf


def point(trial: int, new: float | None, **others: Any) -> dict[str, Any]:
    was = {"edp_j_cycles": 2.0, "latency_cycles": 100.0, "energy_pj": 3e6}
    figures = was if new is None else {key: new * value for key, value in was.items()}
    runs = new is not None
    return {
        "trial": trial,
        "accuracy_val": 0.5,
        "was": was,
        "runs": runs,
        "on_front": runs,
        **figures,
        **others,
    }


def test_old_and_new_stand_side_by_side() -> None:
    exits = {"from": ["a linear"], "to": []}
    points = [point(0, 2.0, planned=exits), point(1, None, why="no core takes it")]
    document = {
        "hardware": {
            "of": "diana",
            "target": "diana",
            "changes": [{"path": "memories.l1.size_bytes", "old": 4.0, "new": 2.0}],
        },
        "points": points,
        "not_in_cache": [3, 4],
    }
    text = io.StringIO()
    moved(Console(file=text, width=200), WhatIf(Path("out/whatif-x.json"), document))
    shown = text.getvalue()
    assert "memories.l1.size_bytes: 4 -> 2" in shown and "2 -> 4" in shown and "100 -> 200" in shown
    assert "a linear -> none" in shown and "100 -> none" in shown and "3 -> 6" in shown
    assert "Trial 1 cannot run there: no core takes it" in shown
    assert "not solved anew: trials 3, 4" in shown and "out/whatif-x.json" in shown
