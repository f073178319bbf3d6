"""Run every verb over a folder of ONNX files and tell which are compiled, refused and why, or worse.

    python -m tools.zoo DIR [--run] [--json] [--jobs N] [--seconds N]
    python -m tools.zoo --make DIR

Each command runs in a forked process bounded in time and memory. The second form writes networks that this
project can make itself, and `expected.json`: what each verb shall say of them, which the first form checks.
Exits with 1 if a command crashed, hung, or answered otherwise than expected.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from tools.forked import Ended, Limits, Task, run_all
from tools.fuzz import Verb, command_line, import_all
from tools.zoo_foreign import FOREIGN
from tools.zoo_networks import ANY, NETWORKS, QUANTIZED, QUANTIZED_EXPECTED, quantized

EXPECTED = "expected.json"
OK, REFUSED, CRASHED, HUNG, UNEXPECTED = "ok", "refused", "crashed", "hung", "unexpected"
TARGETS = ("diana", "gap9", "edge_tpu_quad")
PIPELINE = "canonicalize,fold-batchnorm,fuse-layers"
RUN = "run"
_RUN_IMAGES = {"train": 32, "val": 16, "test": 16}
_SECONDS = 120


@dataclass(frozen=True)
class Answer:
    """What one command said of one file.

    Attributes:
        file: The file.
        verb: What was asked, with the target.
        outcome: ``ok``, ``refused``, ``crashed``, ``hung``, or ``unexpected``: ok or refused against what the
            maker of the file expects.
        reason: Why; empty if ok.
        seconds: How long it took.
    """

    file: str
    verb: str
    outcome: str
    reason: str
    seconds: float


def commands(file: str, run: bool) -> dict[str, tuple[str, ...]]:
    """Return the command line of every verb for a file, by what it is called."""
    found: dict[str, tuple[str, ...]] = {"inspect": ("inspect", file)}
    found |= {f"cost {target}": ("cost", file, "-t", target) for target in TARGETS}
    found["opt"] = ("opt", file, "-p", PIPELINE, "-o", "out/made.onnx")
    if run:
        found[RUN] = ("run", file, "-t", "gap9", "--data", "out/images.npz", "--out", "out/run")
    return found


def judged(file: str, verb: str, ended: Ended, expected: str | None) -> Answer:
    """Return what a command said, judged by what was expected of it (``None``: nothing is)."""
    told = [line.removeprefix("error: ") for line in ended.said.splitlines() if line.startswith("error: ")]
    lines = ended.said.split("error: ", 1)[-1].splitlines()
    reason = " ".join(line.strip() for line in lines[:4])
    outcome = OK if ended.code == 0 else REFUSED
    if ended.hung:
        outcome, reason = HUNG, "no end within its time"
    elif ended.crashed or (outcome == REFUSED and not told):
        outcome, reason = CRASHED, f"exit code {ended.code}: {(ended.said.splitlines() or [''])[-1]}"
    elif outcome == OK:
        reason = ""
    if outcome in (OK, REFUSED) and expected is not None:
        as_it_is = OK if outcome == OK else ended.said
        if (expected == OK) != (outcome == OK) or expected not in " ".join(as_it_is.split()):
            return Answer(file, verb, UNEXPECTED, f"expected {expected!r}: {reason or OK}", ended.seconds)
    return Answer(file, verb, outcome, reason, ended.seconds)


def survey(folder: Path, run: bool, limits: Limits, jobs: int, verb: Verb) -> list[Answer]:
    """Run every verb over the files of ``folder``, each in a process of its own; sorted by file and verb."""
    paths = sorted(path for path in folder.rglob("*.onnx"))
    listed = folder / EXPECTED
    expected = json.loads(listed.read_text()) if listed.exists() else {}
    found = []
    with tempfile.TemporaryDirectory(prefix="zoo-") as scratch:

        def tasks() -> Iterator[Task]:
            for path in paths:
                name = str(path.relative_to(folder))
                for key, arguments in commands(str(path.resolve()), run).items():
                    place = Path(tempfile.mkdtemp(dir=scratch))
                    act = partial(_with_images, verb, path.resolve()) if key == RUN else verb
                    yield Task(f"{name}\n{key}", place, partial(act, arguments))

        for task, ended in run_all(tasks(), limits, jobs):
            name, _, key = task.name.partition("\n")
            wanted = expected.get(name, {})
            found.append(judged(name, key, ended, wanted.get(key, wanted.get(ANY) if key != RUN else None)))
            shutil.rmtree(task.folder, ignore_errors=True)
    return sorted(found, key=lambda answer: (answer.file, answer.verb))


def _with_images(verb: Verb, model: Path, arguments: Sequence[str]) -> None:
    """Write random images that fit ``model``, if it is a classifier, and run it on them."""
    from eecompile import api
    from passes.errors import InputError

    classes = 2
    shape: tuple[int, ...] = (1, 8, 8)
    with suppress(InputError):  # what is no valid model is told again by `run`
        seen = api.inspect(model, "gap9")
        classes, shape = seen.classes or 2, seen.input_shape[1:]
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for name, count in _RUN_IMAGES.items():
        arrays[f"{name}_x"] = rng.normal(size=(count, *shape)).astype(np.float32)
        arrays[f"{name}_y"] = np.arange(count) % classes
    np.savez("out/images.npz", **arrays, classes=np.array(classes))
    verb(arguments)


def make(folder: Path) -> list[str]:
    """Write the networks into ``folder`` and what is expected of them; returns their files."""
    folder.mkdir(parents=True, exist_ok=True)
    expected = {}
    for network in (*NETWORKS, *FOREIGN):
        path = folder / f"{network.name}.onnx"
        model = network.build()
        data = f"{network.name}.bin"
        (folder / data).unlink(missing_ok=True)  # it would be appended to
        onnx.save(model, path, save_as_external_data=network.external, location=data, size_threshold=0)
        expected[path.name] = network.expected
    for name, options in QUANTIZED.items():
        with tempfile.TemporaryDirectory() as scratch:
            onnx.save(quantized(Path(scratch), **options), folder / f"{name}.onnx")
        expected[f"{name}.onnx"] = QUANTIZED_EXPECTED[name]
    expected |= _exports(folder)
    (folder / EXPECTED).write_text(json.dumps(expected, indent=1))
    return sorted(expected)


def _exports(folder: Path) -> dict[str, dict[str, str]]:
    """Write what torch and skl2onnx export, each where it is installed, and tell where it is not."""
    from importlib.util import find_spec

    made: dict[str, dict[str, str]] = {}
    if find_spec("torch") is None:
        print("skipped: networks of torch, which is not installed", file=sys.stderr)
    else:
        from tools.zoo_torch import export

        made |= {name: {} for name in export(folder, both=find_spec("onnxscript") is not None)}
    if find_spec("skl2onnx") is None:
        print("skipped: networks of skl2onnx, which is not installed", file=sys.stderr)
    else:
        from tools import zoo_sklearn

        made |= {name: {ANY: zoo_sklearn.EXPECTED[name]} for name in zoo_sklearn.export(folder)}
    return made


def show(answers: Sequence[Answer]) -> None:
    """Print a row per command, and a summary."""
    width = max([len(answer.file) for answer in answers] or [4])
    for answer in answers:
        time = f"{answer.seconds:6.1f} s"
        print(f"{answer.file:<{width}}  {answer.verb:<18}  {answer.outcome:<10}{time}  {answer.reason[:200]}")
    print(summary(answers))


def summary(answers: Sequence[Answer]) -> str:
    """Return how many ended how, in a line."""
    counts = Counter(answer.outcome for answer in answers)
    files = len({answer.file for answer in answers})
    told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in (OK, REFUSED, CRASHED, HUNG, UNEXPECTED))
    return f"{files} files, {len(answers)} commands: {told}"


def main(arguments: Sequence[str] | None = None, verb: Verb = command_line) -> int:
    """Survey a folder, or make one; returns 1 if a command crashed, hung or answered unexpectedly."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--make", action="store_true", help="write networks into DIR instead")
    parser.add_argument("--run", action="store_true", help="run them too, on random images that fit")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="commands at once")
    parser.add_argument("--seconds", type=int, default=_SECONDS, metavar="N", help="of CPU for a command")
    options = parser.parse_args(arguments)
    if options.jobs < 1 or options.seconds < 1:
        parser.error("--jobs and --seconds are at least 1")
    if options.make:
        print(f"{len(make(options.folder))} networks in {options.folder}")
        return 0
    if not any(options.folder.rglob("*.onnx")):
        parser.error(f"{options.folder} holds no .onnx file")
    import_all()
    answers = survey(options.folder, options.run, Limits(options.seconds, 16384), options.jobs, verb)
    if options.json:
        print(json.dumps({"answers": [asdict(a) for a in answers], "summary": summary(answers)}, indent=1))
    else:
        show(answers)
    return int(any(answer.outcome in (CRASHED, HUNG, UNEXPECTED) for answer in answers))


if __name__ == "__main__":
    sys.exit(main())
