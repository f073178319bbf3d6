"""``run.log``: what a run said, and when."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from passes.files import write_atomic

LOG = "run.log"


@dataclass
class RunLog:
    """Hands lines of progress on, and keeps them with the seconds since the run began.

    Attributes:
        progress: Told of each line.
    """

    progress: Callable[[str], None]
    _lines: list[tuple[float, str]] = field(default_factory=list)
    _start: float = field(default_factory=time.perf_counter)
    _began: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self, text: str) -> None:
        """Take a line."""
        self._lines.append((time.perf_counter() - self._start, text))
        self.progress(text)

    def write(self, folder: Path, command: str) -> None:
        """Write ``run.log``: when the run began and by which command, then a line for each that was said."""
        head = f"{self._began.isoformat(timespec='seconds')}  {command}"
        lines = (f"{seconds:9.3f} s  {text}" for seconds, text in self._lines)
        write_atomic(folder / LOG, "".join(f"{line}\n" for line in (head, *lines)).encode())
