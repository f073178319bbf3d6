"""Tell what a network that was trained once with many exits saves on each target, in int8.

    python -m tools.experiments.trained_on_targets MODEL TRAINED.onnx --data D --targets diana gap9
        [--static STATIC.onnx] [--max-drops 1] [--no-recycle] [--quantize ptq qat] [--qat-epochs N]

MODEL is the network as it was given, TRAINED what `tools.experiments.joint_training` made of it: all exits
that may be chosen. STATIC is MODEL trained alone, for networks from scratch. What is done is what
`eecompile run` does behind its training: calibration on train, exits and thresholds on val, by the upper
bound of the drop and by the plain estimate; figures are seen on test, with 95 % intervals. Before the table
of savings stand the accuracies of all exits of TRAINED, and of static, in float and in integers.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import onnx_graphsurgeon as gs
import torch

from eecompile.data.dataset import evenly
from eecompile.exits.answers import answers
from eecompile.run import steps
from eecompile.run.accelerator import open_target
from eecompile.run.clock import Clock
from eecompile.run.evidence import Evidence
from eecompile.run.integers import quantizing
from eecompile.run.options import RunOptions
from eecompile.run.prepare import DEFAULT_EXITS, prepare
from eecompile.run_files.summary import Summary
from eecompile.training.recipe import JOINT, PTQ, QAT, QUANTIZERS
from passes.errors import NoSolutionError
from passes.exits.chain import keep_exits
from passes.exits.mounts import find_mounts
from passes.model.graph import load
from passes.registry import parse_pipeline
from passes.state import state_of

HEADER = (
    "| target | rule | exits (ratio on test) | static int8 | drop [95 %] | EDP saved | MACs saved "
    "| energy saved | latency saved |\n|---|---|---|---|---|---|---|---|---|"
)


def network(path: Path) -> gs.Graph:
    """Return a network in canonical form."""
    graph = load(path)
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    return graph


def summaries(
    options: RunOptions,
    trained: Path,
    static: Path | None,
    work: Path,
    drops: Sequence[float],
    quiet: bool = False,
    optimistic: Sequence[bool] = (False, True),
    keep_all: bool = False,
    images: int | None = None,
) -> Iterator[tuple[str, Summary | None]]:
    """Yield what a run finds out behind its training, for each drop by its bound, then by its estimate.

    ``None`` where no thresholds keep the limit. ``keep_all``: with the exits of TRAINED, none is left out.
    ``images``: only so many train images are seen, evenly chosen.
    """
    target, _ = open_target(options.target, "", None)
    found = prepare(options.model, target, options.objective, None, options.head, DEFAULT_EXITS)
    graph = network(trained)
    plain = found.plain if static is None else keep_exits(network(static), [])
    shown = {mount.tensor: mount.name for mount in find_mounts(plain)}
    names = {item.mount: shown.get(item.mount, item.mount) for item in state_of(graph).exits}
    prepared = replace(found, plain=plain, graph=graph, mount_names=names, asked=keep_all)
    evidence = Evidence(options, prepared, Clock(lambda _: None), work)
    steps.open_images(evidence)
    train = evidence.dataset.train
    if images is not None and images < len(train):
        fewer = replace(train, x=evenly(train.x, images), y=evenly(train.y, images))
        evidence.dataset = replace(evidence.dataset, train=fewer)
    evidence.training = {"trainer": JOINT, "trained": [], "epochs": []}
    quantizing.quantize(evidence)
    steps.answer(evidence)
    if not quiet:
        print(accuracies(evidence), flush=True)
    for allowed, plain_estimate in itertools.product(drops, optimistic):
        evidence.options = replace(options, optimistic=plain_estimate, max_drop=allowed)
        rule = f"{'estimate' if plain_estimate else 'upper bound'} ≤ {allowed:g}"
        evidence.work = work / rule
        evidence.work.mkdir()
        try:
            steps.choose(evidence)
        except NoSolutionError:
            yield rule, None
            continue
        steps.deliver(evidence)
        steps.vary_models(evidence)
        steps.conclude(evidence)
        yield rule, evidence.summary


def accuracies(evidence: Evidence) -> str:
    """Return a table of accuracies: of each exit and of static, in float and in integers, on val and test."""
    options, dataset = evidence.options, evidence.dataset
    float_val = answers(evidence.prepared.graph, dataset.val, evidence.preprocess)
    float_plain = answers(evidence.prepared.plain, dataset.val, evidence.preprocess)
    seen = {
        f"float, val ({len(dataset.val)})": replace(float_val, static=float_plain.logits[-1].argmax(axis=1)),
        f"float, test ({len(dataset.test)})": evidence.float_test,
        f"{options.quantize}, val ({len(dataset.val)})": evidence.val,
        f"{options.quantize}, test ({len(dataset.test)})": evidence.lowered_test,
    }
    names, tried = evidence.prepared.mount_names, state_of(evidence.prepared.graph).exits[:-1]
    exits = [f"{e.head_name}@{names[e.mount]}" for e in tried]
    lines = [
        f"| {options.target} | {' | '.join([*exits, 'final', 'static'])} |",
        "|---" * (len(exits) + 3) + "|",
    ]
    for name, found in seen.items():
        right = [float(part.mean()) for part in (*found.correct, found.static_correct)]
        lines.append(f"| {name} | {' | '.join(f'{100 * share:.1f}' for share in right)} |")
    for key, told in (("exits", evidence.calibration), ("static", evidence.calibration["static"])):
        if "training" in told:
            lines.append(f"{key}: trained for integers in {told['training']['seconds']} s")
    return "\n".join(lines) + "\n"


def row(found: Summary | None, rule: str) -> str:
    """Return one line of the table."""
    if found is None:
        return f"| | {rule} | no thresholds keep this | | | | | | |"
    exits = ", ".join(f"{e.head or 'final'}@{e.mount_name} {e.ratio:.2f}" for e in found.exits)
    drop, saved, right = found.drop, found.saving, found.static.accuracy_quant
    assert drop is not None and saved is not None and right is not None  # it was run on images
    shares = " | ".join(
        f"{100 * share:.1f} %" for share in (saved.edp, saved.macs, saved.energy, saved.latency)
    )
    low, high = drop.ci95
    lost = f"{drop.points:+.1f} [{low:+.1f}, {high:+.1f}]"
    static = f"{100 * right:.1f} %"
    return f"| {found.target} | {rule} | {exits} | {static} | {lost} | {shares} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("trained", type=Path)
    parser.add_argument("--static", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--targets", nargs="+", default=["diana"])
    parser.add_argument("--recycle", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--quantize", nargs="+", choices=QUANTIZERS, default=[PTQ])
    parser.add_argument("--qat-epochs", type=int)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--max-drops", type=float, nargs="+", default=[1.0])
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    for target in given.targets:
        for quantize in given.quantize:
            epochs = given.qat_epochs if quantize == QAT else None
            options = RunOptions(
                given.model, target, given.data, recycle=given.recycle, quantize=quantize, qat_epochs=epochs
            )
            with tempfile.TemporaryDirectory() as work:
                found = summaries(options, given.trained, given.static, Path(work), given.max_drops)
                rows = [row(summary, f"{quantize}, {rule}") for rule, summary in found]
            print("\n".join([HEADER, *rows]), flush=True)


if __name__ == "__main__":
    main()
