"""The tables of the fit: printed, and as the page ``docs/results/gap9.md``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tools.gap9.calibration import Fits
from tools.gap9.errors import ENERGY, GOALS, KIND_GOAL, LATENCY, Compare
from tools.gap9.log_report import Compared, medians, total_ratio
from tools.gap9.measured import clock_hz

FAR = 0.10
"""Layers of the log further off than this are named."""

Table = list[tuple[str, ...]]


def error_table(found: Sequence[Compare]) -> Table:
    """Return measured, predicted and left-out figures of every network and point, in ms and uJ."""
    rows: Table = [("network", "point", "quantity", "measured", "predicted", "error", "left out", "error")]
    for one in found:
        unit, scale = ("ms", 1e3 / clock_hz(one.point)) if one.quantity == LATENCY else ("uJ", 1e-6)
        measured, predicted, unseen = (
            f"{value * scale:.3f}" for value in (one.measured, one.predicted, one.left_out)
        )
        rows.append(
            (
                one.network, one.point, f"{one.quantity}, {unit}", measured, predicted, f"{one.error:+.1%}",
                unseen, f"{one.honest_error:+.1%}",
            )
        )  # fmt: skip
    return rows


def worst_lines(found: Sequence[Compare]) -> list[str]:
    """Return the largest error of a network left out, for each quantity, with its goal."""
    lines = []
    for quantity in (LATENCY, ENERGY):
        worst = max((one for one in found if one.quantity == quantity), key=lambda one: abs(one.honest_error))
        lines.append(
            f"worst left-out {quantity}: {worst.honest_error:+.1%} ({worst.network} at {worst.point}), goal "
            f"{GOALS[quantity]:.0%}"
        )
    return lines


def kind_table(log: Sequence[Compared]) -> Table:
    """Return the median ratio of every kind of layer of the log, its range, and the layers far off."""
    rows: Table = [("kind", "layers", "median", "least", "most")]
    for kind, (n, median) in medians(log).items():
        ratios = [one.ratio for one in log if one.log.kind == kind and one.ratio is not None]
        if median is not None:
            rows.append((kind, str(n), f"{median:.3f}", f"{min(ratios):.3f}", f"{max(ratios):.3f}"))
    whole = total_ratio(log)
    if whole is not None:
        rows.append(("whole log", str(len(log)), f"{whole:.3f}", "", ""))
    return rows


def far_table(log: Sequence[Compared]) -> Table:
    """Return the layers of the log whose ratio is far from 1."""
    rows: Table = [("layer", "line", "measured", "predicted", "ratio")]
    for one in log:
        if one.ratio is not None and abs(one.ratio - 1) > FAR:
            cycles = one.predicted.cost.latency_cycles
            row = one.log.row
            rows.append((row.name, str(row.line), f"{row.measured:,}", f"{cycles:,}", f"{one.ratio:.3f}"))
    return rows


def parameter_table(fits: Fits) -> Table:
    """Return the fitted numbers: with everything, and without each network."""
    rows: Table = [("number", "all", *(f"without {name}" for name in fits.without))]
    for key, value in fits.all.items():
        rows.append((key, f"{value:g}", *(f"{numbers[key]:g}" for numbers in fits.without.values())))
    return rows


def plain(table: Table) -> list[str]:
    """Return a table as aligned lines."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def markdown(table: Table) -> list[str]:
    """Return a table as Markdown."""
    head, *rows = table
    return [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)]


def page_text(fits: Fits, found: Sequence[Compare], log: Sequence[Compared]) -> str:
    """Return the page of results."""
    parts: Mapping[str, list[str]] = {
        "Networks": [
            "MLPerf Tiny v1.0, GreenWaves GAP9, at 370 MHz and 0.8 V and at 240 MHz and 0.65 V. `predicted`",
            "is by `targets/gap9/hardware.yaml`, fitted to it too; `left out` by a fit without the network.",
            "", *markdown(error_table(found)), "", *(f"* {line}" for line in worst_lines(found)),
        ],
        "Layers": [
            "GreenWaves' log of EfficientNet-Lite0 (224 x 224, 369.66 MHz, board or simulator not said):",
            f"predicted over measured cycles. The goal is a median within {KIND_GOAL:.0%} for every kind",
            "and for the whole. The log entered the fit: a kind with one layer and its own number is met.",
            "", *markdown(kind_table(log)), "",
            f"Further off than {FAR:.0%}:", "", *markdown(far_table(log)),
        ],
        "Numbers": [
            "Fitted with everything (as shipped), and without each network. Sources and units stand in",
            "`targets/gap9/hardware.yaml`; the model in `targets/gap9/README.md`.",
            "", *markdown(parameter_table(fits)),
        ],
    }  # fmt: skip
    lines = ["# GAP9: predicted and measured", "", "Written by `python -m tools.calibrate_gap9 --write`."]
    for title, body in parts.items():
        lines += ["", f"## {title}", "", *body]
    return "\n".join(lines) + "\n"
