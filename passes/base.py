"""The Pass contract: requires -> run -> ensures, and the Pipeline that chains passes."""

from __future__ import annotations

import dataclasses
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import onnx_graphsurgeon as gs

from passes.errors import PassError
from passes.option_text import print_named
from passes.state import state_of


class Pass(ABC):
    """A graph rewrite. Subclasses are frozen dataclasses whose fields are the options.

    The class docstring numbers the rules it applies. ``run`` changes the graph in place and says
    whether it did; running it again changes nothing (idempotent). What it leaves alone it records
    with :func:`passes.state.decline`.
    """

    name: ClassVar[str]

    def requires(self, graph: gs.Graph) -> None:
        """Raise :class:`PassError` (through :meth:`broken`) if the graph cannot be worked on."""

    @abstractmethod
    def run(self, graph: gs.Graph) -> bool:
        """Rewrite ``graph`` in place; return whether anything changed."""

    def ensures(self, graph: gs.Graph) -> None:
        """Raise :class:`PassError` if the promise of the pass does not hold afterwards."""

    def broken(self, graph: gs.Graph, what: str, add: str) -> PassError:
        """Return the error for a broken precondition: what is missing, what ran, what to add."""
        ran = ", ".join(state_of(graph).history) or "none"
        return PassError(f"pass '{self.name}': {what} (passes that ran before: {ran})", add)

    def __call__(self, graph: gs.Graph) -> bool:
        """Check, run, check again, and note the pass in the graph's history."""
        state = state_of(graph)
        self.requires(graph)
        state.declined = [d for d in state.declined if d.pass_name != self.name]
        changed = self.run(graph)
        self.ensures(graph)
        state.history.append(to_text(self))
        return changed


def to_text(step: Pass) -> str:
    """Return the text form of ``step``: its name and the options that differ from the default."""
    options = {
        item.name: value
        for item in dataclasses.fields(step)  # type: ignore[arg-type]
        if (value := getattr(step, item.name)) != item.default
    }
    return print_named(step.name, options)


class Observer(Protocol):
    """Sees the graph between passes: printing, timing, saving stages, numerical verification."""

    def before(self, step: Pass, graph: gs.Graph) -> None:
        """Called before ``step`` runs."""

    def after(self, step: Pass, graph: gs.Graph, changed: bool, seconds: float) -> None:
        """Called after ``step`` ran; ``seconds`` is the wall time of the step alone."""


@dataclass(frozen=True)
class Pipeline:
    """Passes in order, run under one observer."""

    steps: tuple[Pass, ...]

    def __call__(self, graph: gs.Graph, observers: Sequence[Observer] = ()) -> bool:
        """Run all steps on ``graph`` in place; return whether any changed it."""
        any_change = False
        for step in self.steps:
            for observer in observers:
                observer.before(step, graph)
            start = time.perf_counter()
            changed = step(graph)
            seconds = time.perf_counter() - start
            any_change |= changed
            for observer in observers:
                observer.after(step, graph, changed, seconds)
        return any_change
