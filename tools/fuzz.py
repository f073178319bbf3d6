"""Break files of every kind that eecompile reads, and look for what no user's file may do.

    python -m tools.fuzz [--cases N] [--seed S] [--kind model|hardware|mapping|npz|all] [--jobs N]
    python -m tools.fuzz --kind model --seed S --only NUMBER --keep DIR

A case is one command line on a broken file, in a forked process bounded in time and memory. It fails if it
ends with a trace, by a signal or with an exit code of ours, if it hangs, or if it writes outside `--out`. The
second form runs one case again and leaves its files. Exits with 1 if a case fails.
"""

from __future__ import annotations

import argparse
import io
import random
import shlex
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnx
import yaml

from tools.forked import Ended, Limits, Task, run_all
from tools.fuzz_mutations import mutate_bytes, mutate_document, mutate_lines, mutate_message, mutate_values
from tools.fuzz_samples import HARDWARE, HARDWARE_PARTS, MAPPINGS, images, models

Verb = Callable[[Sequence[str]], None]
NET, FOUND = "chain", "net.onnx"
_CANONICAL = "canonicalize,fold-batchnorm,fuse-layers"
_QUANTIZED = "canonicalize,fold-batchnorm,quantize"
_TAIL = 30


@dataclass(frozen=True)
class Case:
    """One broken file and the command that reads it.

    Attributes:
        kind: What sort of file.
        number: Which case of the seed; with both it is made again.
        files: Content of each file, by name.
        arguments: The command line, without the program.
    """

    kind: str
    number: int
    files: dict[str, bytes]
    arguments: tuple[str, ...]


def broken_model(dice: random.Random) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return a network with bytes or fields changed, and a verb for it."""
    data = models()[dice.choice(sorted(models()))]
    if dice.random() < 0.3:
        data = mutate_bytes(data, dice)
    else:
        model = onnx.ModelProto.FromString(data)
        mutate_message(model, dice, dice.choice((1, 1, 1, 2, 3)))
        data = model.SerializePartialToString()
    commands = (
        ("inspect", FOUND),
        ("inspect", FOUND, "-t", "gap9", "--json"),
        ("cost", FOUND, "-t", "diana"),
        ("cost", FOUND, "-t", "gap9", "--exits", "1"),
        ("cost", FOUND, "-t", "hw.yaml", "--schedule", "layers", "--trace", "out/trace.json"),
        ("opt", FOUND, "-p", _CANONICAL, "-o", "out/made.onnx"),
        ("opt", FOUND, "-p", "canonicalize,insert-exits{at=1}", "--save-stages", "out/stages"),
        ("opt", FOUND, "-p", _CANONICAL, "--verify-each"),
        ("run", FOUND, "-t", "gap9", "--out", "out/run"),
    )
    return {FOUND: data, "hw.yaml": HARDWARE["ours"].encode()}, dice.choice(commands)


def broken_hardware(dice: random.Random) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return an accelerator with a part broken, and a network costed on it."""
    name = dice.choice(sorted(HARDWARE))
    files = {"hw.yaml": HARDWARE[name]} | HARDWARE_PARTS
    broken = dice.choice(sorted(files)) if name in {"stream", "mesh"} and dice.random() < 0.4 else "hw.yaml"
    made = {file: text.encode() for file, text in files.items()} | {broken: _document(files[broken], dice)}
    return made | _network(), ("cost", FOUND, "-t", "hw.yaml", "--schedule", "layers")


