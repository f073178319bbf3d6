"""``cost``: which target, which mappings, at which precision; options a target cannot honour are refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from eecompile.run.accelerator import assumed_bits, open_target
from eecompile.run.prepare import Prepared, cost_of, cycles_by_model, prepare
from eecompile.run.schedule_options import ScheduleOptions, wishes_of
from eecompile.verbs.work.cost_files import check_writable, save_mapping, save_overlay, write_trace
from passes.errors import InputError
from passes.model.in_memory import Network
from passes.progress import Count, DetailLine, counting
from targets.contract.target import Target
from targets.described.target import EngineTarget
from targets.description.mapping import RuleError
from targets.description.readers.mapping import read_mapping
from targets.evaluation.points import at_point, choose_point
from targets.evaluation.report import CostReport
from targets.evaluation.scheduling import Wishes
from targets.network.layer import Bits
from targets.objective import Objective

DETAIL_SECONDS = 2.0


@dataclass(frozen=True)
class CostOptions:
    """What ``cost`` is asked beside network and target; ``None`` if not told.

    Attributes:
        mapping: File with wishes for the mapping of layers.
        locality: Tensors may stay on chip between layers.
        fusion: Layers hold the activations that follow them.
        lpf_limit: Most temporal factors per layer, or ``full``.
        bits: Precision of float tensors.
        save_mapping: Where to write the chosen mappings.
        point: Operating point the figures are for; ``None`` takes the first, or the best within the bound.
        max_latency_s: Longest allowed latency of the deepest exit, in s.
        trace: Where to write the schedule as a trace.
        overlay: Where to write what is known of each node, for Model Explorer.
        rules: How latency counts what unrollings leave over.
        scheduling: What is asked of the schedule.
    """

    mapping: Path | None = None
    locality: bool | None = None
    fusion: bool = True
    lpf_limit: int | Literal["full"] | None = None
    bits: Bits | None = None
    save_mapping: Path | None = None
    point: str | None = None
    max_latency_s: float | None = None
    trace: Path | None = None
    overlay: Path | None = None
    rules: str | None = None
    scheduling: ScheduleOptions = field(default_factory=ScheduleOptions)


def cost_network(
    model: Network,
    target: str,
    objective: Objective,
    cost_model: str | None,
    exits: int | Sequence[str] | None,
    head: str | Sequence[str],
    host_scale: float | None,
    options: CostOptions,
    progress: Callable[[str], None],
) -> CostReport:
    """Cost a network; arguments as in `eecompile.api.cost`."""
    fusion, ratios = options.fusion, options.scheduling.ratios
    accelerator, foreign = open_target(target, cost_model or "", host_scale)
    accelerator, notes = with_options(accelerator, options)
    if options.rules is not None:
        accelerator = accelerator.counted_by(options.rules)
    accelerator = at_point(accelerator, options.point, options.max_latency_s)
    wishes = wishes_of(options.scheduling, accelerator)
    written = (
        (options.save_mapping, "mapping.yaml"),
        (options.trace, "schedule.trace.json"),
        (options.overlay, "overlay.json"),
    )
    for path, usual in written:
        if path is not None:
            check_writable(path, usual)
    bits = options.bits or accelerator.precision
    if foreign and options.bits is None:
        notes.append(f"{assumed_bits(bits)}; `bits` says otherwise")
    what = "layers searched for mappings" if isinstance(accelerator, EngineTarget) else "costs"
    with counting(what) as count, _Ticker(progress, count) as ticker:
        if isinstance(accelerator, EngineTarget):
            accelerator = replace(accelerator, watch=ticker)
        try:
            prepared = prepare(
                model,
                accelerator,
                objective,
                exits,
                head,
                bits=bits,
                fusion=fusion,
                ratios=ratios,
                wishes=wishes,
                choose_on=_without_rules(accelerator),
            )
            static = _static(prepared, accelerator, objective, bits, fusion, wishes)
        except RuleError as error:
            raise _of_file(error, options.mapping, accelerator) from None
    report = replace(prepared.costs, static=static)
    if options.save_mapping is not None and isinstance(accelerator, EngineTarget):
        notes += save_mapping(report, options.save_mapping, accelerator)
    if prepared.doubt and len(report.exits) > 1:
        notes.append(prepared.doubt)
    report = replace(report, notes=tuple(notes))
    if len(accelerator.cost_models) > 1:
        models = cycles_by_model(prepared.graph, accelerator, report, bits, fusion, ratios, wishes)
        report = replace(report, models=models)
    if options.max_latency_s is not None:
        report = choose_point(report, options.max_latency_s, options.point)
    if options.trace is not None:
        write_trace(report, options.trace)
    if options.overlay is not None:
        save_overlay(report, model, options.overlay)
    return report


def _without_rules(target: Target) -> Target:
    """Return ``target`` without the mapping file, whose rules are for layers of the exits once chosen."""
    return replace(target, rules=()) if isinstance(target, EngineTarget) else target


def _static(
    prepared: Prepared, target: Target, objective: Objective, bits: Bits, fusion: bool, wishes: Wishes
) -> CostReport | None:
    """Return what the network costs without its early exits; ``None`` if it has none."""
    if len(prepared.costs.exits) < 2:
        return None
    alone = replace(wishes, speculate=False)
    return cost_of(prepared.plain, target, objective, bits, fusion, None, alone)


class _Ticker:
    """Tells every ``DETAIL_SECONDS`` which layer is being searched, if another: quick answers stay quiet."""

    def __init__(self, progress: Callable[[str], None], count: Count) -> None:
        self._progress, self._count = progress, count
        self._layer = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def __call__(self, layer: str) -> None:
        self._layer = layer
        self._count.add()

    def __enter__(self) -> _Ticker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _tell(self) -> None:
        told = ""
        while not self._over.wait(DETAIL_SECONDS):
            if self._layer != told:
                told = self._layer
                self._progress(DetailLine(f"search mappings: {told}"))


def _of_file(error: RuleError, path: Path | None, target: Target) -> InputError:
    """Return ``error`` with the mapping file it comes from."""
    if path is None:
        return error
    fixed = isinstance(target, EngineTarget) and any(rule.fixed for rule in target.rules)
    hint = "saved from another network or target? save it again with `save_mapping`" if fixed else error.hint
    return InputError(f"{path}: {error.message}", hint)


def with_options(target: Target, options: CostOptions) -> tuple[Target, list[str]]:
    """Return ``target`` with the options of its search, and notes on what of them is not followed.

    Raises:
        InputError: A wrong value, or a target that searches no mappings.
    """
    asked = {
        "`mapping`": options.mapping,
        "`locality`": options.locality,
        "`lpf_limit`": options.lpf_limit,
        "`save_mapping`": options.save_mapping,
    }
    given = [flag for flag, value in asked.items() if value is not None]
    if not isinstance(target, EngineTarget):
        if given:
            raise InputError(
                f"{given[0]} needs a target whose search of mappings has options; {target.title} with cost "
                f"model '{target.cost_model}' has none",
                f"leave {given[0]} away, or give another target (`eecompile targets`) or an accelerator file",
            )
        return target, []
    notes: list[str] = []
    if options.mapping is not None:
        rules, unused = read_mapping(options.mapping, target.arch.array_dimensions)
        target = replace(target, rules=rules)
        notes += unused
    if options.locality is not None:
        target = replace(target, locality=options.locality)
    if options.lpf_limit is not None:
        target = replace(target, lpf_limit=None if options.lpf_limit == "full" else options.lpf_limit)
    return target, notes
