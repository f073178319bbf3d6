"""What a move is in the solver's model."""

from __future__ import annotations

from typing import NamedTuple

from ortools.sat.python import cp_model

from targets.schedule.exact.problem import Need, Piece
from targets.schedule.machine import Route
from targets.schedule.regions import Region


class Way(NamedTuple):
    """One way a move may go: from where the piece was written or lies, or from where ``behind`` brought it.

    ``spilled`` is from the outer store after a move there that is not modelled.
    """

    taken: cp_model.IntVar
    source: str
    route: Route
    behind: Shipment | None
    spilled: bool = False


class Shipment(NamedTuple):
    """A part of a piece that may be moved to a store in a stage.

    Attributes:
        layer: Index of the layer it is for.
        ways: Of which exactly one is taken if it is ``made``.
        kinds: Ways that take the same for as long, and whether one of them is taken.
        readers: Whether a task waits for it.
    """

    piece: Piece
    region: Region
    destination: str
    stage: int
    layer: int
    made: cp_model.IntVar
    start: cp_model.IntVar
    end: cp_model.IntVar
    ways: list[Way]
    kinds: list[tuple[cp_model.IntVar, list[Way]]]
    readers: list[tuple[Need, cp_model.IntVar]]
