"""What stages take, in seconds, and one behind another."""

from __future__ import annotations

import pytest

from eecompile.serving.cores.use import CoreUse
from targets.stage_use import StageUse
from tests.eecompile.serving.cores.stages import use


def test_cycles_become_seconds() -> None:
    found = CoreUse.of(StageUse(8, {"npu": ((0, 2), (4, 8)), "bus": ((2, 3),)}, {"sram": 5}), 0.5)
    assert found == use(4.0, 5, npu=((0.0, 1.0), (2.0, 4.0)), bus=((1.0, 1.5),))
    assert [found.busy_s(name) for name in ("npu", "bus", "dsp")] == pytest.approx([3.0, 0.5, 0.0])


def test_one_behind_another_takes_what_both_take() -> None:
    # In the memories lie both: what the first leaves, and what the second waits with.
    both = use(2.0, 5, npu=((0.0, 1.0),)).then(use(1.0, 7, npu=((0.5, 1.0),), bus=((0.0, 0.5),)))
    assert both == use(3.0, 12, npu=((0.0, 1.0), (2.5, 3.0)), bus=((2.0, 2.5),))
