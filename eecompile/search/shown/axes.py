"""What is on the axes of a front at first."""

from __future__ import annotations

from collections.abc import Sequence

from eecompile.exits.fronts.front_problem import ACCURACY
from eecompile.search.shown.front import ShownFront
from eecompile.search.shown.measures import COSTS


def axes_of(fronts: Sequence[ShownFront]) -> tuple[str, str]:
    """Return what is on the horizontal and the vertical axis: a cost, and accuracy or another objective."""
    names = fronts[0].objectives
    across = next((name for name in names if name in COSTS), names[-1])
    rest = [name for name in names if name != across]
    return across, ACCURACY if ACCURACY in rest or not rest else rest[0]
