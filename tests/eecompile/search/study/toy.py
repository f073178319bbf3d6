"""A search whose candidates are worth something at once."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eecompile.search.study import coordinator as coordinator_module
from eecompile.search.study import record
from eecompile.search.study.coordinator import Coordinator, Outcome, SearchCourse
from eecompile.search.study.front import GrowingFront
from eecompile.search.study.predictor import WorthPredictor
from eecompile.search.study.proposals import Params, Proposals, Value
from eecompile.search.study.record import Record
from passes.errors import NoSolutionError

GENES = {"x": tuple(range(6)), "y": tuple(range(6)), "kind": ("one", "two")}
DIRECTIONS = ("minimize", "minimize")


@dataclass(frozen=True)
class Toy:
    """Points around (x, y), fewer for one kind; none where both are small.

    Attributes:
        log: A line is added to it for each evaluation that ends.
        seconds: How long one takes.
        deadly: The first time a candidate of this index is evaluated its process is killed.
    """

    log: Path
    seconds: float = 0.0
    deadly: int = -1

    def __call__(self, candidate: int, params: Params, rung: int, start: str) -> dict[str, Any]:
        assert start == ""
        x, y = float(params["x"]), float(params["y"])
        time.sleep(self.seconds)
        marker = self.log.with_suffix(f".{candidate}")
        if candidate == self.deadly and not marker.exists():
            marker.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        with self.log.open("a") as stream:
            stream.write(f"{candidate} {rung}\n")
        if x + y < 2:
            return {"points": [], "violation": 2 - x - y}
        if x == y:
            raise NoSolutionError("x is y", "take another")
        better = 1 + rung
        return {"points": [{"a": (x + k) / better, "b": (y - k) / better} for k in range(3)]}


def search(folder: Path, toy: Toy, trials: int, **how: Any) -> list[Outcome]:
    """Run a toy search, or go on with it; see :func:`coordinator`."""
    return coordinator(folder, toy, trials, **how).run()


def coordinator(
    folder: Path,
    toy: Toy,
    trials: int,
    *,
    workers: int = 1,
    batch: int = 3,
    url: str = "",
    rungs: int = 1,
    genes: Mapping[str, Sequence[Value]] = GENES,
    predict: bool = False,
) -> Coordinator:
    """Return what runs a toy search."""
    folder.mkdir(exist_ok=True)
    url = url or f"sqlite:///{folder / 'study.db'}"
    kept = Record.start(url, "toy", DIRECTIONS, {"seed": 0})
    front = GrowingFront(("a", "b"), frozenset())
    predictor = WorthPredictor(genes) if predict else None
    choose = None if predictor is None else predictor.choose
    proposals = Proposals(genes, DIRECTIONS, "nsga2", 0, population=6, choose=choose)
    course = SearchCourse(trials, batch, workers, rungs)
    return Coordinator(kept, proposals, front, toy, course, predictor=predictor)


def with_patience(beat_seconds: float, attempts: int, call: Callable[..., Any], *args: Any) -> None:
    """Call a function where workers count as dead after so long, and candidates are tried so often."""
    record.BEAT_SECONDS, coordinator_module.MOST_ATTEMPTS = beat_seconds, attempts
    call(*args)


if __name__ == "__main__":
    search(
        Path(sys.argv[1]), Toy(Path(sys.argv[1]) / "log", 0.02), int(sys.argv[2]), workers=int(sys.argv[3])
    )
