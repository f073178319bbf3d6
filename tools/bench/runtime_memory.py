"""Whether a session that is used for long grows: many threads, many calls, resident memory before and after.

    python -m tools.bench.runtime_memory RUN --data DATA [--threads 8] [--calls 10000] [--limit 8]

Every thread makes ``--calls`` calls with 1 to 8 of the images, and every answer is compared with that of the
first pass. Memory is read after a tenth of the calls, when all that is kept has been made, and at the end;
more than ``--limit`` MiB between them, a wrong answer or an error ends the script with a failure.
"""

from __future__ import annotations

import argparse
import threading
import time
import warnings
from pathlib import Path

import numpy as np

from eecompile.data.sources import load_data
from eecompile.runtime.drift import DriftWarning
from eecompile.runtime.early_exit_session import EarlyExitSession

LARGEST = 8


def resident_mib() -> float:
    """Return the resident memory of this process in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("this system does not tell the resident memory of a process")


def main() -> None:
    """Call from all threads, and print what memory did."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory")
    parser.add_argument("--data", required=True, help="what it was made with")
    parser.add_argument("--threads", type=int, default=8, metavar="N", help="[default: 8]")
    parser.add_argument("--calls", type=int, default=10_000, metavar="N", help="per thread [default: 10000]")
    parser.add_argument("--limit", type=float, default=8.0, metavar="MIB", help="growth [default: 8]")
    options = parser.parse_args()
    warnings.simplefilter("ignore", DriftWarning)  # a handful of images again and again
    session = EarlyExitSession(options.run)
    images = load_data(options.data).test.x[:256]
    expected = session.run(images)
    failures: list[str] = []

    def work(number: int, calls: int) -> None:
        rng = np.random.default_rng(number)
        try:
            for _ in range(calls):
                chosen = rng.integers(0, len(images), rng.integers(1, LARGEST + 1))
                found = session.run(images[chosen])
                if not (np.array_equal(found.exit, expected.exit[chosen])
                        and np.array_equal(found.label, expected.label[chosen])):  # fmt: skip
                    failures.append(f"images {chosen.tolist()} were answered otherwise than before")
                    return
        except Exception as error:
            failures.append(f"{type(error).__name__}: {error}")

    def all_threads(calls: int) -> None:
        threads = [threading.Thread(target=work, args=(k, calls)) for k in range(options.threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    start = time.monotonic()
    all_threads(max(1, options.calls // 10))
    before = resident_mib()
    all_threads(options.calls - options.calls // 10)
    after = resident_mib()
    taken = time.monotonic() - start
    print(
        f"{options.threads} threads x {options.calls} calls, {session.counts.images} images in {taken:.0f} s"
    )
    print(f"resident: {before:.1f} MiB after a tenth, {after:.1f} MiB at the end ({after - before:+.1f})")
    if failures:
        raise SystemExit(failures[0])
    if after - before > options.limit:
        raise SystemExit(f"memory grew by more than {options.limit} MiB")


if __name__ == "__main__":
    main()
