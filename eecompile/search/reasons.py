"""Why a design of a search is not on its front, and what would help."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eecompile.run_files.versions import check_version
from eecompile.search.searching import TARGETS, read_front
from passes.errors import InputError

_LEVERS = {
    "max_worst_latency_cycles": "a smaller backbone, fewer bits, more pruning, or fewer heads (`at_most`)",
    "max_memory_bytes": "a narrower backbone, or fewer bits of weights",
    "max_final_ratio": "more mounts or wider heads, so that more images leave early; longer training",
    "max_cost_ratio": "mounts that lie earlier, cheaper heads, or a larger `max_drop`",
    "max_drop": "longer training (`epochs`), wider heads, or a larger `max_drop`",
    "min_accuracy": "longer training (`epochs`), wider or deeper choices of the backbone",
    "max_edp_j_cycles": "smaller choices of the backbone, fewer bits, or more pruning",
    "max_latency_cycles": "smaller choices of the backbone, fewer bits, or more pruning",
    "max_energy_pj": "smaller choices of the backbone, fewer bits, or more pruning",
    "max_macs": "smaller choices of the backbone, or more pruning",
    "max_worst_latency_s": "a faster operating point, a smaller backbone, fewer bits, or more pruning",
    "max_edp_js": "another operating point, smaller choices of the backbone, fewer bits, or more pruning",
    "max_latency_s": "a faster operating point, smaller choices of the backbone, fewer bits, or more pruning",
}


def reason_of(folder: Path, trial: int) -> dict[str, Any]:
    """Return what became of a trial: its design, state, reasons and levers.

    Raises:
        InputError: No such search, or no such trial.
    """
    path = folder / "trials.json"
    if (folder / TARGETS).exists():
        read_front(folder)  # says which there are
    try:
        told = json.loads(path.read_text())
        trials = told["trials"]
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder} holds no search", "give the folder that `search` wrote (`out`)") from None
    except (ValueError, KeyError):
        raise InputError(f"{path} is damaged", "run `search` with `resume` again") from None
    check_version(told, path)
    found = next((item for item in trials if item["trial"] == trial), None)
    if found is None:
        raise InputError(f"{folder} has no trial {trial}", f"it has 0 to {len(trials) - 1}")
    design = found.get("design") or ", ".join(f"{name} {value}" for name, value in found["params"].items())
    if "error" in found:
        what = found["error"].removesuffix(f"\n{found['hint']}")
        reasons = [{"constraint": "", "reached": None, "asked": None, "what": what}]
        return _told(trial, design, "failed", reasons, [found["hint"]] if found["hint"] else [])
    if found["points"]:
        return _told(trial, design, "feasible", [], [])
    reasons = [
        {"constraint": item["constraint"], "reached": item["reached"], "asked": item["asked"], "what": ""}
        for item in found["why"]
    ]
    names = [name for item in reasons for name in item["constraint"].split(" with ")]
    levers = [f"{name}: {_LEVERS[name]}" for name in dict.fromkeys(names) if name in _LEVERS]
    return _told(trial, design, "infeasible", reasons, levers)


def _told(
    trial: int, design: str, state: str, reasons: list[dict[str, Any]], levers: list[str]
) -> dict[str, Any]:
    return {"trial": trial, "design": design, "state": state, "reasons": reasons, "levers": levers}
