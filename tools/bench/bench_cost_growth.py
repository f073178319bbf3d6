"""How the time of the cost search grows: with the number of layers, and with the number of loop factors."""

from __future__ import annotations

import importlib
import math
import random
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from targets.cost.model.nest import LoopNest, Shape
from targets.cost.model.nest_of_layer import nest_of
from targets.cost.model.unrolling import place
from targets.cost.search.engine import DEFAULT_LPF_LIMIT, Engine
from targets.cost.search.orderings import prime_factors
from targets.cost.search.spatial import unrollings
from targets.description.mapping import rule_for
from targets.network.layer import Layer, LoopDims, Operand
from targets.objective import LATENCY
from tools.zigzag_records import Core

COUNTS = (5, 10, 20, 40, 80)
FULL_COUNT = 20
LAYERS_SEED = 1
# Layers per number of prime factors.
SAMPLES = 3
FACTORS = range(4, 19, 2)


def conv(channels: int, kernels: int, size: int, kernel: int) -> LoopNest:
    """Return an unstrided convolution in eight bits."""
    wide = size + kernel - 1
    dims = LoopDims(1, 1, kernels, channels, size, size, kernel, kernel, wide, wide)
    return nest_of(
        Layer(
            "conv",
            "Conv",
            (),
            dims.iterations,
            dims,
            (Operand("x", (1, channels, wide, wide), 8),),
            (Operand("y", (1, kernels, size, size), 8),),
            weight=Operand("w", (kernels, channels, kernel, kernel), 8),
            accumulator_bits=16,
        )
    )


def distinct_layers(rng: random.Random) -> Iterator[LoopNest]:
    """Yield convolutions with sizes as networks have them, none twice."""
    seen = set()
    while True:
        channels, kernels = (rng.choice((16, 24, 32, 48, 64, 96, 128, 160, 256, 320, 512)) for _ in range(2))
        spec = (channels, kernels, rng.choice((7, 8, 14, 16, 28, 32, 56)), rng.choice((1, 3, 5)))
        if spec not in seen:
            seen.add(spec)
            yield conv(*spec)


def factors_left(core: Core, nest: LoopNest) -> int:
    """Return how many prime factors the temporal loops have after the core's wished unrolling."""
    shape = Shape(nest)
    first = unrollings(shape, core.hierarchy, rule_for(core.rules, "", "Conv"), {})[0]
    return sum(len(prime_factors(size)) for size in place(shape, core.hierarchy, first, {}).remaining)


def seconds(core: Core, nests: list[LoopNest], limit: int | None) -> float:
    """Return the CPU seconds of a search over ``nests``, nothing remembered."""
    engine = Engine(core.hierarchy, lpf_limit=limit)
    rule = rule_for(core.rules, "", "Conv")
    start = time.process_time()
    for nest in nests:
        engine.best(nest, LATENCY, rule)
    return time.process_time() - start


def by_layers(core: Core) -> dict[str, list[tuple[float, float]]]:
    """Return (layers, seconds) with the default limit and over all factors."""
    source = distinct_layers(random.Random(LAYERS_SEED))
    nests = [next(source) for _ in range(COUNTS[-1])]
    return {
        f"at most {DEFAULT_LPF_LIMIT} factors": [
            (n, seconds(core, nests[:n], DEFAULT_LPF_LIMIT)) for n in COUNTS
        ],
        "all prime factors": [(n, seconds(core, nests[:n], None)) for n in COUNTS if n <= FULL_COUNT],
    }


def by_factors(core: Core) -> dict[str, list[tuple[float, float]]]:
    """Return (prime factors, mean seconds per layer) with the default limit and over all factors."""
    source = distinct_layers(random.Random(LAYERS_SEED))
    groups: dict[int, list[LoopNest]] = {count: [] for count in FACTORS}
    for nest in islice(source, 2000):
        group = groups.get(factors_left(core, nest))
        if group is not None and len(group) < SAMPLES:
            group.append(nest)
    kept = {count: nests for count, nests in groups.items() if nests}
    return {
        name: [(count, seconds(core, nests, limit) / len(nests)) for count, nests in kept.items()]
        for name, limit in (
            (f"at most {DEFAULT_LPF_LIMIT} factors", DEFAULT_LPF_LIMIT),
            ("all prime factors", None),
        )
    }


def growth(core: Core, folder: Path) -> None:
    """Print both growths and save them as pictures, where matplotlib is installed."""
    tables = {
        "layers": ("distinct layers", "CPU seconds", by_layers(core)),
        "factors": ("prime factors of the temporal loops", "CPU seconds per layer", by_factors(core)),
    }
    for name, (x_label, y_label, curves) in tables.items():
        print(f"\n{y_label} by {x_label}")
        for label, points in curves.items():
            print(
                f"  {label:<20}"
                + "  ".join(f"{x:g}: {y:.3f}" for x, y in points)
                + f"  ~ x^{slope(points):.1f}"
            )
        save_plot(folder / f"cost_{name}.png", x_label, y_label, curves)


def slope(points: list[tuple[float, float]]) -> float:
    """Return the exponent of a power law from the first to the last point."""
    (x0, y0), (x1, y1) = points[0], points[-1]
    return math.log(y1 / y0) / math.log(x1 / x0)


def save_plot(path: Path, x_label: str, y_label: str, curves: dict[str, list[tuple[float, float]]]) -> None:
    """Save curves with logarithmic seconds; matplotlib is no dependency of the project."""
    try:
        importlib.import_module("matplotlib").use("Agg")
    except ImportError:
        print(f"  {path} is not drawn: install matplotlib")
        return
    pyplot = importlib.import_module("matplotlib.pyplot")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure, axes = pyplot.subplots(figsize=(5, 3.5))
    for label, points in curves.items():
        axes.plot(*zip(*points, strict=True), marker="o", label=label)
    axes.set(xlabel=x_label, ylabel=y_label, yscale="log")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    print(f"  {path}")
