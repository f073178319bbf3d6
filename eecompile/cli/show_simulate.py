"""What `simulate` prints when nobody asked for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from eecompile.cli.terminal import line, table
from eecompile.serving.batches.batching import known_sizes, way_told

if TYPE_CHECKING:  # a verb loads only what it works with
    from eecompile.serving.figures import Interval
    from eecompile.serving.result import ServedRow, SimulationResult

_ROUNDING = 1e-9
"""Seeds that differ by less than this share of their mean differ by how sums are rounded."""
SHOWN = 4
"""Cores, links and ports of a table."""
MEMORIES = ("loads", "spills", "refused", "peak_memory")


def simulated(out: Console, found: SimulationResult) -> None:
    """Print a row for each policy; intervals are over seeds."""
    line(
        out,
        f"{', '.join(found.networks)}: {found.rate:.4g} requests/s, {found.requests:,} for each of "
        f"{len(found.seeds)} seeds; due {_due(found)} ms after they come",
    )
    one_by_one = " one stage at a time" if found.core_bound is not None else ""
    line(
        out,
        f"Without exits {100 * found.static_load:.0f} % of the time is work; "
        f"exits serve at most {found.bound:.2f} x the rate{one_by_one}, whoever is next",
    )
    if found.core_bound is not None:
        line(
            out,
            f"Beside each other they serve at most {found.core_bound:.2f} x: "
            f"then {found.busiest} is always in use",
        )
    for note in found.notes:
        line(out, note[0].upper() + note[1:])
    if found.batch_costs:
        _of_batches(out, found)
    asked = any(row.capacity is not None for row in found.rows)
    memories = any(row.figures[name].mean for row in found.rows for name in MEMORIES)
    rows = [
        (
            row.form,
            row.policy,
            *([row.batch] if found.batch_costs else []),
            *(_spread(row.figures[name], 1e3) for name in ("mean_s", "p50_s", "p95_s", "p99_s")),
            _spread(row.figures["missed"], 100),
            _spread(row.figures["energy_j"], 1e6),
            f"{100 * row.figures['utilisation'].mean:.0f}",
            f"{100 * row.figures['accuracy'].mean:.1f}" if "accuracy" in row.figures else "",
            f"{row.figures['fairness'].mean:.2f}",
            *([] if not memories else _memories(row)),
            *([] if not asked else ["" if row.capacity is None else _spread(row.capacity, 1)]),
        )
        for row in found.rows
    ]
    names: tuple[str, ...] = ("network", "policy", *(["batch"] if found.batch_costs else []))
    columns: tuple[str, ...] = (
        *names,
        "mean ms",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "late %",
        "µJ",
        "busy %",
        "right %",
        "fair",
    )
    if memories:
        columns = (*columns, "loads %", "spills %", "refused %", "most KiB")
    if asked:
        columns = (*columns, "most requests/s")
    table(
        out,
        "Latency from arrival to answer, mean over seeds ± half of its 95 % interval",
        columns,
        rows,
        columns[len(names) :],
    )
    if len(found.streams) > 1:
        _of_streams(out, found)
    if found.core_bound is not None:
        _of_cores(out, found)
    if found.ladders:
        _of_ladders(out, found)
    if any("agreement" in row.figures for row in found.rows):
        _of_agreement(out, found)


def _memories(row: ServedRow) -> list[str]:
    """Return what interrupted requests and loads of weights did with the memories."""
    shares = [f"{100 * row.figures[name].mean:.2g}" for name in MEMORIES[:3]]
    return [*shares, f"{row.figures['peak_memory'].mean / 1024:.4g}"]


def _of_batches(out: Console, found: SimulationResult) -> None:
    """Print what an image takes in batches, and the bound that follows."""
    alone = " one stage at a time" if found.core_bound is not None else ""
    line(out, f"In the batches that cost least per image they serve at most {found.batch_bound:.2f} x{alone}")
    sizes = known_sizes(len(found.batch_costs[0].image_s[0]))
    rows = [
        (of.network, of.form, f"{stage}", *(f"{1e3 * seconds[size - 1]:.4g}" for size in sizes))
        for of in found.batch_costs
        for stage, seconds in enumerate(of.image_s)
    ]
    columns = ("run", "network", "stage", *(f"of {size}" for size in sizes))
    table(out, "Of an image in a batch, ms", columns, rows, columns[2:])


def _due(found: SimulationResult) -> str:
    return " or ".join(f"{1e3 * slo:.4g}" for slo in sorted({one.slo_s for one in found.streams}))


def _of_streams(out: Console, found: SimulationResult) -> None:
    """Print what each stream sees under each policy."""
    rows = [
        (
            of.name, row.form, row.policy, *([row.batch] if found.batch_costs else []),
            f"{of.rate:.4g}", f"{1e3 * of.slo_s:.4g}", f"{of.priority:g}",
            _spread(seen["mean_s"], 1e3), _spread(seen["p99_s"], 1e3), _spread(seen["missed"], 100),
            f"{100 * seen['accuracy'].mean:.1f}" if "accuracy" in seen else "",
        )
        for n, of in enumerate(found.streams)
        for row in found.rows
        for seen in (row.streams[n],)
    ]  # fmt: skip
    names = ("stream", "network", "policy", *(("batch",) if found.batch_costs else ()))
    columns = (*names, "1/s", "due ms", "priority", "mean ms", "p99 ms", "late %", "right %")
    table(out, "By stream", columns, rows, columns[len(names) :])


def _of_cores(out: Console, found: SimulationResult) -> None:
    """Print how long the busiest cores, links and ports were in use."""
    batch = ["batch"] if found.batch_costs else []
    rows = [
        (
            row.form,
            row.policy,
            *([row.batch] if batch else []),
            *(_spread(row.cores[name], 100) if name in row.cores else "0" for name in found.cores[:SHOWN]),
        )
        for row in found.rows
    ]
    columns = ("network", "policy", *batch, *(f"{name} %" for name in found.cores[:SHOWN]))
    more = len(found.cores) - SHOWN
    title = "Share of time in which cores, links and ports were in use"
    if more > 0:
        title += f"; {more} more with --json"
    table(out, title, columns, rows, columns[2 + len(batch) :])


def _of_ladders(out: Console, found: SimulationResult) -> None:
    """Print the thresholds that give way, and how long each policy was where."""
    policies = [row for row in found.rows if row.rungs]
    rows = [
        (
            rung.network, str(number), " ".join(f"{one:.3g}" for one in rung.thresholds),
            f"{100 * rung.accuracy_val:.2f}", f"{100 * rung.bounded_val:.2f}", f"{1e3 * rung.expected_s:.4g}",
            *(f"{100 * row.rungs[number].mean:.1f}" for row in policies),
        )
        for own in found.ladders
        for number, rung in enumerate(own)
    ]  # fmt: skip
    columns = (
        "network", "rung", "thresholds", "val right %", "at least %", "mean ms alone",
        *(f"{way_told(row.policy, row.batch)} %" for row in policies),
    )  # fmt: skip
    table(out, "Thresholds that give way, and the share of time at each", columns, rows, columns[3:])


def _spread(value: Interval, scale: float) -> str:
    if value.high is None or value.high - value.mean <= _ROUNDING * abs(value.mean):
        return f"{value.mean * scale:.4g}"
    return f"{value.mean * scale:.4g} ± {(value.high - value.mean) * scale:.2g}"


def _of_agreement(out: Console, found: SimulationResult) -> None:
    """Print how many answers are those of the final exit, and what was learnt of it."""
    rows = [
        (
            row.form, way_told(row.policy, row.batch), _spread(row.figures["agreement"], 100),
            _spread(row.figures["agreement_last"], 100),
            _spread(row.figures["free_labels"], 100), f"{row.figures['moves'].mean:.3g}",
        )
        for row in found.rows
        if row.form != "static"
    ]  # fmt: skip
    columns = ("network", "policy", "agree %", "in the last quarter %", "ran on %", "moves")
    table(
        out,
        "Answers that are those of the final exit, and requests that ran on to it",
        columns,
        rows,
        columns[2:],
    )
