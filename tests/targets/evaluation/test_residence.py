"""What a network leaves in the memories."""

from __future__ import annotations

import pytest

from targets.evaluation.residence import residence
from targets.evaluation.scheduling import Planned
from targets.schedule.machine import OUTER
from targets.schedule.view.memory_profile import memory_profiles
from tests.targets.schedule.small_schedule import RESIDENT, small_schedule


def planned() -> Planned:
    """Return the small schedule as it comes out of the scheduler."""
    network, schedule = small_schedule()
    return Planned(network, (), schedule, RESIDENT, None, ())


def test_kept_weights_are_brought_over_the_way_from_off_chip() -> None:
    """Six of 4 x 3 x 3 weights of 8 bits and a bias of 32: 1,920 bits, 16 a cycle, twice 1 pJ a word."""
    found = residence(planned())
    assert found.load_bits == 6 * (4 * 9 * 8 + 32) == 1920
    assert found.load_cycles == 1920 / 16
    assert found.load_pj == pytest.approx(2 * 1920 / 32 + 0.5 * 1920)


def test_what_a_store_holds_is_what_the_schedule_says() -> None:
    made = planned()
    profiles = memory_profiles(made.schedule, made.network.machine)
    found = {use.name: use for use in residence(made).stores}
    assert list(found) == [OUTER, "a.sram", "b.sram"]
    assert [use.outer for use in found.values()] == [True, False, False]
    assert (found[OUTER].capacity_bits, found["b.sram"].capacity_bits) == (None, 30000)
    assert (found["a.sram"].kept_bits, found["b.sram"].kept_bits) == (0, 1920)
    assert {name: use.peak_bits for name, use in found.items()} == {
        name: profile.peak_bits for name, profile in profiles.items()
    }


def test_between_two_stages_lies_what_the_second_reads() -> None:
    """Behind the exit the layer `late` reads 4 channels of 4 x 2 cells, 256 bits; heads are over."""
    (found,) = residence(planned()).boundaries
    assert found.exit == "early"
    assert found.bits == {"b.sram": 256}
    assert found.out_cycles == found.back_cycles == 256 / 16
    assert found.out_pj == found.back_pj == pytest.approx(2 * 256 / 32 + 0.5 * 256)
