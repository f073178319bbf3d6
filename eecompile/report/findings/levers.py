"""Which options a run leaves open: what can be tried on its target, with what it was made from."""

from __future__ import annotations

from eecompile.quantization.placements import MIXED
from eecompile.run_files.summary import Summary
from passes.errors import EecompileError
from targets.contract.registry import load_target, target_table
from targets.contract.target import Target
from targets.schedule.freedom import FUSED, LAYERS, ROWS, SPLIT

# From what most often brings several cores to work at once.
_SEVERAL_CORES = (FUSED, ROWS, SPLIT)


def target_of(summary: Summary) -> Target | None:
    """Return the target of a run by the cost model it used; ``None`` where its name is not known here."""
    if summary.target not in target_table():
        return None
    try:
        return load_target(summary.target, cost_model=summary.cost_model)
    except EecompileError:
        return None  # of another version: then there is nothing to say of its options


def command(verb: str, summary: Summary, *flags: str) -> str:
    """Return a command on the network of a run and its target, which is named where it is known by name."""
    target = summary.target if summary.target in target_table() else "FILE"
    return " ".join(("eecompile", verb, summary.model, "--target", target, *flags))


def other_schedule(summary: Summary, target: Target | None) -> str:
    """Return the option by which several cores work at once; empty where the run did so, or none is taken."""
    if target is None or summary.schedule not in (None, LAYERS):
        return ""
    mode = next((name for name in _SEVERAL_CORES if name in target.schedules), "")
    return f"--schedule {mode}" if mode else ""


def pruning(summary: Summary) -> str:
    """Return the option that makes a network cheaper in what was minimised; empty where none does."""
    if summary.pruned is not None or summary.dataset is None or summary.trainer == "scratch":
        return ""
    return f"--prune {'cycles' if summary.objective.name == 'latency' else 'energy'}=-20%"


def other_drop(summary: Summary, factor: float) -> str:
    """Return what allows ``factor`` times the drop that was allowed; empty where nothing was, or chose."""
    allowed = summary.max_drop * factor or (1.0 if factor > 1 else 0.0)
    if summary.dataset is None or summary.kept_thresholds or summary.study is not None or not allowed:
        return ""
    if summary.placement == MIXED:  # the drop chose the mapping, too
        return f"--max-drop {allowed:g}"
    return f"eecompile retune RUN --max-drop {allowed:g}"
