"""Rules of the reference that one would not expect, kept because they decide its figures; numbers by hand.

Each case is small enough to follow on paper. They are also why some properties hold only in part.
"""

from __future__ import annotations

import numpy as np
import pytest

from targets.cost.model.latency import _balanced, _Duty, _stall
from targets.cost.model.nest import Shape
from targets.cost.model.traffic import Transfer
from targets.cost.model.unrolling import place
from targets.cost.search.engine import Engine
from targets.description.hierarchy import Hierarchy
from targets.description.mapping import Mapping
from tests.targets.cost.small import WIDE, core, matmul, memory, outer, register

ONE = {"D1": 1}


def column(*values: float) -> np.ndarray:
    return np.array(values, float)[:, None]


def test_hiding_a_load_may_cut_a_longer_one_below_its_least() -> None:
    """Loads of 10 and 6 cycles that need at least 2 and 5 up front, with 12 cycles of port time to spare.

    The longer is cut by 8 to its least, 2. Cutting the other by 1 to its least cuts the longer once more.
    """
    cut = _balanced(column(10, 6), column(2, 5), column(1, 1) > 0, column(12)[0])
    assert cut[:, 0].tolist() == [1, 5]


def filling(bandwidth: int) -> Hierarchy:
    """Return registers under a buffer that is filled over ports of this bandwidth."""
    buffer = {
        "I from_above, W from_above": bandwidth,
        "I to_below": WIDE,
        "W to_below": WIDE,
        "O from_below": WIDE,
        "O to_above, O from_above, O to_below": WIDE,
    }
    return core(
        ONE,
        register_I=register("I"),
        register_W=register("W"),
        buffer=memory("WIO", 10**5, buffer, ("D1",)),
        outer=outer({"I to_below, W to_below": bandwidth}, ONE),
    )


def test_twice_the_bandwidth_may_take_a_cycle_longer() -> None:
    """24 inputs and 12 weights are loaded once, in 3 and 2 cycles of 64 bits, or 2 and 1 of 128.

    Both need at least 1. At 64 bits, the rule above leaves 0 and 1 cycles to wait for; at 128, 1 and 1. The
    registers add one more, and 24 iterations compute.
    """
    mapping = Mapping({}, (("C", 12), ("D", 2)), {"O": (2, 2), "I": (0, 2, 2), "W": (0, 2, 2)})
    narrow, wide = (Engine(filling(bits)).cost(matmul(d=2, c=12), mapping) for bits in (64, 128))
    assert (narrow.compute_cycles, narrow.stall_cycles, narrow.onload_cycles) == (24, 0, 2)
    assert (wide.compute_cycles, wide.stall_cycles, wide.onload_cycles) == (24, 0, 3)
    assert wide.offload_cycles == narrow.offload_cycles


def test_an_uneven_unrolling_is_rounded_down_for_latency_and_averaged_for_energy() -> None:
    """20 outputs over 8 lanes take 3 turns of 6.67; latency sees turns of 6."""
    lanes = {"D1": 8}
    level = core(lanes, register_W=register("W"), outer=outer({}, lanes))
    placed = place(Shape(matmul(k=20)), level, {"D1": {"K": 8}}, {})
    assert placed.remaining == (1, 1, 3)
    assert placed.whole["O"].inside[-1].tolist() == [1, 1, 6]
    assert placed.mean["O"].inside[-1].tolist() == pytest.approx([1, 1, 20 / 3])


def test_an_uneven_unrolling_may_beat_the_roofline() -> None:
    """20 weights over a port of one per cycle cannot arrive in less than 20 cycles; the rule moves 18.

    3 iterations, 2 stalls of 6 - 1 cycles, and 6 cycles before the first.
    """
    lanes = {"D1": 8}
    level = core(lanes, register_W=register("W"), outer=outer({"W to_below": 8}, lanes))
    mapping = Mapping({"D1": {"K": 8}}, (("K", 3),), {"O": (1,), "I": (1,), "W": (0, 1)})
    found = Engine(level).cost(matmul(k=20), mapping)
    assert (found.compute_cycles, found.stall_cycles, found.onload_cycles) == (3, 10, 6)
    assert found.latency_cycles < found.bound_cycles == 20


def test_an_uneven_unrolling_may_count_too_few_accesses() -> None:
    """5 outputs over 3 lanes take 2 turns of 2.5, of which 2 are written: 4 words of the 5 there are."""
    lanes = {"D1": 3}
    level = core(lanes, outer=outer({"O from_below": 8}, lanes))
    mapping = Mapping({"D1": {"K": 3}}, (("K", 2),), {"O": (1,), "I": (1,), "W": (1,)})
    found = Engine(level).cost(matmul(k=5), mapping)
    written = {a.direction: a.words for a in found.accesses if a.operand == "O"}
    assert written == {"from_below": 4}


def test_first_loads_over_one_port_run_side_by_side_into_registers_of_their_own() -> None:
    """10 inputs and 10 weights over one port of one element per cycle: 10 cycles, not 20."""
    level = core(
        ONE,
        register_I=register("I"),
        register_W=register("W"),
        outer=outer({"I to_below, W to_below": 8}, ONE),
    )
    mapping = Mapping({}, (("C", 10),), {"O": (1,), "I": (1, 1), "W": (1, 1)})
    assert Engine(level).cost(matmul(c=10), mapping).onload_cycles == 10


def test_first_loads_over_ports_shared_on_both_sides_queue() -> None:
    level = core(
        ONE,
        register_IW=memory("WI", 10**5, {"I from_above, W from_above": WIDE, "I to_below, W to_below": WIDE}),
        outer=outer({"I to_below, W to_below": 8}, ONE),
    )
    mapping = Mapping({}, (("C", 10),), {"O": (1,), "I": (1, 1), "W": (1, 1)})
    assert Engine(level).cost(matmul(c=10), mapping).onload_cycles == 20


def duty(real: float, window: float, period: float, count: float) -> _Duty:
    one = np.ones(1)
    move = Transfer("W", 0, "to_below", one, one, one * period, one * count, one, 0)
    return _Duty(move, one * real, one * window, one * period)


def test_a_stall_leaves_out_the_first_period_but_the_windows_it_may_use_do_not() -> None:
    """Two transfers that each fill their port for 3 periods of 4 cycles.

    Without the first period they need 16 cycles of 8, which would be a stall of 8. The rule grants the
    windows of all three periods, 12 cycles: a stall of 4.
    """
    assert _stall([duty(4, 4, 4, 3), duty(4, 4, 4, 3)]).tolist() == [4]
    assert _stall([duty(4, 4, 4, 3)]).tolist() == [0]


def test_what_exceeds_its_own_window_stalls_even_if_the_port_is_idle() -> None:
    """A transfer of 3 cycles with a window of 1 in a period of 8, 5 times: 4 stalls of 2."""
    assert _stall([duty(3, 1, 8, 5)]).tolist() == [8]
