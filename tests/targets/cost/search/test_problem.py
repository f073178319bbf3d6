"""What is refused of a given mapping, and what is told of one that is costed."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from passes.errors import InputError
from targets.cost.imc.peak import array_energy_pj, precharge_pj
from targets.cost.model.nest import Shape
from targets.cost.search.orderings import all_orders, temporal_factors
from targets.cost.search.problem import MappingProblem
from targets.description.hierarchy import Hierarchy, Imc, MacArray
from targets.description.mapping import Mapping, MappingRule
from targets.objective import EDP, ENERGY, LATENCY, OBJECTIVES, Objective
from tests.targets.cost.small import WIDE, core, mapped, matmul, memory, outer, register

TWO = {"D1": 2}
ONE = {"D1": 1}
LEVEL = core(TWO, register_W=register("W", 32), outer=outer({"W to_below": 8}, TWO))
NEST = matmul(d=3, c=2, k=8)
GOOD = Mapping({"D1": {"K": 2}}, (("C", 2), ("K", 4), ("D", 3)), {"O": (3,), "I": (3,), "W": (1, 3)})
PLAIN = MappingRule("plain", spatial={"D1": {}})


def problem_of(level: Hierarchy = LEVEL, **sizes: int) -> MappingProblem:
    return MappingProblem(Shape(matmul(**sizes) if sizes else NEST), level, {})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (replace(GOOD, loops=(("C", 2), ("OX", 4), ("D", 3))), "names loop OX; the layer has C, D, K"),
        (replace(GOOD, spatial={"D1": {"FX": 2}}), "names loop FX"),
        (replace(GOOD, spatial={"D2": {"K": 2}}), "unrolls {'K': 2} over D2, which has size None"),
        (
            replace(GOOD, spatial={"D1": {"K": 2, "C": 2}}),
            "unrolls {'K': 2, 'C': 2} over D1, which has size 2",
        ),
        (
            replace(GOOD, levels={"O": (3,), "I": (3,), "W": (3,)}),
            "levels of W are [3]; there must be 2 numbers that do not fall and end with 3, one per memory: "
            "register_W, outer",
        ),
        (replace(GOOD, levels={"O": (3,), "I": (3,)}), "levels of W are []"),
        (replace(GOOD, levels=dict(GOOD.levels) | {"W": (4, 3)}), "levels of W are [4, 3]"),
        (replace(GOOD, levels=dict(GOOD.levels) | {"O": (2,)}), "levels of O are [2]"),
        (
            replace(GOOD, loops=(("C", 2), ("K", 8), ("D", 3))),
            "runs K 8 times; with its unrolling it takes 4",
        ),
        (replace(GOOD, spatial={}), "runs K 4 times; with its unrolling it takes 8"),
        # Eight weights in a register of four.
        (
            replace(GOOD, levels=dict(GOOD.levels) | {"W": (2, 3)}),
            "a memory would have to hold more than its",
        ),
    ],
)
def test_mappings_that_cannot_be_are_refused(wrong: Mapping, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        problem_of().cost_of(wrong)


def test_a_given_mapping_that_needs_the_way_back_is_refused() -> None:
    once = core(
        ONE,
        sums=memory("O", 16, dict.fromkeys(("O from_below", "O to_below", "O to_above"), 16)),
        dram=memory("WIO", 10**6, dict.fromkeys(("W to_below", "I to_below", "O from_below"), 8), ("D1",)),
    )
    loops = (("K", 4), ("C", 6), ("D", 4))
    split = Mapping({"D1": {}}, loops, {"O": (0, 3), "W": (3,), "I": (3,)})
    with pytest.raises(InputError, match="O from_above through memory 'sums', which has no port") as error:
        problem_of(once, d=4, c=6, k=4).cost_of(split)
    assert "add a port that serves 'O from_above'" in error.value.hint


def test_a_costed_mapping_tells_its_parts() -> None:
    """Two weights in each unit's register, which change every two of 24 iterations over a narrow port."""
    found = problem_of().cost_of(GOOD)
    assert found.mapping == GOOD and found.considered == 1 and found.gap is None
    assert found.compute_cycles == 2 * 4 * 3
    # Two units times two weights of a byte take four cycles, and every two cycles there are new ones.
    assert found.stalls == (("outer.port_0", 2 * 11),) and found.stall_cycles == 22
    assert found.onload_cycles == 4
    assert found.ideal_cycles == 3 * 2 * 8 / 2 and found.bound_cycles == 24
    assert found.operation_energy_pj == 3 * 2 * 8


