"""Hold MAX78000 against what is published of it: ``docs/results/max78000.md``.

    EECOMPILE_SHARED=DIR python -m tools.experiments.max78000 [--out FILE]

DIR holds ``models/`` with ResNet8 and MobileNetV1 as ONNX; the other networks are made on the spot. Prints
the page, or writes it.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import onnx.parser
import onnx_graphsurgeon as gs

from passes.model.graph import from_model, load
from passes.registry import parse_pipeline
from targets.contract.target import Target
from targets.evaluation.report import CostReport, evaluate
from targets.max78000.latency import START_CYCLES
from targets.max78000.target import Max78000Target
from targets.max78002.target import Max78002Target
from tools.experiments.max78000_counts import (
    COUNTS,
    CYCLES_PER_US,
    HEADER,
    LEFT_OUT,
    PUBLISHED,
    Count,
    Published,
    network_of,
)
from tools.make_tiny_networks import autoencoder, ds_cnn


class MeasuredPower(NamedTuple):
    """A published energy of one inference on the chip."""

    network: str
    source: str
    energy_uj: float
    time_ms: float

    @property
    def power_mw(self) -> float:
        """The power while it runs."""
        return self.energy_uj / self.time_ms

    @property
    def measured_pj(self) -> int:
        """What validation.yaml holds as measured."""
        return round(self.energy_uj * 1e6)

    @property
    def predicted_pj(self) -> int:
        """The power of hardware.yaml for the measured time: the layers are not published."""
        return round(mean_power_mw() * self.time_ms * 1e6)


MEASURED_POWERS = (
    MeasuredPower("TinyissimoYOLO", "arXiv 2306.00001: 196 uJ at 180 images/s", 196.0, 1e3 / 180),
    MeasuredPower(
        "TinyissimoYOLO beside GAP9",
        "arXiv 2307.05999: GAP9's 150 uJ and 2.12 ms are 20 % less, twice as fast",
        187.5,
        4.24,
    ),
    MeasuredPower(
        "face recognition",
        "survey of seven microcontrollers, Giordano et al.: 0.09 mJ in 1.4 ms",
        90.0,
        1.4,
    ),
)


def report_of(graph: gs.Graph, target: Target, allow_refused: bool = False) -> CostReport:
    """Return what a network costs on ``target``; ``allow_refused`` as in ``evaluate``."""
    parse_pipeline(target.pipeline(quantized=False))(graph)
    return evaluate(graph, target, allow_refused=allow_refused)


def cycles_by_target(count: Count) -> int | None:
    """Return the cycles of the target for a count, start included; ``None`` where it has no such layer."""
    if not count.layer:
        return None
    graph = from_model(onnx.parser.parse_model(HEADER + count.layer), count.name)
    return START_CYCLES + math.ceil(report_of(graph, Max78000Target()).total.latency_cycles)


def predicted_cycles(published: Published) -> int:
    """Return the cycles of the target for a network that the vendor measured, the start included."""
    report = report_of(from_model(network_of(published), published.name), Max78000Target())
    return START_CYCLES + math.ceil(report.total.latency_cycles)


def mean_power_mw() -> float:
    """Return the geometric mean of the published powers in mW."""
    return math.exp(sum(math.log(found.power_mw) for found in MEASURED_POWERS) / len(MEASURED_POWERS))


def spread() -> tuple[float, float]:
    """Return the smallest and the largest published power over their geometric mean, rounded outwards."""
    shares = [found.power_mw / mean_power_mw() for found in MEASURED_POWERS]
    return math.floor(100 * min(shares)) / 100, math.ceil(100 * max(shares)) / 100


def tiny_networks(folder: Path) -> dict[str, gs.Graph]:
    """Return the networks of MLPerf Tiny by name; ``folder`` holds ``models/``."""
    models = folder / "models"
    return {
        "ResNet8": load(models / "resnet8_cifar10.onnx"),
        "DS-CNN": from_model(ds_cnn(), "ds_cnn"),
        "MobileNetV1-0.25": load(models / "mobilenetv1_025_vww.onnx"),
        "autoencoder": from_model(autoencoder(), "autoencoder"),
    }


def page(folder: Path) -> str:
    """Return the page; ``folder`` holds ``models/``."""
    command = "EECOMPILE_SHARED=DIR python -m tools.experiments.max78000 --out docs/results/max78000.md"
    parts = [
        "# MAX78000 and MAX78002 against what is published",
        f"Written by `{command}`.",
        *counted(),
        *timed(),
        *powers(),
        *tiny(folder),
    ]
    return "\n\n".join(parts) + "\n"


def _table(head: str, rows: Iterable[Sequence[str]]) -> str:
    """Return a table; ``head`` has its columns between bars."""
    bar = "|" + "---|" * (head.count("|") - 1)
    return "\n".join([head, bar, *(f"| {' | '.join(row)} |" for row in rows)])


def counted() -> Iterator[str]:
    """Yield the paragraphs on the counts of the vendor's tests."""
    yield "## The vendor's counts"
    yield (
        f"All {len(COUNTS)} counts in the tests (`izer/test`, `test_cycles`) of "
        "analogdevicesinc/ai8x-synthesis. "
        "*Formula*: `targets/max78000/latency.py`; *target*: `eecompile cost` of the same layer as ONNX, and "
        "the one cycle before the first layer. A test holds both to the cycle."
    )
    rows = []
    for count in COUNTS:
        found = cycles_by_target(count)
        formula = f"{START_CYCLES + count.job.cycles:,}"
        rows.append(
            (
                f"`{count.name}`",
                f"{count.cycles:,}",
                formula,
                "out" if found is None else f"{found:,}",
                count.note,
            )
        )
    yield _table("| test of the vendor | count | formula | target | note |", rows)


