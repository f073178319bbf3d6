"""Where the time of a search goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

START, TRAINING, NETWORKS, COSTS = "start", "training", "networks", "costs"
ANSWERS, FRONTS, FINALISTS, STUDY = "answers", "fronts", "finalists", "study"


class Stopwatch:
    """Seconds by what they were spent on; of parts within parts each second counts for the innermost."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._part, self._since = "", time.perf_counter()

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        """Count what happens inside for a part."""
        before = self._switch(part)
        try:
            yield
        finally:
            self._switch(before)

    def take(self) -> dict[str, float]:
        """Return the seconds of each part since this was last asked."""
        self._switch(self._part)
        found, self._seconds = self._seconds, {}
        return found

    def _switch(self, part: str) -> str:
        now, before = time.perf_counter(), self._part
        if before:
            self._seconds[before] = self._seconds.get(before, 0.0) + now - self._since
        self._part, self._since = part, now
        return before
