from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from eecompile.search.shown.front import ShownFront
from eecompile.search.shown.measures import IN_SECONDS, MEASURES
from eecompile.search.shown.study import shown_study
from eecompile.search.shown.volumes import common_reference, growth, volume, volumes
from tests.eecompile.search.shown.made_study import run_at_points, write_study


@pytest.fixture
def front(tmp_path: Path) -> ShownFront:
    return shown_study(write_study(tmp_path / "found"))


def test_the_reference_is_the_worst_that_any_has(front: ShownFront) -> None:
    other = replace(front, reference={"accuracy_val": 0.1, "edp_j_cycles": 0.3})
    assert common_reference([front, other], front.objectives, MEASURES) == {"accuracy": 0.0, "edp": 0.3}
    assert common_reference([replace(front, reference={})], ("edp",), MEASURES) == {"edp": 0.08}, (
        "of a backbone"
    )
    assert common_reference([ShownFront("", ("edp",), ())], ("edp",), MEASURES) == {}


def test_a_volume_by_hand(front: ShownFront) -> None:
    # Boxes up to accuracy 0 and 0.1 J·cycles, out of a box of 1 x 0.1: steps at 0.01, 0.02 and 0.03.
    on_val = (0.01 * 0.9 + 0.01 * 0.95 + 0.07 * 0.97) / 0.1
    found = volumes(front, {"accuracy": 0.0, "edp": 0.1}, MEASURES)
    assert list(found) == pytest.approx([on_val, on_val - 0.09 * 0.01 / 0.1])


def test_what_has_no_volume() -> None:
    reference = {"accuracy": 0.0, "edp": 0.1}
    assert volume([], reference, MEASURES) == 0.0
    assert volume([{"accuracy_val": 1.0}], reference, MEASURES) is None
    assert volume([{"accuracy_val": 1.0, "edp_j_cycles": 0.2}], reference, MEASURES) == 0.0, (
        "beyond the reference"
    )
    assert volume([], {}, MEASURES) is None


def test_it_grows_with_the_designs(front: ShownFront) -> None:
    found = growth(front, {"accuracy": 0.0, "edp": 0.1}, MEASURES)
    low = 0.005 * 0.8  # the cheap network all designs have, below 0.02 J·cycles
    assert found[0] == pytest.approx((low + 0.08 * 0.9) / 0.1)
    assert found[1] == pytest.approx((low + 0.02 * 0.9 + 0.06 * 0.92) / 0.1)
    assert len(found) == 4 and found[3] == found[2] > found[1] > found[0]


def test_in_seconds_each_point_counts_by_its_own_clock(tmp_path: Path) -> None:
    front = shown_study(run_at_points(write_study(tmp_path / "found")))
    reference = common_reference([front], front.objectives, IN_SECONDS)
    assert reference == {"accuracy": 0.0, "edp": 0.1 / 1e8}
    # Steps at 0.01 J·cycles of the fast clock, 0.02 and 0.03 of the slow one, up to 0.1 of the slow one.
    share = (0.015 * 0.9 + 0.01 * 0.95 + 0.07 * 0.97) / 0.1
    assert volumes(front, reference, IN_SECONDS)[0] == pytest.approx(share)
