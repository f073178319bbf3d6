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


def test_of_several_clocks_times_are_in_seconds() -> None:
    was = {"edp_j_cycles": 2.0, "latency_cycles": 100.0, "energy_pj": 3e6, "edp_js": 0.02, "latency_s": 1.0}
    faster = was | {"edp_js": 0.01, "latency_s": 0.5}
    points = [
        {**faster, **given, "was": was, "trial": k, "accuracy_val": 0.5, "runs": True, "on_front": True}
        for k, given in enumerate(({}, {"latency_s": 0.25}))
    ]
    del points[1]["edp_js"]
    hardware = {"of": "a", "target": "b", "changes": []}
    text = io.StringIO()
    found = WhatIf(Path("x.json"), {"hardware": hardware, "points": points, "not_in_cache": []})
    moved(Console(file=text, width=200), found)
    shown = text.getvalue()
    assert "EDP J·s" in shown and "0.02 -> 0.01" in shown and "1000 -> 500" in shown
    assert "0.02 -> not known" in shown and "1000 -> 250" in shown