def broken_mapping(dice: random.Random) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return a mapping file with a part broken, and a network mapped by it."""
    text = MAPPINGS[dice.choice(sorted(MAPPINGS))]
    files = {"map.yaml": _document(text, dice), "hw.yaml": HARDWARE["ours_two"].encode()} | _network()
    asked = ("--mapping", "map.yaml", "--save-mapping", "out/made.yaml", "--schedule", "layers")
    return files, ("cost", FOUND, "-t", "hw.yaml", *asked)


def broken_npz(dice: random.Random) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return images with a part broken, and a network calibrated on them."""
    parts = dict(images())
    for _ in range(dice.choice((1, 1, 2))):
        name = dice.choice(sorted(parts))
        kind = dice.randrange(5)
        if kind == 0:
            del parts[name]
        elif kind == 1:
            parts[name] = parts[dice.choice(sorted(parts))]
        elif kind == 2:
            parts[name] = mutate_bytes(parts[name], dice)
        elif kind == 3:  # the header is text: types, order and shape
            text = mutate_lines(parts[name][10:128].decode("latin-1"), dice).encode("latin-1")
            parts[name] = parts[name][:10] + text + parts[name][128:]
        else:
            types = (b"'<f4'", b"'<f8'", b"'|u1'", b"'<i8'", b"'|O'", b"'<U9'", b"'<c8'", b"'|b1'", b"'<f2'")
            parts[name] = parts[name].replace(dice.choice((b"'<f4'", b"'<i8'")), dice.choice(types), 1)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in parts.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), data)
    whole = stream.getvalue()
    files = {"images.npz": mutate_bytes(whole, dice) if dice.random() < 0.25 else whole} | _network()
    return files, ("opt", FOUND, "-p", _QUANTIZED, "--data", "images.npz", "-o", "out/made.onnx")


def _document(text: str, dice: random.Random) -> bytes:
    kind = dice.random()
    if kind < 0.8:
        document = yaml.safe_load(text)
        change = mutate_values if kind < 0.5 else mutate_document
        change(document, dice, dice.choice((1, 1, 2, 3)))
        return yaml.safe_dump(document).encode()
    return mutate_lines(text, dice).encode() if kind < 0.95 else mutate_bytes(text.encode(), dice)


def _network() -> dict[str, bytes]:
    return {FOUND: models()[NET]}


KINDS = {
    "model": broken_model,
    "hardware": broken_hardware,
    "mapping": broken_mapping,
    "npz": broken_npz,
}


def make_case(kind: str, seed: int, number: int) -> Case:
    """Return case ``number`` of ``seed``: the same, whichever others are made."""
    files, arguments = KINDS[kind](random.Random(f"{seed} {kind} {number}"))
    return Case(kind, number, files, arguments)


def command_line(arguments: Sequence[str]) -> None:
    """Run the command line as a user does."""
    from eecompile.cli.main import main

    sys.argv = ["eecompile", *arguments]
    main()


def what_failed(ended: Ended) -> str:
    """Return what a case did that none may; empty if nothing."""
    if ended.hung:
        return "hang"
    if ended.crashed:
        lines = [line for line in ended.said.splitlines() if line and line[0] not in " ("]
        told = [line for line in lines if ":" in line and not line.startswith(("error:", "Traceback"))]
        return f"exit code {ended.code}: {(told or lines or ['nothing said'])[-1][:150]}"
    return f"wrote {', '.join(ended.outside)[:150]}" if ended.outside else ""


@dataclass(frozen=True)
class Failure:
    """A case that failed, what it did, and what it said."""

    case: Case
    what: str
    said: str


@dataclass
class Tally:
    """How the cases of a kind ended."""

    done: int = 0
    refused: int = 0
    failed: int = 0
    longest: float = 0.0


