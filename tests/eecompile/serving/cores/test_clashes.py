"""Offsets at which stages meet, against trying them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eecompile.serving.cores.clashes import Clashes
from eecompile.serving.cores.use import CoreUse
from tests.eecompile.serving.cores.stages import a_use, meet, use


@given(a_use(), a_use(), st.floats(0.0, 3.0) | st.integers(0, 24).map(lambda eighths: eighths / 8))
def test_the_first_offset_that_is_free_is_free_and_the_first(
    one: CoreUse, other: CoreUse, since: float
) -> None:
    """All spans begin and end at eighths: what is free between two of them is free at the first."""
    found = Clashes(one, other).free(since)
    assert found >= since and not meet(one, other, found)
    tried = [since, *(eighth / 8 for eighth in range(40) if eighth / 8 > since)]
    assert found == pytest.approx(next(at for at in tried if not meet(one, other, at)), abs=1e-6)


def test_stages_on_other_cores_never_meet_and_one_that_uses_all_waits_for_the_end() -> None:
    npu, dsp = use(2.0, npu=((0.0, 2.0),)), use(3.0, dsp=((0.0, 3.0),))
    assert Clashes(npu, dsp).free(0.25) == 0.25
    assert Clashes(npu, npu).free(0.25) == 2.0 and Clashes(npu, npu).free(2.0) == 2.0
    assert Clashes(use(1.0), npu).free(0.0) == 0.0, "it uses nothing"


def test_a_stage_fits_into_a_gap_to_the_cycle() -> None:
    """The core is free from 1 to 2 s; what takes it for a second begins there or behind all."""
    gap, fills = use(3.0, npu=((0.0, 1.0), (2.0, 3.0))), use(1.0, npu=((0.0, 1.0),))
    assert [Clashes(gap, fills).free(at) for at in (0.0, 1.0, 1.25, 2.5)] == [1.0, 1.0, 3.0, 3.0]


def test_rounding_keeps_nobody_waiting() -> None:
    """Sums of seconds are not exact: an offset that is too small by the last digit is free."""
    third = use(1 / 3, npu=((0.0, 1 / 3),))
    clashes = Clashes(third, third)
    assert clashes.free((1 / 3) * (1 - 1e-15)) == (1 / 3) * (1 - 1e-15)
    assert clashes.free((1 / 3) * (1 - 1e-6)) == 1 / 3
