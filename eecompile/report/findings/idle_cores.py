"""How long cores wait on each exit path, and what lets them work."""

from __future__ import annotations

from collections.abc import Sequence

from eecompile.quantization.placements import AUTO, MIXED
from eecompile.report.findings.levers import closer_look, on_model, other_schedule, setting, target_of
from eecompile.report.findings.piece import Advice, Trial
from eecompile.report.schedule_facts import ResourceFacts, ScheduleFacts
from eecompile.run_files.summary import Summary
from eecompile.wording import quantities

# A core that waits this share of the time on every path is idle for the network.
_IDLE = 0.95
_UNIT = "waiting"


def idle_cores(summary: Summary, facts: ScheduleFacts | None) -> tuple[Advice, ...]:
    """Return how long the busiest core waits, and which others hardly work; empty where no trace tells.

    A core waits while it computes nothing: it is free, loads, stalls or is held.
    """
    cores = [] if facts is None else [item for item in facts.resources if item.group == "core"]
    if facts is None or not cores:
        return ()
    paths = [stage.name for stage in facts.stages]
    busiest = max(cores, key=lambda core: core.working[-1])
    idle = [core for core in cores if core is not busiest and min(_waits(core)) >= _IDLE]
    found = [_of_busiest(busiest, paths, summary)]
    if idle:
        found.append(_of_idle(idle, summary))
    return tuple(found)


def _waits(core: ResourceFacts) -> tuple[float, ...]:
    return tuple(max(0.0, 1.0 - share) for share in core.working)


def _of_busiest(core: ResourceFacts, paths: Sequence[str], summary: Summary) -> Advice:
    waits = [quantities.percent(share, 0) for share in _waits(core)]
    told = _listed(
        [f"{share} up to {quantities.shortened(path, 20)}" for share, path in zip(waits, paths, strict=True)]
    )
    finding = f"{core.name}, the busiest core, waits part of the time, {told}"
    other = other_schedule(summary, target_of(summary))
    step = "let transfers and several cores work at once" if other else "see what each layer waits for"
    return Advice(waits[-1], _UNIT, finding, step, other or closer_look(summary))


def _of_idle(cores: Sequence[ResourceFacts], summary: Summary) -> Advice:
    least = min(share for core in cores for share in _waits(core))
    names = [core.name for core in cores]
    wait = "wait" if len(names) > 1 else "waits"
    much = "all of the time" if least == 1 else f"at least {_floored(least)} of the time"
    finding = f"{_listed(names)} {wait} {much} on every path"
    target = target_of(summary)
    analog = target is not None and any(
        core.kind == "imc_array" and core.name in names for core in target.arch.cores
    )
    if analog and summary.placement in (None, AUTO) and summary.quantize == "ptq":
        step = "layers may move to the analog array as far as the drop allows"
        return Advice(_floored(least), _UNIT, finding, step, setting("placement", MIXED))
    other = other_schedule(summary, target)
    step = "let several cores work at once"
    if other is None and target is None:
        step, other = "see what each layer runs on", on_model("cost", summary)
    elif other is None:
        step, other = "see which operators they take", Trial("targets", summary.target)
    return Advice(_floored(least), _UNIT, finding, step, other)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _floored(share: float) -> str:
    """Return a share in whole percent that it has at least."""
    return f"{int(100 * share)} %"
