"""Time a run, the same with another limit on the drop, and that from the run directory alone.

    python -m tools.bench.bench_kept_work MODEL --data D [--target diana] [--max-drops 1 2 3]

Each is a process of its own, imports included, one behind the other, with one cache that is empty at first.
The first run trains; the others take what they can from the cache; `retune` has the directory of the first.
Printed are seconds of wall time and of processors, and the share of the first run.
"""

from __future__ import annotations

import argparse
import filecmp
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path


def timed(arguments: Sequence[str]) -> tuple[float, float]:
    """Run the command line, and return the seconds it took: of wall time, of processors."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-c", "from eecompile.cli.main import main; main()", *arguments]
    subprocess.run(command, check=True, capture_output=True)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--data", required=True)
    parser.add_argument("--target", default="diana")
    parser.add_argument("--max-drops", nargs="+", default=["1", "2", "3"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        first, *others = given.max_drops
        run = [
            "run",
            given.model,
            "--data",
            given.data,
            "--target",
            given.target,
            "--cache",
            str(at / "cache"),
        ]
        base = timed([*run, "--max-drop", first, "--out", str(at / "first")])
        print("| command | wall, s | processors, s | of the first |\n|---|---|---|---|")
        print(f"| run --max-drop {first} | {base[0]:.1f} | {base[1]:.1f} | 100 % |", flush=True)
        for drop in others:
            taken = timed([*run, "--max-drop", drop, "--out", str(at / f"run-{drop}")])
            tuned = timed(
                ["retune", str(at / "first"), "--max-drop", drop, "--out", str(at / f"tuned-{drop}")]
            )
            for name, found in ((f"run --max-drop {drop}", taken), (f"retune --max-drop {drop}", tuned)):
                share = 100 * found[1] / base[1]
                print(f"| {name} | {found[0]:.1f} | {found[1]:.1f} | {share:.0f} % |", flush=True)
            same = filecmp.cmp(
                at / f"run-{drop}" / "summary.json", at / f"tuned-{drop}" / "summary.json", shallow=False
            )
            print(f"\nsummary.json of both: {'the same' if same else 'NOT the same'}\n", flush=True)


if __name__ == "__main__":
    main()
