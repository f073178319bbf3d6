"""Tell what a network that was trained once with many exits saves on each target, in int8.

    python -m tools.experiments.trained_on_targets MODEL TRAINED.onnx --data D --targets diana gap9
        [--static STATIC.onnx] [--max-drops 1] [--no-recycle]

MODEL is the network as it was given, TRAINED what `tools.experiments.joint_training` made of it: all exits
that may be chosen. STATIC is MODEL trained alone, for networks from scratch. What is done is what
`eecompile run` does behind its training: calibration on train, exits and thresholds on val, by the upper
bound of the drop and by the plain estimate; figures are seen on test, with 95 % intervals.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import onnx_graphsurgeon as gs

from eecompile.run import steps
from eecompile.run.accelerator import open_target
from eecompile.run.clock import Clock
from eecompile.run.evidence import Evidence
from eecompile.run.options import RunOptions
from eecompile.run.prepare import DEFAULT_EXITS, prepare
from eecompile.run_files.summary import Summary
from eecompile.training.recipe import JOINT
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


def summaries(options: RunOptions, trained: Path, static: Path | None, work: Path) -> Iterator[Summary]:
    """Yield what a run finds out behind its training: by the bound of the drop, then by its estimate."""
    target, _ = open_target(options.target, "", None)
    found = prepare(options.model, target, options.objective, None, options.head, DEFAULT_EXITS)
    graph = network(trained)
    plain = found.plain if static is None else keep_exits(network(static), [])
    shown = {mount.tensor: mount.name for mount in find_mounts(plain)}
    names = {item.mount: shown.get(item.mount, item.mount) for item in state_of(graph).exits}
    prepared = replace(found, plain=plain, graph=graph, mount_names=names)
    evidence = Evidence(options, prepared, Clock(lambda _: None), work)
    steps.open_images(evidence)
    evidence.training = {"trainer": JOINT, "trained": [], "epochs": []}
    steps.quantize(evidence)
    steps.answer(evidence)
    for optimistic in (False, True):
        evidence.options = replace(options, optimistic=optimistic)
        evidence.work = work / str(optimistic)
        evidence.work.mkdir()
        steps.choose(evidence)
        steps.deliver(evidence)
        steps.vary_models(evidence)
        steps.conclude(evidence)
        yield evidence.summary


def row(found: Summary, rule: str) -> str:
    """Return one line of the table."""
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
    parser.add_argument("--max-drops", type=float, nargs="+", default=[1.0])
    given = parser.parse_args()
    print(HEADER, flush=True)
    for target in given.targets:
        for allowed in given.max_drops:
            options = RunOptions(given.model, target, given.data, max_drop=allowed, recycle=given.recycle)
            with tempfile.TemporaryDirectory() as work:
                found = summaries(options, given.trained, given.static, Path(work))
                for kind, summary in zip(("upper bound", "estimate"), found, strict=True):
                    print(row(summary, f"{kind} ≤ {allowed:g}"), flush=True)


if __name__ == "__main__":
    main()
