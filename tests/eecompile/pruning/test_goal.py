from __future__ import annotations

import pytest

from eecompile.pruning.goal import PruningGoal
from passes.errors import InputError
from targets.evaluation.paths import Cost


def test_a_goal_says_what_shall_be_less() -> None:
    cost = Cost.at_clock(10, 1000, 5e6, None)
    cycles, energy = PruningGoal.parse("cycles=-30%"), PruningGoal.parse("energy=-12.5%")
    assert (cycles.less, cycles.of(cost), str(cycles)) == (0.3, 1000, "cycles=-30%")
    assert (energy.less, energy.of(cost), str(energy)) == (0.125, 5e6, "energy=-12.5%")


@pytest.mark.parametrize("text", ["cycles=30%", "cycles=-0%", "cycles=-100%", "macs=-30%", "cycles=-.3", ""])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="`prune` cannot be"):
        PruningGoal.parse(text)
