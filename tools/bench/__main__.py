"""The tracked benchmarks one after the other, each at its quick setting: what `make bench` prints.

    python -m tools.bench [NAME ...]

Every one prints what it takes beside a peer or a bound that ran in the same process or right beside it, and
the ratio. Long settings, and what the figures were, are in the docstring of each and in `docs/results/`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

# Name -> module and options; in this order.
TRACKED: dict[str, tuple[str, ...]] = {
    "startup": ("bench_startup", "--repeat", "5"),
    "inspect": ("bench_inspect", "--shape", "chain", "residual", "--layers", "100", "1500", "--repeat", "2"),
    "passes": ("bench_passes",),
    "cost": ("bench_cost", "--networks", "resnet8", "--no-full"),
    "cost_growth": ("bench_cost_growth",),
    "runtime": ("bench_runtime",),
    "torch_graph": ("bench_torch_graph", "--batch", "32", "--seconds", "10"),
    "schedule": ("bench_schedule", "--only", "resnet8", "--seconds", "15"),
    "candidates": ("bench_candidates",),
}


def main() -> None:
    """Run the benchmarks that were named, or all of them."""
    parser = argparse.ArgumentParser(prog="tools.bench", description="Run the tracked benchmarks.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TRACKED)}; default: all")
    asked = parser.parse_args().names
    if unknown := sorted(set(asked) - TRACKED.keys()):
        parser.error(f"no benchmark called {unknown[0]}; there are {', '.join(TRACKED)}")
    failed = []
    for name in asked or TRACKED:
        module, *options = TRACKED[name]
        print(f"\n=== {name}: python -m tools.bench.{module} {' '.join(options)}", flush=True)
        start = time.monotonic()
        if subprocess.run([sys.executable, "-m", f"tools.bench.{module}", *options], check=False).returncode:
            failed.append(name)
        print(f"=== {name}: {time.monotonic() - start:.0f} s", flush=True)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
