"""Geometry of the report's charts: data in, plain numbers and labels for the templates out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eecompile.report.reading import LayerRow
from eecompile.run_files.summary import CurvePoint, Summary
from eecompile.wording import quantities

PALETTE_SIZE = 6
"""Number of series colours (``c0`` …) in the style sheet."""
HOST_NAMES = ("host", "cpu")
"""Cores drawn in the colour of host work."""


@dataclass(frozen=True)
class Scale:
    """A linear map from data to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of ``value``, rounded to a tenth."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return about ``count`` round numbers that span ``low`` to ``high``."""
    span = (high - low) or abs(high) or 1.0
    raw = span / count
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, max(last, first + 1) + 1)]


@dataclass(frozen=True)
class Mark:
    """A point of a chart, or a tick on an axis, with its label."""

    x: float
    y: float
    label: str


@dataclass(frozen=True)
class Series:
    """One line of a chart."""

    label: str
    css: str
    marks: tuple[Mark, ...]
    chosen: Mark | None


@dataclass(frozen=True)
class Frame:
    """Where the axes of a chart lie, in pixels of the view box."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    x_ticks: tuple[Mark, ...]
    y_ticks: tuple[Mark, ...]


@dataclass(frozen=True)
class CurveChart(Frame):
    """Saving over accuracy drop; ``zero_x`` is where nothing is lost, ``None`` outside the frame."""

    zero_x: float | None
    series: tuple[Series, ...]


def framed(
    x_values: Sequence[float], y_values: Sequence[float], width: int, height: int, top: int = 30
) -> tuple[Frame, Scale, Scale]:
    """Return a frame with ticks at these values, which span it, and its scales of x and y."""
    left, right, bottom = 56, width - 16, height - 48
    x = Scale(x_values[0], x_values[-1], left, right)
    y = Scale(y_values[0], y_values[-1], bottom, top)
    x_ticks = tuple(Mark(x(v), bottom, f"{v:g}") for v in x_values)
    y_ticks = tuple(Mark(left, y(v), f"{v:g}") for v in y_values)
    return Frame(width, height, left, right, top, bottom, x_ticks, y_ticks), x, y


def curve_chart(summary: Summary, width: int = 480, height: int = 300) -> CurveChart | None:
    """Return the accuracy drop / EDP saving curve on val and test; None without a curve."""
    if not summary.curve:
        return None
    pairs = {
        "validation images": ("c2", [(p.val_drop, p.saving_edp_val * 100) for p in summary.curve]),
        "test images": ("c0", [(p.test_drop, p.saving_edp_test * 100) for p in summary.curve]),
    }
    everything = [pair for _, series in pairs.values() for pair in series]
    x_values = ticks(min(x for x, _ in everything), max(x for x, _ in everything), 6)
    y_values = ticks(min(0.0, *(y for _, y in everything)), max(y for _, y in everything), 5)
    frame, x, y = framed(x_values, y_values, width, height)
    chosen = _chosen(summary)
    series = []
    for label, (css, points) in pairs.items():
        marks = [
            Mark(
                x(drop),
                y(saved),
                f"{label}: {drop:.2f} points drop, {saved:.1f} % less EDP (chosen for {p.max_drop:g} points)",
            )
            for (drop, saved), p in zip(points, summary.curve, strict=True)
        ]
        series.append(Series(label, css, tuple(marks), None if chosen is None else marks[chosen]))
    zero_x = x(0.0) if x_values[0] < 0 < x_values[-1] else None
    return CurveChart(**vars(frame), zero_x=zero_x, series=tuple(series))


def _chosen(summary: Summary) -> int | None:
    """Return the index of the curve's point the run uses: same thresholds, else same allowed drop."""
    thresholds = tuple(e.threshold for e in summary.exits)

    def fits(point: CurvePoint) -> bool:
        return point.thresholds in (thresholds, thresholds[:-1])

    matching = [i for i, p in enumerate(summary.curve) if fits(p)]
    if summary.kept_thresholds:
        return matching[0] if matching else None
    matching += [i for i, p in enumerate(summary.curve) if math.isclose(p.max_drop, summary.max_drop)]
    return matching[0] if matching else None