def test_ports_that_wait_longest_come_first_and_what_does_not_move_is_left_out() -> None:
    """A weight comes every cycle and takes two. An output leaves every other cycle and takes three.

    It fills its register, so that it can leave in the second of them alone: a stall of two.
    """
    moves = dict.fromkeys(("O from_below", "O to_above", "O from_above", "O to_below"), WIDE)
    level = core(
        ONE,
        aside=register("W", 8),
        sums=memory("O", 8, moves),
        outer=outer({"O from_below": 3, "W to_below": 4}, ONE),
    )
    mapping = Mapping({}, (("C", 2), ("K", 8)), {"O": (1, 2), "I": (2,), "W": (0, 2)})
    found = problem_of(level, c=2, k=8).cost_of(mapping)
    assert found.stalls == (("outer.port_1", 15 * 1), ("outer.port_0", 7 * 2))
    moved = {(a.memory, a.direction) for a in found.accesses if a.operand == "O"}
    assert moved == {
        ("sums", "from_below"),
        ("sums", "to_below"),
        ("sums", "to_above"),
        ("outer", "from_below"),
    }


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_the_best_of_some_orders_is_the_best_of_each(objective: Objective) -> None:
    """And of equal ones, that which is best by what the objective does not count."""
    problem = problem_of()
    placed = problem.place({"D1": {"K": 2}})
    loops, sizes = all_orders(temporal_factors(placed.remaining, None))
    best = problem.best_of(placed, loops, sizes, objective)
    assert best is not None
    every = [
        problem.best_of(placed, loops[i : i + 1], sizes[i : i + 1], objective) for i in range(len(loops))
    ]
    assert best.values == min(one.values for one in every if one)
    told = problem.solution(best)
    first, second = told.value(objective), told.energy_pj if objective.counts_latency else told.latency_cycles
    assert best.values == (first, second)
    assert problem.cost_of(told.mapping) == told


def test_nothing_is_best_where_nothing_fits() -> None:
    ports = dict.fromkeys(("W to_below", "I to_below", "O to_below", "O from_below"), WIDE)
    tight = problem_of(core(TWO, only=memory("WIO", 8 * 45, ports, ("D1",))))
    placed = tight.place({})
    loops, sizes = all_orders(temporal_factors(placed.remaining, 3))
    # 16 weights, 6 inputs and 24 outputs of a byte are one too many.
    assert tight.best_of(placed, loops, sizes, LATENCY) is None
    what, fix = tight.obstacle(PLAIN)
    assert what == (
        "no mapping of C 2, D 3, K 8 fits: memory 'only' has 360 bits and must hold "
        "192 bits of O and 48 bits of I and 128 bits of W"
    )
    assert "give the memory more size_bits" in fix


def test_sums_that_cannot_come_back_are_best_nowhere() -> None:
    blind = problem_of(
        core(
            TWO, sums=memory("O", 16, dict.fromkeys(("O from_below", "O to_above"), 16)), outer=outer({}, TWO)
        )
    )
    placed = blind.place({})
    loops, sizes = all_orders(temporal_factors(placed.remaining, 3))
    assert blind.best_of(placed, loops, sizes, LATENCY) is None
    what, fix = blind.obstacle(PLAIN)
    assert what == "no mapping of C 2, D 3, K 8 fits the memories"
    assert "partial sums lack a port to come back" in fix


@pytest.mark.parametrize("objective", [LATENCY, ENERGY, EDP], ids=str)
def test_what_does_not_fit_is_worth_nothing_whatever_is_asked_for(objective: Objective) -> None:
    problem = problem_of()
    batch, levels, placed = mapped(NEST, LEVEL, GOOD)
    for fits in (True, False):
        first, second = problem.values(placed, batch, levels, np.array([fits]), objective)
        assert math.isfinite(first[0]) == fits and math.isfinite(second[0])


def test_iterations_take_the_cycles_of_an_operation() -> None:
    slow = LEVEL.model_copy(update={"array": MacArray(dimensions=TWO, operation_cycles=2.5)})
    problem = problem_of(slow)
    assert problem.compute(problem.place({"D1": {"K": 2}})) == 24 * 2.5


def test_an_in_memory_array_has_a_model_of_its_energy() -> None:
    """Precharging depends on the order and comes on top: once per weight that stays, or in each iteration."""
    array = {"D1": 4, "D2": 4}
    imc = Imc(kind="analog", activation_bits=8, weight_bits=8, bits_per_cycle=8, adc_bits=4)
    level = core(array, cells=register("W", 64), outer=outer({}, array))
    level = level.model_copy(update={"array": MacArray(dimensions=array, imc=imc)})
    problem = MappingProblem(Shape(NEST), level, {})
    placed = problem.place({"D1": {"K": 4}, "D2": {"C": 2}})
    rest = sum(array_energy_pj(level, NEST, placed.unrolling, weight_switches=0).values())
    assert problem.array_energy(placed) == pytest.approx(rest)
    levels = {"O": (2,), "I": (2,), "W": (2, 2)}
    still, turning = (
        problem.cost_of(Mapping(placed.unrolling, loops, levels)).operation_energy_pj - rest
        for loops in ((("D", 3), ("K", 2)), (("K", 2), ("D", 3)))
    )
    assert turning == pytest.approx(precharge_pj(level) * NEST.operations) and turning > 0
    assert still == pytest.approx(turning / 3)
