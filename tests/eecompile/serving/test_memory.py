"""Memories that networks and interrupted requests share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eecompile.serving.memory import Interrupted, LeftBehind, MemoryNeeds, footprint, kept_together
from targets.residence import Residence, StageBoundary, StoreUse

BEHIND = LeftBehind({"sram": 30}, 5, 2.0, 0.2, 3.0, 0.3)


def needs(
    peak: int, kept: int = 0, outer: int | None = None, left: LeftBehind = BEHIND, size: int = 100
) -> MemoryNeeds:
    """Return a network on a chip with one store of ``size`` bits, and an outer one."""
    stores = (StoreUse("dram", True, outer, 0, 10), StoreUse("sram", False, size, kept, peak))
    return MemoryNeeds(stores, (left,))


def test_a_footprint_is_a_residence_in_seconds_and_joules() -> None:
    uses = (StoreUse("dram", True, None, 0, 10), StoreUse("sram", False, 100, 20, 60))
    boundary = StageBoundary("exit_0", {"sram": 30, "dram": 5}, 200, 2e11, 300, 3e11)
    found = footprint(Residence(20, 50, 1.0, uses, (boundary,)), 0.01)
    (left,) = found.boundaries
    assert found.stores == uses and (left.inside, left.outside) == ({"sram": 30}, 5)
    assert (left.out_s, left.out_j, left.back_s, left.back_j) == pytest.approx((2.0, 0.2, 3.0, 0.3))


@pytest.mark.parametrize(
    ("kept", "peaks", "fit"),
    [
        ((20, 30), (60, 70), True),  # 20 + 30 + max(40, 40) are 90 of 100
        ((20, 30), (60, 80), True),  # 100 of 100
        ((20, 30), (60, 81), False),
        ((60, 50), (70, 60), False),
    ],
)
def test_kept_weights_fit_together_beside_the_most_that_lies_there_besides(
    kept: tuple[int, int], peaks: tuple[int, int], fit: bool
) -> None:
    both = [needs(peak, own) for peak, own in zip(peaks, kept, strict=True)]
    assert kept_together(both) == fit
    assert kept_together(both[:1]), "one network is alone"
    assert not kept_together([both[0], None]), "nothing is known of the other"


def test_what_is_interrupted_stays_where_there_is_room_and_else_goes_out() -> None:
    """40 of 100 bits are free: one request with 30 stays, the second is moved out and back."""
    memory = Interrupted([needs(60)])
    assert memory.may_leave(0, 1)
    assert memory.leave(7, 0, 1) == (0.0, 0.0)
    assert memory.leave(8, 0, 1) == (2.0, 0.2)
    assert (memory.spills, memory.peak_bits) == (1, 70)
    assert memory.back(7, 0, 1) == (0.0, 0.0)
    assert memory.leave(9, 0, 1) == (0.0, 0.0), "its room is free again"
    assert memory.back(8, 0, 1) == (3.0, 0.3)
    assert (memory.spills, memory.peak_bits) == (1, 70)


def test_where_there_is_no_room_at_all_nobody_may_be_interrupted() -> None:
    """The outer store has 45 - 10 bits: one request there, none on chip."""
    memory = Interrupted([needs(100, outer=45)])
    assert memory.may_leave(0, 1)
    assert memory.leave(1, 0, 1) == (2.0, 0.2)
    assert not memory.may_leave(0, 1)
    memory.back(1, 0, 1)
    assert memory.may_leave(0, 1)
    assert not Interrupted([needs(100, outer=44)]).may_leave(0, 1)
    assert not Interrupted([needs(100, outer=5)]).may_leave(0, 1), "less than the network needs"


def test_room_is_what_no_network_needs() -> None:
    """Kept together, 20 + 30 + 35 leave 15 bits; the outer store is without limit."""
    small = LeftBehind({"sram": 15}, 0, 1.0, 0.0, 1.0, 0.0)
    both = [needs(55, 20, left=small), needs(60, 30, left=small)]
    memory = Interrupted(both)
    assert memory.leave(1, 0, 1) == (0.0, 0.0)
    assert memory.leave(2, 1, 1) == (1.0, 0.0)
    apart = [needs(55, 40, left=small), needs(85, 70, left=small)]
    assert not kept_together(apart)
    assert Interrupted(apart).leave(1, 0, 1) == (0.0, 0.0), "of 100 bits the larger takes 85"


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 200), st.integers(0, 120), st.integers(0, 99))
def test_rooms_are_never_overdrawn_and_all_is_given_back(outer: int, peak: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    memory = Interrupted([needs(peak, outer=outer), needs(50, outer=outer)])
    start = dict(memory._room)
    there: dict[int, int] = {}
    for request in range(60):
        model = int(draw.integers(2))
        if memory.may_leave(model, 1) and draw.random() < 0.6:
            memory.leave(request, model, 1)
            there[request] = model
        elif there:
            back = int(draw.choice(list(there)))
            memory.back(back, there.pop(back), 1)
        assert all(bits >= 0 for bits in memory._room.values())
    for request, model in there.items():
        memory.back(request, model, 1)
    assert memory._room == start


def test_what_runs_at_once_has_room_beside_kept_weights_and_who_is_interrupted() -> None:
    """Of 100 bits 20 are kept; who is interrupted leaves 30 on chip and 5 in an outer store of 40."""
    memory = Interrupted([needs(50, 20, outer=40)])
    assert memory.bits(0, 1) == {"sram": 30, "dram": 5} and memory.bits(0, 1, 2) == {"sram": 60, "dram": 10}
    assert memory.has_room({"sram": 80, "dram": 40}) and not memory.has_room({"sram": 81})
    assert memory.stays({"sram": 50}) and not memory.stays({"sram": 51}), "50 are for whatever runs next"
    memory.leave(7, 0, 1)
    assert memory.has_room({"sram": 50, "dram": 35})
    assert not memory.has_room({"sram": 51}) and not memory.has_room({"dram": 36})
    assert memory.stays({"sram": 20}) and not memory.stays({"sram": 21})
    memory.leave(8, 0, 1)
    assert [memory.is_moved(one) for one in (7, 8, 9)] == [False, True, False]
    assert memory.has_room({"sram": 50}) and not memory.has_room({"dram": 1})
    memory.back(7, 0, 1)
    assert memory.has_room({"sram": 80})


def test_weights_of_the_largest_take_room_where_only_one_network_has_its_own_there() -> None:
    memory = Interrupted([needs(70, 60), needs(70, 50)])
    assert not kept_together([needs(70, 60), needs(70, 50)])
    assert memory.has_room({"sram": 40}) and not memory.has_room({"sram": 41})
