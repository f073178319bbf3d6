"""Wall time per step of a run, and progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from passes.progress import DetailLine, StageLine

DETAIL_SECONDS = 2.0


@dataclass
class Clock:
    """Wall time per step, and progress lines."""

    progress: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=dict)
    _step: str = ""
    _start: float = 0.0
    _told: float = 0.0

    def step(self, name: str) -> None:
        """Begin a step; ends the one before."""
        now = time.perf_counter()
        if self._step:
            self.seconds[self._step] = round(self.seconds.get(self._step, 0.0) + now - self._start, 3)
        self._step, self._start, self._told = name, now, now
        if name:
            self.progress(StageLine(name))

    def detail(self, text: str) -> None:
        """Tell how far a step is, at most every ``DETAIL_SECONDS``."""
        now = time.perf_counter()
        if now - self._told >= DETAIL_SECONDS:
            self._told = now
            self.progress(DetailLine(text))
