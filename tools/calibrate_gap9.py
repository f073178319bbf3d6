"""Fit what no source gives for GAP9 to what was measured, and say how far the predictions are off.

    EECOMPILE_SHARED=DIR python -m tools.calibrate_gap9           # fits, errors of networks left out, errors
    by layer EECOMPILE_SHARED=DIR python -m tools.calibrate_gap9 --write   # ... and writes them where they
    are kept python -m tools.calibrate_gap9 --layers FILE.tsv              # predicts any log of layers

DIR holds ``models/`` with ResNet8 and MobileNetV1 as ONNX and ``reference/gap9/`` with the log of
EfficientNet-Lite0; the other networks are made on the spot. A log has a line per layer: name, measured
cycles, operations. Exits with 1 where a goal is missed, with 2 where an input is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from passes.errors import EecompileError
from targets.gap9.target import Gap9Target
from tools.gap9.calibration import Fits, evidence_in, fit_all
from tools.gap9.errors import comparisons, misses
from tools.gap9.files import write_fit, write_results
from tools.gap9.log_report import compare, compare_file, log_lines
from tools.gap9.page import error_table, far_table, kind_table, page_text, parameter_table, plain, worst_lines


def report(shared: Path, write: bool) -> bool:
    """Fit, print and, if ``write``, store all of it; returns whether all goals are met."""
    evidence = evidence_in(shared)
    fits: Fits = fit_all(evidence)
    target = Gap9Target().with_values(fits.all, "fitted here")
    found = comparisons(
        evidence, target, {n: Gap9Target().with_values(v, f"without {n}") for n, v in fits.without.items()}
    )
    log = compare(evidence.log, target)
    for title, lines in (
        ("fitted numbers", plain(parameter_table(fits))),
        ("networks", [*plain(error_table(found)), *worst_lines(found)]),
        ("layers of the log, predicted over measured", plain(kind_table(log))),
        ("layers further off", plain(far_table(log))),
    ):
        print("\n".join([title, *lines, ""]))
    if write:
        for path in [*write_fit(fits), *write_results(found, page_text(fits, found, log))]:
            print(f"wrote {path}")
    missed = misses(found, log)
    print("\n".join(f"missed: {line}" for line in missed) if missed else "all goals are met")
    return not missed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    folder = os.environ.get("EECOMPILE_SHARED", "../shared")
    parser.add_argument(
        "--shared", type=Path, default=Path(folder), help="folder with models/ and reference/"
    )
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--layers", type=Path, metavar="FILE", help="predict this log of layers")
    either.add_argument(
        "--write", action="store_true", help="store the fit and its errors where they are kept"
    )
    options = parser.parse_args(arguments)
    try:
        if options.layers is not None:
            print("\n".join(log_lines(compare_file(options.layers))))
            return 0
        return 0 if report(options.shared, options.write) else 1
    except EecompileError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
