"""Tell what the costs of a target are worth to a search: the same one with MACs in their place.

    python -m tools.experiments.hardware_awareness --data D [--targets diana gap9 edge_tpu_quad] [--cache DIR]
        [--resnet width=8,12,16 blocks=1,2] [--mobilenet-v1 width=0.25,0.5 depth=2,5 stem_stride=1]
        [--epochs 4] [--seed 0]

All designs of a space of small networks, with and without depthwise layers, are trained and quantized for
each target. Their inner fronts are solved twice from the same answers: for accuracy and EDP, and for
accuracy and MACs. Networks of both fronts are then scheduled in full. A row compares, at an accuracy on val
that both reach, the network with the least EDP that the one search knows with that of fewest MACs that the
other knows, and with the one of the whole front of the other that has the least EDP by sums, had it been
looked at. All is chosen on val; accuracy on test is told beside.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from eecompile.cache.store import MOST_BYTES, usual_folder
from eecompile.exits.fronts.pareto import hypervolume
from eecompile.search.worth.evaluation import DesignEvaluation, Question
from tools.experiments.all_designs import (
    PlannedNetwork,
    designs,
    front,
    gene,
    right_on_test,
    rows,
    scheduled_edp,
)

LOSSES = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Points below the best accuracy that both searches reach."""


def space_text(given: argparse.Namespace) -> str:
    """Return the file of the space."""
    families = {"resnet": given.resnet, "mobilenet_v1": given.mobilenet_v1}
    lines = ["[backbone]", f"family = {list(families)}"]
    for name, genes in families.items():
        lines += [f"[backbone.{name}]", *(f"{gene} = [{values}]" for gene, values in genes)]
    heads = ["linear", "conv{size=16}", "conv{size=32}"]
    lines += [
        "[exits]",
        f"heads = {heads}",
        'thresholds = "global"',
        "at_most = 3",
        "[training]",
        f"epochs = {given.epochs}",
    ]
    return "\n".join(lines)


class Measured:
    """What a network of a front turns out to be: scheduled in full, and answering on test."""

    def __init__(self, evaluation: DesignEvaluation) -> None:
        self._evaluation = evaluation
        self._known: dict[str, tuple[float, float]] = {}

    def __call__(self, one: PlannedNetwork) -> tuple[float, float]:
        """Return expected EDP (J·cycles) at the shares of val, and accuracy on test."""
        text = repr((sorted(one.params.items()), one.point["exits"]))
        if text not in self._known:
            right = right_on_test(self._evaluation, one)
            self._known[text] = scheduled_edp(self._evaluation, one), float(right.mean())
        return self._known[text]


def compare(aware: DesignEvaluation, blind: DesignEvaluation, target: str) -> None:
    """Print a table of one target."""
    began = time.perf_counter()
    by_edp, by_macs = front(aware, "edp_j_cycles"), front(blind, "macs")
    print(
        f"\n{target}: {len(designs(aware))} designs, {time.perf_counter() - began:.0f} s; "
        f"front of {len(by_edp)} by EDP, {len(by_macs)} by MACs"
    )
    corner = np.array([0.0, max(one.point["edp_j_cycles"] for one in (*by_edp, *by_macs))])
    volumes = [hypervolume(rows(some, "edp_j_cycles"), corner) for some in (by_macs, by_edp)]
    print(
        f"hypervolume of accuracy and EDP, as planned: by MACs {volumes[0] / volumes[1]:.4f} of that by EDP"
    )
    measured = Measured(aware)
    best = min(max(one.point["accuracy_val"] for one in some) for some in (by_edp, by_macs))
    print("| at least, val | by EDP (test) | fewest MACs (test) | EDP | best of its front (test) | EDP |")
    print("|---|---|---|---|---|---|")
    for loss in LOSSES:
        least = best - loss / 100 - 1e-12
        ours = min(_from(by_edp, least), key=lambda one: float(one.point["edp_j_cycles"]))
        fewest = min(_from(by_macs, least), key=lambda one: float(one.point["macs"]))
        known = min(_from(by_macs, least), key=lambda one: float(one.point["edp_j_cycles"]))
        (edp, right), (edp_macs, right_macs), (edp_known, right_known) = map(measured, (ours, fewest, known))
        print(
            f"| {100 * least:.1f} | {edp:.4g} ({100 * right:.1f}) "
            f"| {edp_macs:.4g} ({100 * right_macs:.1f}) | {100 * (edp_macs / edp - 1):+.1f} % "
            f"| {edp_known:.4g} ({100 * right_known:.1f}) | {100 * (edp_known / edp - 1):+.1f} % |",
            flush=True,
        )


def _from(found: Sequence[PlannedNetwork], least: float) -> list[PlannedNetwork]:
    return [one for one in found if one.point["accuracy_val"] >= least]


def main() -> None:
    """Print a table for each target."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--targets", nargs="+", default=["diana", "gap9", "edge_tpu_quad"])
    parser.add_argument("--cache", type=Path, default=usual_folder())
    parser.add_argument("--resnet", nargs="+", type=gene, default=[gene("width=8,12,16"), gene("blocks=1,2")])
    parser.add_argument(
        "--mobilenet-v1",
        nargs="+",
        type=gene,
        default=[gene(g) for g in ("width=0.25,0.5", "depth=2,5", "stem_stride=1")],
    )
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "space.toml"
        path.write_text(space_text(given))
        for target in given.targets:
            question = Question(path, target, given.data, "auto", given.seed, given.cache, MOST_BYTES)
            blind = replace(question, hardware=False)
            compare(DesignEvaluation(question, print), DesignEvaluation(blind, print), target)


if __name__ == "__main__":
    main()
