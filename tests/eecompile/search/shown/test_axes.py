from __future__ import annotations

import pytest

from eecompile.search.shown.axes import axes_of
from eecompile.search.shown.front import ShownFront


@pytest.mark.parametrize(
    ("objectives", "axes"),
    [
        (("accuracy", "edp"), ("edp", "accuracy")),
        (("memory", "accuracy", "macs"), ("macs", "accuracy")),
        (("accuracy", "memory"), ("memory", "accuracy")),
        (("edp", "memory"), ("edp", "memory")),
    ],
)
def test_a_cost_lies_and_accuracy_stands(objectives: tuple[str, ...], axes: tuple[str, str]) -> None:
    assert axes_of([ShownFront("", objectives, ())]) == axes
