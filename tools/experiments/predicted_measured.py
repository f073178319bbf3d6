"""Write what every target predicted beside what was measured, from the validation files alone.

    python -m tools.experiments.predicted_measured [--page docs/results/predicted_measured.md]

Writes the page and, beside it, its picture. Nothing is predicted here: each ``validation.yaml`` names the
command that prints its predictions again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from eecompile.wording import error_bars
from targets.contract.registry import BUILTIN, load_target
from targets.contract.target import Target
from targets.contract.validation import Prediction, ValidatedNetwork
from targets.evaluation.intervals import ErrorBars
from tools.experiments.predicted_measured_plot import Dots, picture

PAGE = Path(__file__).parents[2] / "docs" / "results" / "predicted_measured.md"
HEAD = """# Predicted and measured

What the cost models of every target say of networks that were measured on silicon, from `validation.yaml`
beside each target. Where a measurement entered the fit of parameters, *left out* is what a fit without that
network predicts, and errors are of that; a spread stands instead where a target has nothing but what was
fitted. Intervals of absolute figures in `cost`, `run` and the report follow from these errors.

Written by `python -m tools.experiments.predicted_measured`.

"""
COLUMNS = ("network", "point", "cost model", "figure", "measured", "predicted", "left out", "error", "fitted")


def page(targets: Mapping[str, Target], image: str) -> str:
    """Return the page in Markdown.

    Args:
        targets: By the names they are listed under.
        image: File name of the picture beside the page.
    """
    parts = [HEAD, f"![Predicted over measured, for each network and point]({image})\n\n"]
    parts += [part for name, target in targets.items() for part in _section(name, target)]
    return "".join(parts).rstrip() + "\n"


def _section(name: str, target: Target) -> Iterator[str]:
    yield f"## {name}\n\n"
    known = target.validation
    if known is None:
        yield f"{error_bars.NOT_VALIDATED} Known error of its cost model `{target.cost_model}`: "
        yield f"{target.model.known_error}.\n\n"
        return
    yield f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"
    for entry in known.networks:
        for figure, found in (("cycles", entry.latency_cycles), ("µJ", entry.energy_pj)):
            if found is not None:
                yield f"| {' | '.join(_row(entry, figure, found))} |\n"
    sources = dict.fromkeys(entry.source for entry in known.networks)
    yield f"\nMeasurements: {'; '.join(sources)}. Predictions are printed by `{known.command}`.\n\n"
    for model in dict.fromkeys(entry.cost_model for entry in known.networks):
        told = ErrorBars.of(replace(target, cost_model=model)).to_json()["intervals"]
        yield f"Cost model `{model}`: {' '.join(error_bars.sentences(told))}\n\n"


def _row(entry: ValidatedNetwork, figure: str, found: Prediction) -> tuple[str, ...]:
    def shown(value: float | None) -> str:
        if value is None:
            return ""
        return f"{value:,.0f}" if figure == "cycles" else f"{1e-6 * value:,.2f}"

    figures = (shown(found.measured), shown(found.predicted), shown(found.left_out), _error(found))
    fitted = "yes" if entry.fitted else "no"
    return (entry.network, entry.point, entry.cost_model, figure, *figures, fitted)


def _error(found: Prediction) -> str:
    """Return how far the honest prediction is above what was measured."""
    return f"{100 * (found.honest / found.measured - 1):+.1f} %"


def dots(targets: Mapping[str, Target]) -> list[Dots]:
    """Return a row of the picture for each network at a point."""
    rows = []
    for name, target in targets.items():
        for entry in () if target.validation is None else target.validation.networks:
            at = f" at {entry.point}" if entry.point else ""
            bars = ErrorBars.of(replace(target, cost_model=entry.cost_model))
            rows.append(
                Dots(
                    f"{name}: {entry.network}{at}, {entry.cost_model}",
                    _ratio(entry.latency_cycles),
                    _ratio(entry.energy_pj),
                    None if bars.latency is None else (1 / bars.latency.high, 1 / bars.latency.low),
                )
            )
    return rows


def _ratio(found: Prediction | None) -> float | None:
    return None if found is None else found.honest / found.measured


def main() -> None:
    """Write the page and its picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--page", type=Path, default=PAGE)
    path = parser.parse_args().page
    targets = {name: load_target(name) for name in sorted(BUILTIN)}
    image = path.with_suffix(".svg")
    path.write_text(page(targets, image.name), encoding="utf-8")
    image.write_text(picture(dots(targets)), encoding="utf-8")
    print(f"{path}\n{image}")


if __name__ == "__main__":
    main()