@dataclass(frozen=True)
class Part:
    """A piece of a stacked bar; ``share`` of the whole bar, in percent."""

    label: str
    css: str
    start: float
    share: float
    text: str


def stacked(values: Mapping[str, tuple[float, str, str]], total: float | None = None) -> tuple[Part, ...]:
    """Return the pieces of a stacked bar.

    Args:
        values: Label -> (value, CSS class, text of the value).
        total: What the whole bar stands for; the sum of the values if absent.
    """
    whole = total if total is not None else sum(value for value, _, _ in values.values())
    parts, start = [], 0.0
    for label, (value, css, text) in values.items():
        share = 100 * value / whole if whole else 0.0
        if value > 0:
            parts.append(Part(label, css, round(start, 3), round(share, 3), text))
        start += share
    return tuple(parts)


def ratio_parts(summary: Summary) -> tuple[Part, ...]:
    """Return the bar of exit ratios; empty without data."""
    if any(e.ratio is None for e in summary.exits):
        return ()
    values = {
        e.name: (e.ratio or 0.0, f"c{min(index, PALETTE_SIZE - 1)}", quantities.percent(e.ratio))
        for index, e in enumerate(summary.exits)
    }
    return stacked(values)


def core_colours(layers: Sequence[LayerRow]) -> dict[str, str]:
    """Return the CSS class of each core, by first use; cores beyond the palette share the last one."""
    colours: dict[str, str] = {}
    for core in dict.fromkeys(layer.core for layer in layers):
        used = sum(css != "kind-host" for css in colours.values())
        colours[core] = "kind-host" if core.lower() in HOST_NAMES else f"c{min(used, PALETTE_SIZE - 1)}"
    return colours


def _drawn_cycles(layer: LayerRow) -> float:
    on_core = layer.load_cycles + layer.compute_cycles + layer.stall_cycles + layer.store_cycles
    return on_core + layer.dma_cycles + layer.host_cycles + layer.job_cycles


def energy_by_core(layers: Sequence[LayerRow], colours: Mapping[str, str]) -> tuple[Part, ...]:
    """Return the bar of energy per core."""
    sums = dict.fromkeys(colours, 0.0)
    for layer in layers:
        sums[layer.core] += layer.energy_pj
    return stacked({core: (value, colours[core], quantities.energy(value)) for core, value in sums.items()})


def cycle_parts(layer: LayerRow, total: float, core_css: str) -> tuple[Part, ...]:
    """Return the bar of a layer's compute, stall, transfer and host cycles; all of it is ``total`` cycles."""
    values = {
        "compute": (layer.compute_cycles, core_css),
        "stall": (layer.stall_cycles, "kind-wait"),
        "transfers": (layer.dma_cycles + layer.load_cycles + layer.store_cycles, "kind-dma"),
        "host": (layer.host_cycles + layer.job_cycles, "kind-host"),
    }
    return stacked({k: (v, css, f"{quantities.cycles(v)} cycles") for k, (v, css) in values.items()}, total)


def cycle_scale(layers: Sequence[LayerRow]) -> float:
    """Return the cycles a whole bar of :func:`cycle_parts` stands for: those of the longest layer."""
    return max((_drawn_cycles(layer) for layer in layers), default=0.0)


def by_energy(layers: Sequence[LayerRow]) -> tuple[LayerRow, ...]:
    """Return the layers with the most energy first; ties by name."""
    return tuple(sorted(layers, key=lambda layer: (-layer.energy_pj, layer.name)))


def order(layers: Sequence[LayerRow]) -> dict[str, int]:
    """Return which layer begins when, the first one 1; as the file has them where it does not say."""
    return {layer.name: number for number, layer in enumerate(sorted(layers, key=lambda r: r.start_cycle), 1)}
