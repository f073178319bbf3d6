"""Tell what choosing heads is worth at a number of average MACs, the question of AEBNAS.

    python -m tools.experiments.adaptive_heads --data D [--macs 2.5e6 5e6 17e6] [--cache DIR]
        [--resnet width=16 blocks=1,2] [--epochs 6] [--seed 0]

All designs of a space of residual networks are trained twice, with equal epochs: with all heads on each
mount, and with one head alone, that of the usual fixed-head search. Exits, heads and thresholds are then
solved from the answers on val, in float as AEBNAS has it. A row tells, for so many MACs on average, the most
accurate network on val that needs no more, and what it reaches on test, with a 95 % interval; the last
column compares both on the same test images, in points.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from eecompile.cache.store import MOST_BYTES, usual_folder
from eecompile.exits.statistics import paired_drop, wilson_interval
from eecompile.search.worth.evaluation import DesignEvaluation, Question
from tools.experiments.all_designs import PlannedNetwork, front, gene, right_on_test

HEADS = (
    "linear",
    "conv{size=16}",
    "conv{size=32}",
    "conv{kernel=5,size=16}",
    "conv{modules=2,size=16}",
)
FIXED = "conv{size=32}"


def space_text(given: argparse.Namespace) -> str:
    """Return the file of the space; its first head is the fixed one."""
    heads = [FIXED, *(head for head in HEADS if head != FIXED)]
    genes = [f"{name} = [{values}]" for name, values in given.resnet]
    return "\n".join(
        [
            "[backbone]",
            'family = "resnet"',
            *genes,
            "[exits]",
            f"heads = {heads}",
            "at_most = 3",
            'confidence = ["margin", "max_softmax"]',
            "[objectives]",
            'front = ["accuracy", "macs"]',
            "[training]",
            f"epochs = {given.epochs}",
        ]
    )


def best_within(found: list[PlannedNetwork], macs: float) -> PlannedNetwork | None:
    """Return the network that is most accurate on val and needs no more MACs on average."""
    some = [one for one in found if one.point["macs"] <= macs]
    return max(some, key=lambda one: float(one.point["accuracy_val"]), default=None)


def text(one: PlannedNetwork) -> str:
    """Return what a network is."""
    exits = "; ".join(f"{item['mount']}: {item['head']}" for item in one.point["exits"])
    genes = ", ".join(f"{name.rpartition('.')[2]} {value}" for name, value in one.params.items())
    return f"{genes}; {exits or 'no exits'}"


def compare(chosen: DesignEvaluation, fixed: DesignEvaluation, budgets: list[float]) -> None:
    """Print the table."""
    fronts = [(which, front(which, "macs")) for which in (chosen, fixed)]
    table = [
        "| average MACs | heads chosen: val, test | fixed heads: val, test | gained |",
        "|---|---|---|---|",
    ]
    for macs in budgets:
        cells, right = [], []
        for which, found in fronts:
            one = best_within(found, macs)
            if one is None:
                cells.append("no network")
                continue
            right.append(right_on_test(which, one))
            low, high = wilson_interval(int(right[-1].sum()), len(right[-1]))
            cells.append(
                f"{100 * one.point['accuracy_val']:.1f}, {100 * right[-1].mean():.1f} "
                f"[{100 * low:.1f}, {100 * high:.1f}]"
            )
            print(f"{macs / 1e6:g} M, {cells[-1]}, {one.point['macs'] / 1e6:.2f} M: {text(one)}")
        gain = ""
        if len(right) == 2:
            more = paired_drop(right[0], right[1])  # what chosen heads get right, less what fixed ones do
            gain = f"{more.points:+.1f} [{more.lo95:+.1f}, {more.hi95:+.1f}]"
        table.append(f"| {macs / 1e6:g} M | {' | '.join(cells)} | {gain} |")
    print("\n".join(table))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--macs", nargs="+", type=float, default=[2.5e6, 5e6, 17e6])
    parser.add_argument("--cache", type=Path, default=usual_folder())
    parser.add_argument("--resnet", nargs="+", type=gene, default=[gene("width=16"), gene("blocks=1,2")])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "space.toml"
        path.write_text(space_text(given))
        question = Question(
            path, "diana", given.data, "auto", given.seed, given.cache, MOST_BYTES, quantized=False
        )
        fixed = DesignEvaluation(replace(question, fixed_heads=True), print)
        compare(DesignEvaluation(question, print), fixed, given.macs)


if __name__ == "__main__":
    main()
