"""What `cost` prints of a schedule: exits with shares and speculation, cores, links, memories, energy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console

from eecompile.cli.terminal import line, table
from eecompile.wording import quantities
from targets.evaluation.intervals import ErrorBars
from targets.evaluation.paths import Cost, PathCost
from targets.evaluation.report import CostReport
from targets.evaluation.schedule_report import ScheduleReport
from targets.objective import Objective
from targets.schedule.exact.solve import Exact
from targets.schedule.freedom import FUSED, MODES, ROWS

SHOWN_RESOURCES = 24


def exit_paths(out: Console, report: CostReport) -> None:
    """Print what each exit path costs, and what is expected where shares of inputs are known."""
    expected = report.expected
    title = "Exit paths: all that runs when an image leaves there"
    columns = ["exit", "MACs", "cycles", "latency", "energy", "EDP"]
    bars = report.error_bars
    rows = [
        (_name(path), quantities.quantity(path.cost.macs), *costs_with_bars(path.cost, bars))
        for path in report.exits
    ]
    static = None if report.static is None else report.static.total
    if static is not None:
        rows.append(("no exits", quantities.quantity(static.macs), *costs_with_bars(static, bars)))
    if expected is None:
        columns.append("energy share")
        costs = [*(path.cost for path in report.exits), *([] if static is None else [static])]
        shares = (quantities.ratio(cost.energy_pj, report.total.energy_pj) for cost in costs)
        rows = [(*row, quantities.percent(share, 0)) for row, share in zip(rows, shares, strict=True)]
    else:
        columns.append("inputs")
        inputs = [*(quantities.percent(share) for share in report.ratios), *([""] if static else [])]
        rows = [(*row, share) for row, share in zip(rows, inputs, strict=True)]
        if not report.speculates:
            rows.append(
                ("expected", quantities.quantity(expected.macs), *costs_with_bars(expected, bars), "")
            )
    means = expected is not None and not report.speculates
    barred = bars != ErrorBars()  # intervals are wide
    table(out, title, columns, rows, columns[1:], bold_last=int(means), tight=barred)
    _speculative(out, report)
    _break_even(out, report)
    if expected is not None:
        product = quantities.product(expected.edp_of_means_js, expected.edp_of_means_j_cycles)
        line(out, f"Expected energy times expected latency is {product}.")
        out.print()


def schedule_tables(out: Console, report: CostReport) -> None:
    """Print how busy cores and links are, how full memories get, and where the energy goes."""
    schedule = report.schedule
    _utilisation(out, schedule)
    _memories(out, schedule)
    _energy(out, report.exits, schedule)


def schedule_line(report: CostReport) -> str:
    """Return in a sentence how layers were scheduled and which weights stay on chip."""
    schedule = report.schedule
    text = f"Schedule: {MODES[schedule.mode]}, {schedule.runs} runs, {schedule.moves} moves"
    if schedule.mode in (FUSED, ROWS):
        text += f", {fused_layers(schedule)}"
    if len(report.exits) > 1 and report.expected is None:
        text += "; made for equal shares of inputs at each exit, --ratios says otherwise"
    return f"{text}."


def fused_layers(schedule: ScheduleReport) -> str:
    """Return how many layers were fused."""
    if not schedule.groups:
        return "nothing fused"
    groups = "1 group" if schedule.groups == 1 else f"{schedule.groups} groups"
    return f"{schedule.fused} layers fused in {groups}"


def exact_line(exact: Exact, objective: Objective) -> str:
    """Return in a sentence how far the schedule is at most from the best with its cuts."""
    if exact.proven:
        return f"CP-SAT on the same tiles: the expected {objective.name} is proven best."
    above = exact.value / exact.bound - 1 if exact.bound > 0 else math.inf
    if not math.isfinite(above):
        return f"CP-SAT on the same tiles: nothing is proven of the expected {objective.name}."
    over = f"at most {quantities.percent(above)} above the best (not proven)"
    return f"CP-SAT on the same tiles: the expected {objective.name} is {over}."


def resident_line(schedule: ScheduleReport) -> str:
    """Return in a sentence which weights stay on chip between inferences."""
    if schedule.weights == "fetch":
        return "All weights are fetched for each inference."
    if not schedule.resident:
        return "No weights stay on chip between inferences."
    size = quantities.memory(sum(kept.bits for kept in schedule.resident))
    return (
        f"Weights of {len(schedule.resident)} of {schedule.weighted} layers, {size}, stay on chip between "
        "inferences."
    )


def _break_even(out: Console, report: CostReport) -> None:
    """Say how many inputs must leave early for the exits to pay."""
    found = report.break_even
    if found is None:
        return
    words = report.objective.words
    alone = ", ".join(
        f"{path.name} {'never' if share is None else quantities.percent(share)}"
        for path, share in zip(report.exits, found.exits, strict=False)
    )
    share = "no share of inputs that leaves early is enough"
    if found.early is not None:
        share = f"{quantities.percent(found.early)} of inputs must leave early"
    text = f"Break-even of the mean {words} with no exits: {share}"
    line(out, f"{text}, as many at each exit; at one alone: {alone}." if len(found.exits) > 1 else f"{text}.")
    out.print()


def _name(path: PathCost) -> str:
    return path.name if path.complete else f"{path.name} (incomplete)"


def costs_with_bars(cost: Cost, bars: ErrorBars) -> tuple[str, ...]:
    """Return cycles, latency, energy and EDP; below latency and energy the intervals around them."""
    cycles, latency = quantities.cycles(cost.latency_cycles), quantities.quantity(cost.latency_s, "s")
    if bars.latency is not None and cost.latency_s is not None:
        latency += f"\n{quantities.bounds(cost.latency_s, bars.latency.around(cost.latency_s))}"
    elif bars.latency is not None:
        cycles += f"\n{quantities.span(bars.latency.around(cost.latency_cycles))}"
    energy = quantities.energy(cost.energy_pj)
    if bars.energy is not None:
        energy_j = 1e-12 * cost.energy_pj
        energy += f"\n{quantities.bounds(energy_j, bars.energy.around(energy_j))}"
    return cycles, latency, energy, quantities.product(cost.edp_js, cost.edp_j_cycles)


def _speculative(out: Console, report: CostReport) -> None:
    """Print the exits with speculation, and what is then expected."""
    if not report.speculates:
        return
    columns = ("exit", "next stage", "cycles", "latency", "energy", "EDP", "wasted")
    rows = [
        (
            path.name,
            "starts" if ahead.pays else "waits",
            *costs_with_bars(ahead.cost, report.error_bars),
            quantities.energy(ahead.wasted_pj),
        )
        for path in report.exits
        if (ahead := path.speculative) is not None
    ]
    rows[-1] = (rows[-1][0], "", *rows[-1][2:])
    if report.expected is not None:
        rows.append(("expected", "", *costs_with_bars(report.expected, report.error_bars), ""))
    title = "With speculation: the next stage starts while a head decides, where that pays"
    barred = report.error_bars != ErrorBars()
    expected = int(report.expected is not None)
    table(out, title, columns, rows, columns[2:], bold_last=expected, tight=barred)


def _utilisation(out: Console, schedule: ScheduleReport) -> None:
    used = [item for item in schedule.utilisation if item.group in ("core", "host") or item.taken[-1] > 0]
    shown = used[:SHOWN_RESOURCES]
    rows = [
        (
            quantities.shortened(item.resource, 34),
            quantities.percent(item.working[-1]),
            quantities.percent(item.taken[-1]),
            quantities.quantity(item.bits[-1] / 8, "B") if item.bits[-1] else "",
        )
        for item in shown
    ]
    idle = len(schedule.utilisation) - len(used)
    parts = [f"{idle} links and ports are idle"] if idle else []
    parts += [f"{len(used) - len(shown)} more with --json"] if len(used) > len(shown) else []
    more = f" ({'; '.join(parts)})" if parts else ""
    columns = ("resource", "working", "in use", "moved")
    table(out, f"Cores, links and ports until the final exit{more}", columns, rows, columns[1:])


def _memories(out: Console, schedule: ScheduleReport) -> None:
    rows = [
        (
            memory.store,
            quantities.memory(memory.peak_bits),
            quantities.memory(memory.capacity_bits),
            quantities.percent(quantities.ratio(memory.peak_bits, memory.capacity_bits), 0),
        )
        for memory in schedule.memories.values()
        if memory.capacity_bits is not None
    ]
    columns = ("memory", "peak", "size", "full")
    table(out, "Memories on chip", columns, rows, columns[1:])


def _energy(out: Console, exits: Sequence[PathCost], schedule: ScheduleReport) -> None:
    moved = any(split.onchip_pj or split.offchip_pj or split.links_pj for split in schedule.energy)
    if not schedule.moves or not moved:
        return
    rows = [
        (
            path.name,
            *(quantities.energy(part) for part in split),
            quantities.percent(quantities.ratio(split.offchip_pj, path.cost.energy_pj), 0),
        )
        for path, split in zip(exits, schedule.energy, strict=True)
    ]
    columns = ("exit", "cores", "on chip", "off chip", "links", "off chip share")
    table(out, "Energy: cores at work, and moves; streams count as off chip", columns, rows, columns[1:])
