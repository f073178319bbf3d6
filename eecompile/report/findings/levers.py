"""Which options a run leaves open: what can be tried on its target, with what it was made from."""

from __future__ import annotations

from eecompile.quantization.placements import MIXED
from eecompile.report.findings.piece import Trial
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


def on_model(verb: str, summary: Summary, *switches: str) -> Trial:
    """Return a verb on the network of a run and its target, which is named where it is known by name."""
    target = summary.target if summary.target in target_table() else "FILE"
    return Trial(verb, summary.model, (("target", target), *((name, "") for name in switches)))


def closer_look(summary: Summary) -> Trial:
    """Return what tells where the cycles of each layer go: with its mapping, where there is one behind it."""
    target = target_of(summary)
    mapped = target is not None and target.search is not None
    return on_model("cost", summary, *(("breakdown",) if mapped else ()))


def setting(name: str, value: str) -> Trial:
    """Return a run with another setting."""
    return Trial("run", "", ((name, value),))


def with_images() -> Trial:
    """Return a run with images, which tells how many leave."""
    return setting("data", "IMAGES")


def other_schedule(summary: Summary, target: Target | None) -> Trial | None:
    """Return a run in which several cores work at once; ``None`` where it did, or the target has no such."""
    if target is None or summary.schedule not in (None, LAYERS):
        return None
    mode = next((name for name in _SEVERAL_CORES if name in target.schedules), None)
    return None if mode is None else setting("schedule", mode)


def pruning(summary: Summary) -> Trial | None:
    """Return a run whose network costs less of what was minimised; ``None`` where it cannot be pruned."""
    if summary.pruned is not None or summary.dataset is None or summary.trainer == "scratch":
        return None
    return setting("prune", f"{'energy' if summary.objective.counts_energy else 'cycles'}=-20%")


def other_drop(summary: Summary, factor: float) -> Trial | None:
    """Return what allows ``factor`` times the drop; ``None`` where none was allowed, or it chose nothing."""
    allowed = summary.max_drop * factor or (1.0 if factor > 1 else 0.0)
    if summary.dataset is None or summary.kept_thresholds or summary.study is not None or not allowed:
        return None
    if summary.placement == MIXED:  # the drop chose the mapping, too
        return setting("max_drop", f"{allowed:g}")
    return Trial("retune", "RUN", (("max_drop", f"{allowed:g}"),))