def timed() -> Iterator[str]:
    """Yield the paragraphs on times the vendor publishes."""
    yield "## Times on the board"
    yield (
        "Times that the vendor's examples show (analogdevicesinc/msdk, `Examples/MAX78000/CNN`), from start "
        f"to interrupt with the input loaded, at {CYCLES_PER_US} MHz. Nothing was fitted to them. Which "
        "network a README is of is told by the vendor's script that made the examples then "
        "(`gen-demos-max78000.sh`): cifar-10 and cifar-100 have had larger ones since, with the READMEs "
        "unchanged. Of kws20_v3 the layers are those of the code beside it. Three of four take 334 to 342 "
        "cycles more than predicted: the start and the interrupt, which are no part of the formula."
    )
    rows = []
    for published in PUBLISHED:
        measured, predicted = published.time_us * CYCLES_PER_US, predicted_cycles(published)
        error = f"{predicted / measured - 1:+.1%}"
        rows.append((published.name, f"{published.time_us:,} us", f"{measured:,}", f"{predicted:,}", error))
    yield _table("| network | measured | in cycles | predicted | error |", rows)
    yield "Left out: " + "; ".join(f"{name}: {why}" for name, why in LEFT_OUT.items()) + "."


def powers() -> Iterator[str]:
    """Yield the paragraphs on the power."""
    low, high = spread()
    yield "## Power"
    rows = [(f"{found.network} ({found.source})", f"{found.power_mw:.1f} mW") for found in MEASURED_POWERS]
    yield _table("| published measurement of the chip | power |", rows)
    yield (
        f"Geometric mean {mean_power_mw():.1f} mW, which `hardware.yaml` holds; the three are within "
        f"{low:.2f} to {high:.2f} of it. They are of other networks, rounded in their abstracts, the second "
        "worked out from a comparison; what of the chip and of loading inputs is in them is not told. Left "
        "out: 251 uJ for keyword spotting (arXiv 2111.04988), because its time is not in what could be read."
    )


def tiny(folder: Path) -> Iterator[str]:
    """Yield the paragraphs on the networks of MLPerf Tiny; ``folder`` holds ``models/``."""
    low, high = spread()
    yield "## Networks of MLPerf Tiny"
    yield (
        "Energy with the spread of the published powers (MAX78002: that of MAX78000, a placeholder). No "
        "time or energy of these four networks on these chips is in what could be read, so that no "
        "published figure stands beside the predictions."
    )
    rows, refused = [], []
    for target in (Max78000Target(), Max78002Target()):
        for name, graph in tiny_networks(folder).items():
            report = report_of(graph, target, allow_refused=True)
            if report.refusals:
                refused.append(f"* {name} on {target.name}: {_why(report)}")
                rows.append((name, target.name, "does not fit", "", ""))
                continue
            total = report.total
            energy, latency_ms = total.energy_pj / 1e6, (total.latency_s or 0.0) * 1e3
            spreads = f"{energy:.1f} uJ ({energy * low:.1f} to {energy * high:.1f})"
            cycles = f"{math.ceil(total.latency_cycles):,}"
            rows.append((name, target.name, cycles, f"{latency_ms:.3f} ms", spreads))
    yield _table("| network | target | cycles | latency | energy |", rows)
    yield "What does not fit, and why:"
    yield "\n".join(refused)


def _why(report: CostReport) -> str:
    """Return the rules that refused layers break, each once, with the demand of the first that breaks it."""
    told: dict[str, str] = {}
    for refusal in report.refusals:
        for reason in refusal.reasons:
            told.setdefault(reason.rule.partition(" (needs")[0], reason.rule)
    layers = len(report.workload.layers)
    return f"{len(report.refusals)} of {layers} layers have no core. {'. '.join(told.values())}."


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    text = page(Path(os.environ.get("EECOMPILE_SHARED", "../shared")))
    if options.out is None:
        print(text, end="")
    else:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
