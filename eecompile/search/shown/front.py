"""A front as a page shows it: of a search, or made from one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eecompile.exits.fronts.front_problem import MEMORY
from eecompile.search.shown.measures import EXITS, FIGURES, MEASURES


@dataclass(frozen=True)
class PointFiles:
    """What is known of a point beside its figures, as its files have it.

    Attributes:
        known: Exit paths, layers, threshold curve and training.
        trace: Its schedule: ``traceEvents`` and ``otherData``.
    """

    known: Mapping[str, Any]
    trace: Mapping[str, Any]


@dataclass(frozen=True)
class ShownPoint:
    """A point of a front.

    Attributes:
        name: What it is called: ``trial 3, point 1``.
        figures: By key of a file, see `eecompile.search.shown.measures.FIGURES`; absent where not known.
        facts: As in ``front.json``: exits, params, design, before; may be empty.
        static: What it is held against: figures of its backbone without exits, as it was when designs were
            compared; on other hardware, those it had.
        files: ``None``: nothing more is known.
        against: What ``static`` is, in words.
    """

    name: str
    figures: Mapping[str, float]
    facts: Mapping[str, Any] = field(default_factory=dict)
    static: Mapping[str, float] = field(default_factory=dict)
    files: PointFiles | None = None
    against: str = "without exits"

    @staticmethod
    def figures_of(document: Mapping[str, Any]) -> dict[str, float]:
        """Return the figures of a point as it stands in a file; no memory at all stands for one not known."""
        found = {key: float(document[key]) for key in FIGURES if key in document}
        if not found.get(MEASURES[MEMORY].key):
            found.pop(MEASURES[MEMORY].key, None)
        if "exits" in document:
            found[MEASURES[EXITS].key] = float(len(document["exits"]))
        return found


@dataclass(frozen=True)
class TriedDesign:
    """A design of a search.

    Attributes:
        trial: Its index.
        text: What it is.
        static: Figures without exits; empty where it could not be built.
        static_at: The same at each operating point, by its name, where there are several.
        points: Figures of its own front over exits and thresholds; none where constraints are not kept.
    """

    trial: int
    text: str
    static: Mapping[str, float] = field(default_factory=dict)
    points: tuple[Mapping[str, float], ...] = ()
    static_at: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def statics(self) -> list[Mapping[str, float]]:
        """Figures without exits, at each operating point."""
        return list(self.static_at.values()) or [self.static]


@dataclass(frozen=True)
class ShownFront:
    """A front, with what it was chosen from.

    Attributes:
        title: What tells it from others that are laid over it.
        objectives: What was sought, by names of `eecompile.search.shown.measures.MEASURES`.
        points: In the order of tables.
        reference: By key, what each figure is worst at; up to there a front has a volume.
        facts: Where it comes from: label and text.
        designs: All that were tried, in order.
        compared_by: Keys that points were compared by, where a search says so.
    """

    title: str
    objectives: tuple[str, ...]
    points: tuple[ShownPoint, ...]
    reference: Mapping[str, float] = field(default_factory=dict)
    facts: tuple[tuple[str, str], ...] = ()
    designs: tuple[TriedDesign, ...] = ()
    compared_by: tuple[str, ...] = ()
