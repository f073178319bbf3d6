from __future__ import annotations

from eecompile.search.shown.front import ShownPoint
from tests.eecompile.search.shown.made_study import point


def test_figures_of_a_point_are_those_that_are_known() -> None:
    found = ShownPoint.figures_of(point(2, 0, 0.97, 0.03, exits=2))
    assert found["accuracy_val"] == 0.97 and found["early_exits"] == 2.0
    assert "memory_bytes" not in found, "0 bytes are those of a target that does not tell"
    assert ShownPoint.figures_of({"memory_bytes": 8}) == {"memory_bytes": 8.0}
