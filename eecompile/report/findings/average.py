"""What an image takes: energy and latency of the average image and of each exit path, beside static."""

from __future__ import annotations

from dataclasses import dataclass

from eecompile.report.charts import PALETTE_SIZE
from eecompile.run_files.summary import Costs, ExitResult, Saving, SpeculativeResult, Summary
from eecompile.wording import headline, quantities
from targets.contract.target import COST_MODEL


@dataclass(frozen=True)
class CostBar:
    """A cost as a bar.

    Attributes:
        width: Percent of the longest bar of its kind.
        text: The cost with its unit.
        share: What it is of static; empty for static itself.
    """

    name: str
    css: str
    width: float
    text: str
    share: str


@dataclass(frozen=True)
class CostBars:
    """One kind of cost over all networks and paths; ``title`` names it with what it is of."""

    title: str
    bars: tuple[CostBar, ...]


@dataclass(frozen=True)
class ModelSaving:
    """What is saved by a cost model of the target; ``reason`` says why it cannot tell, else it is empty."""

    name: str
    saving: Saving | None
    reason: str = ""


def image_costs(summary: Summary) -> tuple[CostBars, ...]:
    """Return energy and latency per image: static, the average image with data, each exit path."""
    rows: list[tuple[str, str, Costs | SpeculativeResult]] = [("static network", "kind-host", summary.static)]
    ahead = summary.expected is not None and summary.expected.speculation
    if summary.expected is not None:
        rows.append(("average image", "average", summary.expected))
    for index, item in enumerate(summary.exits):
        rows.append(
            (_path_name(item), f"c{min(index, PALETTE_SIZE - 1)}", (ahead and item.speculative) or item)
        )
    energies = [cost.energy_pj for _, _, cost in rows]
    cycles = [float(cost.latency_cycles) for _, _, cost in rows]
    return (
        CostBars("Energy per image", _bars(rows, energies, [quantities.energy(e) for e in energies])),
        CostBars("Latency per image", _bars(rows, cycles, [headline.time(cost) for _, _, cost in rows])),
    )


def by_cost_model(summary: Summary) -> tuple[ModelSaving, ...]:
    """Return what is saved by each cost model of the target, that in use first; empty where there is one."""
    others = [
        ModelSaving(row.name, row.saving, row.reason or "")
        for cause in summary.saving_causes
        if cause.cause == COST_MODEL
        for row in cause.alternatives
    ]
    return (ModelSaving(summary.cost_model, summary.saving), *others) if others else ()


def _path_name(item: ExitResult) -> str:
    name = quantities.shortened(item.name, 24)
    return name if item.ratio is None else f"{name}, {quantities.percent(item.ratio)} of images"


def _bars(
    rows: list[tuple[str, str, Costs | SpeculativeResult]], values: list[float], texts: list[str]
) -> tuple[CostBar, ...]:
    longest, static = max(values) or 1.0, values[0]
    return tuple(
        CostBar(
            name,
            css,
            round(100 * value / longest, 2),
            text,
            "" if number == 0 or not static else f"{quantities.percent(value / static, 0)} of static",
        )
        for number, ((name, css, _), value, text) in enumerate(zip(rows, values, texts, strict=True))
    )