def fuzz(
    cases: Sequence[tuple[str, int]], seed: int, folder: Path, limits: Limits, jobs: int, verb: Verb
) -> tuple[dict[str, Tally], list[Failure]]:
    """Run cases, given by kind and number, in folders of their own below ``folder``."""
    made: dict[str, Case] = {}

    def tasks() -> Iterator[Task]:
        for kind, number in cases:
            case = make_case(kind, seed, number)
            place = folder / f"{kind}_{number}"
            place.mkdir()
            for name, data in case.files.items():
                (place / name).write_bytes(data)
            made[place.name] = case
            yield Task(place.name, place, partial(verb, case.arguments))

    tallies: dict[str, Tally] = {}
    failures = []
    for task, ended in run_all(tasks(), limits, jobs):
        case = made.pop(task.name)
        tally = tallies.setdefault(case.kind, Tally())
        what = what_failed(ended)
        tally.failed += bool(what)
        tally.done += not what and ended.code == 0
        tally.refused += not what and ended.code != 0
        tally.longest = max(tally.longest, ended.seconds)
        if what:
            failures.append(Failure(case, what, ended.said))
        if len(cases) > 1:
            shutil.rmtree(task.folder, ignore_errors=True)
    return tallies, sorted(failures, key=lambda failure: (failure.case.kind, failure.case.number))


def _numbers(text: str, cases: int) -> list[tuple[str, int]]:
    kinds = list(KINDS) if text == "all" else [text]
    return [(kinds[number % len(kinds)], number) for number in range(cases)]


def main(arguments: Sequence[str] | None = None, verb: Verb = command_line) -> int:
    """Run the cases asked for and print a table; returns 1 if one failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=500, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--kind", choices=[*KINDS, "all"], default="all")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="this case alone, of one kind")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where to leave the files of --only")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="cases at once")
    parser.add_argument("--seconds", type=int, default=Limits.seconds, metavar="N", help="of CPU for a case")
    options = parser.parse_args(arguments)
    if (options.only is not None or options.keep is not None) and options.kind == "all":
        parser.error("--only and --keep need one --kind")
    if options.cases < 1 or options.jobs < 1 or options.seconds < 1:
        parser.error("--cases, --jobs and --seconds are at least 1")
    import_all()
    cases = _numbers(options.kind, options.cases)
    if options.only is not None:
        cases = [(options.kind, options.only)]
    limits = Limits(options.seconds)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        folder = Path(scratch)
        if options.keep is not None:
            folder = options.keep
            folder.mkdir(parents=True, exist_ok=True)
        tallies, failures = fuzz(cases, options.seed, folder, limits, options.jobs, verb)
    _show(tallies, failures, options.seed, time.monotonic() - start)
    if options.only is not None:
        case = make_case(options.kind, options.seed, options.only)
        print(f"eecompile {shlex.join(case.arguments)}")
        print("\n".join(failure.said for failure in failures))
    return int(bool(failures))


def import_all() -> None:
    """Import what verbs import when they need it: once, not in every fork."""
    import onnxruntime  # noqa: F401

    import eecompile.cli.main
    import eecompile.cli.show_cost
    import eecompile.cli.show_network
    import eecompile.cli.show_run
    import eecompile.data.npz
    import eecompile.run.main
    import eecompile.verbs.work.cost
    import eecompile.verbs.work.inspect_network
    import eecompile.verbs.work.optimize  # noqa: F401


def _show(tallies: dict[str, Tally], failures: list[Failure], seed: int, seconds: float) -> None:
    print(f"{'kind':<10}{'cases':>8}{'done':>8}{'refused':>9}{'failed':>8}{'longest':>10}")
    total = sum(tally.done + tally.refused + tally.failed for tally in tallies.values())
    for kind in sorted(tallies):
        tally = tallies[kind]
        count = tally.done + tally.refused + tally.failed
        print(
            f"{kind:<10}{count:>8}{tally.done:>8}{tally.refused:>9}{tally.failed:>8}{tally.longest:>8.1f} s"
        )
    print(f"{total} cases, {len(failures)} failed, seed {seed}, {seconds:.0f} s")
    for failure in failures[:_TAIL]:
        print(f"{failure.case.kind} {failure.case.number}: {failure.what}")
        again = f"--kind {failure.case.kind} --seed {seed} --only {failure.case.number} --keep DIR"
        print(f"  python -m tools.fuzz {again}")
    if len(failures) > _TAIL:
        print(f"and {len(failures) - _TAIL} more")


if __name__ == "__main__":
    sys.exit(main())
