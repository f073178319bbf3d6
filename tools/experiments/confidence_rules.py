"""What each confidence rule saves, what it loses, and whether it keeps what val promised.

    python -m tools.experiments.confidence_rules --shared ../shared [--splits 60] [--page PAGE]

ResNet8 on DIANA, int8, real CIFAR-10 images, frozen heads (linear and conv on two mounts), seed 0. Heads are
trained once; all rules see the same answers. Chooses exits and thresholds on val for a drop of 1 point, and
shows the saving of EDP and the drop on test; then does the same on random halves of val and test together.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.answers import Answers, answers, right
from eecompile.exits.calibration_error import calibration_error
from eecompile.exits.confidence_fits import fitted, gate_of
from eecompile.exits.reliability import reliability
from eecompile.exits.statistics import DropBound, paired_drop
from eecompile.exits.thresholds import Limit, Observed, choose, leaves_at
from eecompile.run.accelerator import open_target
from eecompile.run.clock import Clock
from eecompile.run.evidence import Evidence
from eecompile.run.integers.quantizing import quantize
from eecompile.run.options import RunOptions
from eecompile.run.prepare import cost_of, prepare
from eecompile.run.steps import open_images, train
from passes.confidence import GATE, MAX_SOFTMAX, ConfidenceRule, confidence_rule
from passes.exits.chain import keep_exits
from passes.state import state_of
from targets.objective import EDP

Float32 = NDArray[np.float32]
Kept = tuple[int, ...]
TEMPERED = ("max_softmax", "margin", "entropy")
PLAIN = (*itertools.chain(*((t, f"{t}{{temperature=fit}}") for t in TEMPERED)), "patience", "gate")
ON_VAL, CROSS = "gate, fitted on val", "gate, cross-fitted on val"
MAX_DROP, MIN_GAIN, FOLDS = 1.0, 2.0, 5


@dataclass(frozen=True)
class Seen:
    """Answers of all exits that were tried, and what each choice of them costs.

    Attributes:
        train: Answers on training images.
        val: On validation images.
        test: On test images.
        mounts: Tensor that each early exit reads.
        heads: Family of each head.
        costs: EDP of the path to each exit, for the exits that are kept.
    """

    train: Answers
    val: Answers
    test: Answers
    mounts: tuple[str, ...]
    heads: tuple[str, ...]
    costs: dict[Kept, list[float]]

    @property
    def static(self) -> float:
        """Of the network without early exits."""
        return self.costs[()][-1]


@dataclass(frozen=True)
class Outcome:
    """What was chosen on val, and what it gives on test; savings are shares of static."""

    kept: Kept
    saved_val: float
    saved_test: float
    static: NDArray[np.bool_]
    dynamic: NDArray[np.bool_]

    @property
    def lost(self) -> float:
        """Points of accuracy lost on test."""
        return 100 * float(self.static.mean() - self.dynamic.mean())


def see(shared: Path) -> Seen:
    """Train the heads, quantize, and run the network on all images."""
    data = shared / "data/cifar10_lossless_subset.npz"
    options = RunOptions(shared / "models/resnet8_cifar10.onnx", "diana", str(data))
    target, _ = open_target("diana", "", None)
    prepared = prepare(options.model, target, EDP, 2, "auto")
    evidence = Evidence(options, prepared, Clock(lambda text: print(text, flush=True)), Path())
    for step in (open_images, train, quantize):
        step(evidence)
    sets = evidence.dataset.train, evidence.dataset.val, evidence.dataset.test
    on_train, on_val, on_test = (answers(evidence.lowered, part, evidence.preprocess) for part in sets)
    early = state_of(evidence.lowered).exits[:-1]
    mounts = tuple(prepared.mount_names[e.mount] for e in early)
    costs = {}
    for size in range(len(early) + 1):
        for kept in itertools.combinations(range(len(early)), size):
            if len({mounts[k] for k in kept}) == size:
                network = keep_exits(evidence.lowered, [early[k].name for k in kept])
                costs[kept] = [path.cost.value(EDP) for path in cost_of(network, target, EDP).exits]
    return Seen(on_train, on_val, on_test, mounts, tuple(e.head_name for e in early), costs)


def sure(name: str, seen: Seen) -> tuple[ConfidenceRule, Callable[[Kept], tuple[Float32, Float32]]]:
    """Return a rule of the kind, and what gives its confidences on val and test for the exits kept.

    Args:
        name: Text form of a rule, ``ON_VAL`` or ``CROSS``.
        seen: What parameters are fitted on.
    """
    exits = len(seen.val.logits)
    if name in (ON_VAL, CROSS):
        rules: Sequence[ConfidenceRule] = [gate_of(z, seen.val.labels) for z in seen.val.logits]
    else:
        rules = fitted([confidence_rule(name)] * exits, seen.val, lambda: seen.train)
    early = tuple(rules[:-1])
    val, test = (Answers(part.logits, part.labels, early) for part in (seen.val, seen.test))

    def of(kept: Kept) -> tuple[Float32, Float32]:
        on_val = val.select(kept).confidence
        if name == CROSS and kept:
            on_val = np.stack([held_out(val.logits[k], val.labels) for k in kept])
        return on_val, test.select(kept).confidence

    return rules[0], of


def held_out(logits: Float32, labels: NDArray[np.int64]) -> Float32:
    """Return confidences of images by gates that have not seen them."""
    found = np.zeros(len(labels), np.float32)
    fold = np.arange(len(labels)) % FOLDS
    for number in range(FOLDS):
        mine = fold == number
        found[mine] = gate_of(logits[~mine], labels[~mine]).evaluate(logits[mine])
    return found


def outcome(name: str, seen: Seen, optimistic: bool, networks: Sequence[Kept], bound: DropBound) -> Outcome:
    """Choose among networks as `run` does: an exit more has to save ``MIN_GAIN`` points of static."""
    rule, confidences = sure(name, seen)
    best = None
    for kept in networks:
        on_val, on_test = confidences(kept)
        rows = [*kept, len(seen.val.logits) - 1]
        observed = Observed(on_val, seen.val.correct[rows], (rule,) * len(kept))
        chosen = choose(observed, seen.costs[kept], Limit(MAX_DROP, optimistic), bound)
        value = chosen.cost / seen.static + MIN_GAIN / 100 * len(kept)
        if best is None or value < best[0]:
            best = value, kept, chosen, on_test
    assert best is not None
    _, kept, chosen, on_test = best
    correct = seen.test.correct[[*kept, len(seen.test.logits) - 1]]
    where = leaves_at(on_test, chosen.thresholds)
    dynamic = correct[where, np.arange(len(where))]
    spent = float(np.array(seen.costs[kept])[where].mean())
    return Outcome(kept, 1 - chosen.cost / seen.static, 1 - spent / seen.static, correct[-1], dynamic)


def shuffled(seen: Seen, order: NDArray[np.int64]) -> Seen:
    """Return the same answers with other images as val and test; as many of each."""
    count = len(seen.val.labels)
    logits = [np.concatenate(pair) for pair in zip(seen.val.logits, seen.test.logits, strict=True)]
    labels = np.concatenate([seen.val.labels, seen.test.labels])
    val, test = (
        Answers(tuple(z[part] for z in logits), labels[part], seen.val.rules)
        for part in (order[:count], order[count:])
    )
    return replace(seen, val=val, test=test)


def chosen_table(seen: Seen) -> tuple[str, set[Kept]]:
    """Return the table of what is chosen on val, and the networks that were."""
    networks = list(seen.costs)
    bound = DropBound(len(seen.val.labels))
    lines = [
        "| rule | optimistic: exits | saved on val | saved on test | drop on test | conservative: exits | "
        "saved on val | saved on test | drop on test |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    used: set[Kept] = set()
    for name in (*PLAIN, ON_VAL, CROSS):
        cells = [name]
        for optimistic in (True, False):
            found = outcome(name, seen, optimistic, networks, bound)
            used.add(found.kept)
            drop = paired_drop(found.static, found.dynamic)
            cells += [
                " + ".join(f"{seen.mounts[k]} {seen.heads[k]}" for k in found.kept) or "none",
                f"{100 * found.saved_val:.1f} %",
                f"{100 * found.saved_test:.1f} %",
                f"{drop.points:.2f} [{drop.lo95:.2f}, {drop.hi95:.2f}]",
            ]
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return "\n".join(lines), used


def splits_table(seen: Seen, networks: Sequence[Kept], splits: int) -> str:
    """Return the table of means over random splits, by the plain estimate."""
    rng = np.random.default_rng(0)
    total = len(seen.val.labels) + len(seen.test.labels)
    parts = [shuffled(seen, rng.permutation(total)) for _ in range(splits)]
    bound = DropBound(len(seen.val.labels))
    lines = [
        "| rule | saved on the test part, mean ± sd | drop there, mean | splits with more than 1 point |",
        "|---|---|---|---|",
    ]
    for name in (*PLAIN, ON_VAL, CROSS):
        found = [outcome(name, part, True, networks, bound) for part in parts]
        saved = 100 * np.array([f.saved_test for f in found])
        lost = np.array([f.lost for f in found])
        over = 100 * float((lost > MAX_DROP).mean())
        lines.append(
            f"| {name} | {saved.mean():.1f} ± {saved.std():.1f} % | {lost.mean():.2f} | {over:.0f} % |"
        )
        print(lines[-1], flush=True)
    return "\n".join(lines)


def calibration_table(seen: Seen) -> str:
    """Return the table of how well probabilities tell how often exits are right."""
    lines = [
        "| exit | right on test | temperature (val) | ECE, T = 1 → fitted | ECE of the gate |",
        "|---|---|---|---|---|",
    ]
    gates = fitted([GATE] * len(seen.val.logits), seen.val, lambda: seen.train)
    for number, logits in enumerate(seen.test.logits):
        found = reliability(MAX_SOFTMAX, number, seen.val, seen.test)
        before, after = found["calibration_error_test"]
        correct = right(logits, seen.test.labels)
        gate = calibration_error(gates[number].evaluate(logits), correct)
        early = number < len(seen.mounts)
        name = f"{seen.mounts[number]} {seen.heads[number]}" if early else "final"
        lines.append(
            f"| {name} | {100 * correct.mean():.1f} % | {found['temperature_val']:.2f} | "
            f"{before:.3f} → {after:.3f} | {gate:.3f} |"
        )
        print(lines[-1], flush=True)
    return "\n".join(lines)


HEAD = """# Confidence rules

