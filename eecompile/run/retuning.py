"""Exits and thresholds of a run chosen anew, from its directory alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from eecompile.quantization.placements import MIXED
from eecompile.run import provenance
from eecompile.run.accelerator import kept_target, open_target
from eecompile.run.clock import Clock
from eecompile.run.evidence import Evidence
from eecompile.run.kept.whole import prepared_of, read_kept, restore
from eecompile.run.main import RunResult
from eecompile.run.options import RunOptions, from_record
from eecompile.run.prepare import cost_of
from eecompile.run.schedule_options import ScheduleOptions, wishes_of
from eecompile.run.steps import CHOICE_STEPS
from eecompile.run_files import directory
from eecompile.run_files.log import RunLog
from passes.errors import InputError
from passes.model.in_memory import FILE_NAME
from targets.evaluation.points import at_point


def retune(
    run: Path, changed: Mapping[str, Any], out: Path, progress: Callable[[str], None] = lambda _: None
) -> RunResult:
    """Write the run directory that the run had written with other options of the choice.

    Nothing is trained, quantized or asked again: images, network and cache are not needed.

    Args:
        run: Directory of a run with images.
        changed: Options of the choice that were told, by name.
        out: Directory to write; may be the same.
        progress: Told of each step.

    Raises:
        InputError: No such run, or options that do not go together.
        NoSolutionError: No thresholds keep what is asked for.
    """
    log = RunLog(progress)
    clock = Clock(log)
    clock.step("read what the run keeps")
    found = read_kept(run)
    before = found.told["options"]
    options = _options(run, before, changed, out)
    if options.placement == MIXED and options.max_drop != before["max_drop"]:
        raise InputError(
            f"the mapping of {run} was chosen for a drop of {before['max_drop']:g} points, too",
            "give the network to `run` again, with another `max_drop`",
        )
    target, _ = open_target(kept_target(run, options.target), options.cost_model or "", None)
    target = at_point(target, options.point, options.max_latency)
    if options.rules is not None:
        target = target.counted_by(options.rules)
    wishes = wishes_of(ScheduleOptions(options.schedule, speculate=options.speculate), target)
    costs = cost_of(found.graphs["train.graph"], target, options.objective, wishes=wishes)
    prepared = prepared_of(found, target, costs)
    if options.min_gain is not None and prepared.asked:
        raise InputError(
            f"`min_gain` says which exits that were tried are kept, and those of {run} were given: all stay",
            "leave `min_gain` away",
        )
    with directory.run_directory(out) as work:
        evidence = Evidence(options, prepared, clock, work)
        restore(evidence, found)
        for step in CHOICE_STEPS:
            clock.step(step.name)
            step.run(evidence)
        log.write(work, provenance.command(options))
        return RunResult(out, evidence.summary, evidence.costs, evidence.info)


def _options(run: Path, before: Mapping[str, Any], changed: Mapping[str, Any], out: Path) -> RunOptions:
    """Return the options of a run, some of them changed."""
    values = from_record({**before, **changed, "out": out})
    if before["model"] == FILE_NAME and (run / FILE_NAME).is_file():  # it came from memory
        values["model"] = run / FILE_NAME
    return RunOptions(**{**values, "told": frozenset({*before["told"], *changed, "out"})})
