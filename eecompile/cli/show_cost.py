"""What `cost` prints when nobody asked for JSON."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from eecompile.cli.show_schedule import (
    costs_with_bars,
    exact_line,
    exit_paths,
    resident_line,
    schedule_line,
    schedule_tables,
)
from eecompile.cli.terminal import bullets, line, table
from eecompile.wording import error_bars, quantities
from passes.errors import InputError
from targets.cost.imc.area import core_areas, core_clocks_ns, core_peaks
from targets.cost.model.solution import Solution
from targets.evaluation.layers import LayerReport
from targets.evaluation.report import CostReport

SHOWN_LAYERS = 40
WIDE = 110
"""Columns from which names are shown at length."""
NARROW_NAMES, WIDE_NAMES = (11, 12), (24, 20)
"""Characters of layer and core, so that a row fits 80 columns."""
SHOWN_PORTS = 6


def cost_report(out: Console, report: CostReport) -> None:
    """Print exits, layers and what the figures leave out."""
    at = "" if report.point is None else f" at {report.point.name}"
    objective, model = report.objective.name, report.target.cost_model
    line(out, f"{report.target.title}{at}, objective {objective}, cost model {model}", "bold")
    first = report.worse_than_static
    if first is not None:
        line(out, f"Warning: {first}.", "bold")
    line(out, f"Known error: {report.target.model.known_error}.")
    for sentence in error_bars.sentences(report.error_bars.to_json()["intervals"]):
        line(out, sentence)
    _assumptions(out, report)
    out.print()
    exit_paths(out, report)
    _points(out, report)
    shown = report.layers[:SHOWN_LAYERS]
    more = (
        f" (the first {len(shown)} of {len(report.layers)}; all with --json)"
        if len(report.layers) > len(shown)
        else ""
    )
    room = NARROW_NAMES if out.width < WIDE else WIDE_NAMES
    if report.target.search is None:
        headings = ("layer", "core", "exit", "MACs", "cycles", "energy", "share", "used")
        table(out, f"Layers{more}", headings, [_layer(x, *room) for x in shown], headings[3:], tight=True)
    else:
        headings = ("layer", "core", "tiles", "MACs", "cycles", "stall", "energy", "used")
        rows = [*(_searched(layer, *room) for layer in shown), _sum(report)]
        table(
            out,
            f"Layers, with cycles of the core that is busiest with each{more}",
            headings,
            rows,
            headings[3:],
            bold_last=1,
            tight=True,
        )
    schedule_tables(out, report)
    _proven(out, report)
    bullets(out, "Warnings", (("", warning) for warning in report.warnings if warning != first))


def _proven(out: Console, report: CostReport) -> None:
    """Say how far from the best mappings the chosen ones are at most, where that was proven."""
    details = [layer.cost.detail for layer in report.layers]
    gaps = [detail.gap for detail in details if detail and detail.gap is not None]
    if not gaps:
        return
    exact = sum(gap == 0 for gap in gaps)
    text = f"All factors: {exact} of {len(gaps)} mappings are exact, the best over all orders and allocations"
    rest = "" if exact == len(gaps) else f"; the others are at most {quantities.percent(max(gaps))} from it"
    line(out, f"{text}{rest}.")


def _points(out: Console, report: CostReport) -> None:
    """Print the deepest path at every operating point, where there are several."""
    reports = report.at_all_points
    if len(reports) < 2:
        return
    rows = [
        (
            f"{point.name} (shown)" if point == report.point else point.name,
            quantities.quantity(found.clock_hz, "Hz"),
            *costs_with_bars(found.total, found.error_bars)[1:],
        )
        for point, found in zip(report.target.arch.operating_points, reports, strict=True)
    ]
    columns = ("operating point", "clock", "latency", "energy", "EDP")
    table(out, "Operating points: the deepest path at each", columns, rows, columns[1:])


def check_broken_down(report: CostReport) -> None:
    """Refuse a breakdown of figures that no mappings are behind."""
    if all(layer.cost.detail is None for layer in report.layers):
        raise InputError(
            f"--breakdown: cost model '{report.target.cost_model}' of {report.target.title} has no mappings "
            "behind its figures",
            "leave --breakdown away, or give a target whose mappings are searched (`eecompile targets`)",
        )


def broken_down(out: Console, report: CostReport) -> None:
    """Print what :func:`cost_report` does, then energy by operand and memory and the parts of latency."""
    cost_report(out, report)
    details = [layer.cost.detail for layer in report.layers if layer.cost.detail is not None]
    _energy(out, details)
    _latency(out, details)
    _areas(out, report)


def _areas(out: Console, report: CostReport) -> None:
    arch = report.target.arch
    areas, peaks = core_areas(arch), core_peaks(arch)
    parts = [(core, part, area) for core, found in areas.items() for part, area in found.items()]
    if parts:
        rows = [(core, part, f"{area:.4g}") for core, part, area in parts]
        rows += [(core, "all", f"{sum(found.values()):.4g}") for core, found in areas.items()]
        table(out, "Area in the unit of the description", ("core", "part", "area"), rows, ("area",))
    for core, delays in core_clocks_ns(arch).items():
        peak = peaks[core]
        reached = f"{peak.tops:.3g} TOPS, {peak.tops_per_w:.3g} TOPS/W, {peak.tops_per_mm2:.3g} TOPS/mm2"
        line(out, f"{core}: a clock period takes at least {sum(delays.values()):.3g} ns; {reached} at most.")


def _assumptions(out: Console, report: CostReport) -> None:
    for note in report.notes:
        line(out, f"Note: {note}.")
    search = report.target.search
    if search is not None:
        limit = search.lpf_limit or "all"
        locality = "on" if search.locality else "off"
        fusion = "fused" if report.fusion else "not fused"
        factors = f"{limit} temporal factors per layer"
        line(out, f"Locality {locality}, activations {fusion}, {factors}, {search.rules} rules.")
        line(out, f"{schedule_line(report)} {resident_line(report.schedule)}")
    if report.planned.exact is not None:
        line(out, exact_line(report.planned.exact, report.objective))
    if report.models:
        cycles = ", ".join(
            f"{name} {quantities.cycles(value)}" + ("" if value is None else " cycles")
            for name, value in report.models.items()
        )
        line(out, f"The whole network by cost model: {cycles}.")


def _layer(layer: LayerReport, name: int, core: int) -> Sequence[str]:
    return (
        quantities.shortened(layer.name, name),
        quantities.shortened(layer.core, core),
        layer.exit,
        quantities.quantity(layer.layer.macs),
        quantities.cycles(layer.cost.latency_cycles),
        quantities.energy(layer.energy_pj),
        quantities.percent(layer.share),
        quantities.percent(layer.cost.utilization, 0),
    )


def _searched(layer: LayerReport, name: int, core: int) -> Sequence[str]:
    return (
        quantities.shortened(layer.name, name),
        _cores(layer, core),
        f"{layer.axis}/{layer.tiles}" if layer.tiles > 1 else "",
        quantities.quantity(layer.layer.macs),
        quantities.cycles(layer.cost.latency_cycles),
        quantities.percent(quantities.ratio(layer.cost.stall_cycles, layer.cost.latency_cycles), 0),
        quantities.energy(layer.energy_pj),
        quantities.percent(layer.cost.utilization, 0),
    )


def _cores(layer: LayerReport, room: int) -> str:
    """Return the busiest core of a layer, and how many others run tiles of it: ``core_0 +3``."""
    others = f" +{len(layer.cores) - 1}" if len(layer.cores) > 1 else ""
    return quantities.shortened(layer.core, room - len(others)) + others


def _sum(report: CostReport) -> Sequence[str]:
    """Return the last row: the whole schedule, in which layers and moves overlap."""
    layers = report.layers
    cycles = sum(layer.cost.latency_cycles for layer in layers)
    used = sum(layer.cost.utilization * layer.cost.latency_cycles for layer in layers)
    return (
        "all layers",
        "",
        "",
        quantities.quantity(sum(layer.layer.macs for layer in layers)),
        quantities.cycles(report.schedule.latency_cycles),
        quantities.percent(quantities.ratio(sum(layer.cost.stall_cycles for layer in layers), cycles), 0),
        quantities.energy(sum(layer.energy_pj for layer in layers)),
        quantities.percent(quantities.ratio(used, cycles), 0),
    )


def _energy(out: Console, details: Sequence[Solution]) -> None:
    by_place: dict[tuple[str, str], float] = {}
    for detail in details:
        for access in detail.accesses:
            place = access.memory, access.operand
            by_place[place] = by_place.get(place, 0.0) + access.energy_pj
    operations_pj = sum(detail.operation_energy_pj for detail in details)
    total_pj = operations_pj + sum(by_place.values())
    names = {"W": "weights or 2nd input", "I": "inputs", "O": "outputs"}
    rows = [(memory, names[op], pj) for (memory, op), pj in sorted(by_place.items())]
    rows.append(("array", "operations", operations_pj))
    table(
        out,
        "Energy by memory and operand, layers with a mapping",
        ("memory", "operand", "energy", "share"),
        [
            (memory, what, quantities.energy(pj), quantities.percent(quantities.ratio(pj, total_pj)))
            for memory, what, pj in rows
        ],
        ("energy", "share"),
    )


def _latency(out: Console, details: Sequence[Solution]) -> None:
    total = sum(detail.latency_cycles for detail in details)
    parts = {
        "compute": sum(d.compute_cycles for d in details),
        "stall": sum(d.stall_cycles for d in details),
        "first loads": sum(d.onload_cycles for d in details),
        "last write-back": sum(d.offload_cycles for d in details),
    }
    waits: dict[str, float] = {}
    for detail in details:
        if detail.stall_cycles and detail.stalls:
            port = f"stall, worst port {detail.stalls[0][0]}"
            waits[port] = waits.get(port, 0.0) + detail.stall_cycles
    worst = sorted(waits.items(), key=lambda item: (-item[1], item[0]))[:SHOWN_PORTS]
    table(
        out,
        "Latency by part, layers with a mapping",
        ("part", "cycles", "share"),
        [
            (name, quantities.cycles(cycles), quantities.percent(quantities.ratio(cycles, total)))
            for name, cycles in (*parts.items(), *worst)
        ],
        ("cycles", "share"),
    )
