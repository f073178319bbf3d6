"""What the scheduler reaches beside published figures and proven bounds, and how long it takes.

    python -m tools.bench.bench_schedule [--shared DIR] [--only resnet8 star optimum growth] [--plots DIR]

Sections: `resnet8` on the quad-core of Stream, `star`: the early-exit network of arXiv 2512.04705 on its
accelerator, `optimum`: the default scheduler beside CP-SAT (needs the extra `solver`), `growth`: layers and
cores. Seconds are CPU seconds of one process, nothing remembered, layers costed and all. Every schedule goes
through the independent checker. DIANA's segment and GAP9's calibration have scripts of their own:
`python -m tools.experiments.diana_segment`, `python -m tools.calibrate_gap9`.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from tools.bench import schedule_growth, schedule_optimum, schedule_resnet8, schedule_star

SECTIONS = ("resnet8", "star", "optimum", "growth")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shared = Path(os.environ.get("EECOMPILE_SHARED", "../shared"))
    parser.add_argument("--shared", type=Path, default=shared, help="folder of the reference files")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="time limit of the exact solver per network"
    )
    parser.add_argument("--plots", type=Path, metavar="DIR", help="where to plot the growth")
    arguments = parser.parse_args()
    if "resnet8" in arguments.only:
        schedule_resnet8.show(arguments.shared, arguments.seconds)
    if "star" in arguments.only:
        schedule_star.show(arguments.shared)
    if "optimum" in arguments.only:
        schedule_optimum.show(arguments.shared, arguments.seconds)
    if "growth" in arguments.only:
        schedule_growth.show(arguments.plots)


if __name__ == "__main__":
    main()
