from __future__ import annotations

from eecompile.search.point_rows import point_axes, point_rows

POINT = {"trial": 3, "point": 1, "design": "d", "feasible": True, "exits": [], "accuracy_val": 0.5, "macs": 7}


def test_a_row_has_what_a_point_is_and_its_figures() -> None:
    (row,) = point_rows({"points": [POINT]})
    assert row == {
        "trial": 3, "point": 1, "design": "d", "operating_point": None, "accuracy_val": 0.5, "macs": 7
    }  # fmt: skip
    assert point_rows({"points": []}) == []


def test_fronts_are_drawn_over_what_they_are_compared_by() -> None:
    assert point_axes({"compared_by": ["accuracy_val", "edp_j_cycles", "macs"]}) == (
        "edp_j_cycles",
        "accuracy_val",
    )
    assert point_axes({"compared_by": ["macs"]}) == ("macs", "macs")
