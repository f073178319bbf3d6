"""What a whole process takes, its start included."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Taken:
    """What one process took, in seconds.

    Attributes:
        wall: From its start to its end.
        cpu: User and system time.
    """

    wall: float
    cpu: float


def python(*arguments: str) -> Taken:
    """Run this Python with ``arguments`` and return what that took; raises CalledProcessError.

    Compiled modules are kept between runs, as they are where a package is installed.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Taken(wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def eecompile(*arguments: str) -> Taken:
    """Run the command line with ``arguments`` and return what that took."""
    return python("-m", "eecompile.cli.main", *arguments)


def least_cpu(runs: Sequence[Taken]) -> float:
    """Return the CPU seconds of the run that took least: the others were disturbed."""
    return min(run.cpu for run in runs)