MLPerf Tiny ResNet8 on DIANA, int8, real CIFAR-10 images (lossless subset): {images}, seed 0.
Frozen heads, linear and conv on {mounts}; all rules see the same heads. Savings are of EDP against
static, by the published model MATCH with our placeholders; networks are scheduled for equal shares.

## Chosen on val for a drop of 1 point

Optimistic: the plain estimate; conservative: its upper 90 % bootstrap bound. Drops are paired, with 95 %
intervals.

"""
SPLITS = """

## Random splits

{splits} random splits of val and test together into parts of the same sizes, the optimistic choice among the
{networks} networks that the table above has. What is fitted on val is fitted anew on each.

"""
CALIBRATION = """

## Calibration

Expected calibration error (15 bins) of the largest softmax probability, and of the gate's own, on test.

"""


def page(seen: Seen, splits: int) -> str:
    """Return all tables with what they are of."""
    table, used = chosen_table(seen)
    sizes = zip(("train", "val", "test"), (seen.train, seen.val, seen.test), strict=True)
    images = ", ".join(f"{len(part.labels):,} {name}" for name, part in sizes)
    head = HEAD.format(images=images, mounts=" and ".join(dict.fromkeys(seen.mounts)))
    split = SPLITS.format(splits=splits, networks=len(used)) + splits_table(seen, sorted(used), splits)
    return head + table + split + CALIBRATION + calibration_table(seen) + "\n"


def main() -> None:
    """Run the experiment, print it, and write the page if asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--splits", type=int, default=60)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    wall, cpu = time.perf_counter(), time.process_time()
    text = page(see(options.shared), options.splits)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    text += (
        "\nPrinted by `python -m tools.experiments.confidence_rules --shared ../shared "
        f"--splits {options.splits}` in {wall:.0f} s ({cpu:.0f} s of CPU) on one of 2 shared cores.\n"
    )
    if options.page is not None:
        kept = options.page.read_text().partition(NOTES)[2] if options.page.exists() else ""
        options.page.write_text(text + (f"\n{NOTES}{kept}" if kept else ""))
    print(text)


NOTES = "## What follows"

if __name__ == "__main__":
    main()
