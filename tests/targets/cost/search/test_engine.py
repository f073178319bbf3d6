"""The engine: what it answers, and what must hold for any small core, layer and mapping."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from passes.errors import InputError
from targets.cost.model.allocation import allocate
from targets.cost.model.batch import Batch
from targets.cost.model.nest import LoopNest, Shape
from targets.cost.model.solution import Solution
from targets.cost.model.unrolling import EXACT, RULES, Placed, place
from targets.cost.search.engine import Engine, too_many_orders
from targets.cost.search.orderings import all_orders, temporal_factors
from targets.cost.search.problem import BestOrder, MappingProblem
from targets.description.hierarchy import Hierarchy
from targets.description.mapping import Mapping, MappingRule, NoMappingError
from targets.objective import EDP, ENERGY, LATENCY, Objective
from tests.targets.cost.every_mapping import least_value
from tests.targets.cost.small import WIDE, core, matmul, memory, outer, register
from tests.targets.cost.strategies import Case, cases, hierarchies, nests

few = settings(max_examples=12, deadline=None)
some = settings(max_examples=120, deadline=None)
SWAP = {"OX": "OY", "OY": "OX", "FX": "FY", "FY": "FX"}
# Every loop is a factor, so that more of them would be thousands of orders.
short_nests = nests.filter(lambda nest: sum(size > 1 for _, size in nest.loops) <= 4)
OBJECTIVES = (LATENCY, ENERGY, EDP)

PLAIN = MappingRule("plain", spatial={"D1": {}})
SUMS = dict.fromkeys(("O from_below", "O to_above", "O from_above", "O to_below"), 16)
SMALL = core(
    {"D1": 1},
    sums=memory("O", 16, SUMS),
    register_W=register("W", 24),
    outer=outer({"W to_below": 8, "I to_below": 8, "O from_below": 8}, {"D1": 1}),
)


def under_a_buffer(register_bits: int, buffer_bits: int) -> Hierarchy:
    """Return a register of weights under a buffer of weights and inputs, and a dear outer memory."""
    moves = dict.fromkeys(("W from_above", "W to_below", "I from_above", "I to_below"), 8)
    narrow = dict.fromkeys(("W to_below", "I to_below", "O from_below", "O to_below"), 8)
    return core(
        {"D1": 1},
        register_W=memory("W", register_bits, {"W from_above": 8, "W to_below": 8}, energy_pj=0.1),
        sums=memory("O", 16, SUMS, energy_pj=0.1),
        buffer=memory("WI", buffer_bits, moves, ("D1",)),
        outer=memory("WIO", 10**6, narrow, ("D1",), energy_pj=9.0),
    )


@pytest.mark.parametrize(("register_bits", "buffer_bits"), [(32, 40), (64, 32)])
def test_the_energy_of_a_search_is_the_least_of_all_mappings(register_bits: int, buffer_bits: int) -> None:
    """Also where taking all that fits from the inside is not best, or leaves inputs no place outside."""
    level, nest = under_a_buffer(register_bits, buffer_bits), matmul(d=2, c=4, k=4)
    problem = MappingProblem(Shape(nest), level, {})
    placed = problem.place({})
    least = least_value(problem, placed, ENERGY)
    greedy = problem.best_of(placed, *all_orders(temporal_factors(placed.remaining, 6)), ENERGY)
    assert greedy is None or greedy.values[0] > least
    limited, full = (Engine(level, limit).best(nest, ENERGY, PLAIN) for limit in (6, None))
    assert limited.energy_pj == pytest.approx(least) and limited.gap is None
    assert full.energy_pj == pytest.approx(least) and full.gap == 0


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_a_layer_that_no_order_fits_greedily_has_a_mapping_yet(objective: Objective) -> None:
    """The register takes all weights it can, and the buffer has no room for them and an input."""
    found = Engine(under_a_buffer(64, 40)).best(matmul(d=4, c=4, k=4), objective, PLAIN)
    assert found == replace(
        Engine(under_a_buffer(64, 40)).cost(matmul(d=4, c=4, k=4), found.mapping), considered=found.considered
    )


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_free_unrollings_are_no_worse_than_any_given(objective: Objective) -> None:
    lanes = {"D1": 4}
    level = core(
        lanes,
        register_W=register("W", 24),
        sums=memory("O", 16, SUMS),
        outer=outer({"W to_below": 32, "O from_below": 8}, lanes),
    )
    nest = matmul(d=4, c=4, k=4)
    free = Engine(level).best(nest, objective).value(objective)
    given_ones = [
        Engine(level).best(nest, objective, MappingRule("x", spatial={"D1": {loop: factor}})).value(objective)
        for loop in "DCK"
        for factor in (1, 2, 4)
    ]
    assert free == pytest.approx(min(given_ones)) and free < max(given_ones)


def test_equal_questions_are_answered_once() -> None:
    """Rules of another name, and unrollings in another order, are the same question; other wishes are not."""
    engine = Engine(SMALL)
    nest = matmul(d=4, c=4, k=2)
    first = engine.best(nest, LATENCY, PLAIN)
    assert engine.best(nest, LATENCY, replace(PLAIN, name="other")) is first
    assert engine.best(matmul(d=4, c=4, k=2), LATENCY, PLAIN) is first
    for other in (
        engine.best(nest, ENERGY, PLAIN),
        engine.best(nest, LATENCY, replace(PLAIN, order=(("K", 2),))),
        engine.best(nest, LATENCY, MappingRule("free")),
        engine.best(nest, LATENCY, replace(PLAIN, links={"W": "I", "I": "W"})),
        engine.best(nest, LATENCY, replace(PLAIN, hint={"D1": ("K",)})),
        engine.best(nest, LATENCY, replace(PLAIN, fixed=first.mapping)),
    ):
        assert other is not first
    assert Engine(SMALL, memo=None).best(nest, LATENCY, PLAIN) == first


def test_a_fixed_mapping_is_costed_and_not_searched() -> None:
    nest = matmul(d=4, c=4, k=2)
    worst = Mapping({"D1": {}}, (("K", 2), ("C", 4), ("D", 4)), {"O": (0, 3), "I": (3,), "W": (0, 3)})
    rule = replace(PLAIN, fixed=worst)
    found = Engine(SMALL, None).best(nest, ENERGY, rule)
    assert found == Engine(SMALL).cost(nest, worst) and found.considered == 1
    assert found.energy_pj > Engine(SMALL).best(nest, ENERGY, PLAIN).energy_pj
    with pytest.raises(InputError, match="the mapping runs K 2 times"):
        Engine(SMALL).best(matmul(d=4, c=4, k=4), ENERGY, rule)


def test_operands_may_use_the_memories_of_another() -> None:
    """Inputs in the register of the weights, weights in none."""
    rule = replace(PLAIN, links={"W": "I", "I": "W"})
    found = Engine(SMALL).best(matmul(d=4, c=4, k=2), ENERGY, rule)
    assert {access.memory for access in found.accesses if access.operand == "I"} == {"register_W", "outer"}
    assert {access.memory for access in found.accesses if access.operand == "W"} == {"outer"}
    assert Engine(SMALL).cost(matmul(d=4, c=4, k=2), found.mapping, rule).energy_pj == found.energy_pj


def test_equal_values_are_decided_by_the_other() -> None:
    """All orders take as long where ports are wide: of them, the one of least energy."""
    wide = core({"D1": 1}, register_W=register("W", 16), outer=outer({}, {"D1": 1}))
    nest = matmul(d=4, c=3, k=2)
    best = Engine(wide).best(nest, LATENCY, PLAIN)
    for order in itertools.permutations((("C", 3), ("D", 4), ("K", 2))):
        other = Engine(wide).best(nest, LATENCY, replace(PLAIN, order=order))
        assert (best.latency_cycles, best.energy_pj) <= (other.latency_cycles, other.energy_pj)


def test_layers_with_too_many_orders_are_searched_in_full() -> None:
    """Nine loops have at least 362,880 orders, whatever the limit; 18 factors of two kinds have 48,620."""
    placed = Placed({}, (2, 3, 5, 7, 11, 13, 17, 19, 23), {}, {})
    candidate = BestOrder((0.0, 0.0), placed, np.zeros(0, np.int64), np.zeros(0, np.int64), {})
    assert too_many_orders(candidate, 6)
    two_kinds = replace(candidate, placed=replace(placed, remaining=(2**9, 3**9)))
    assert not too_many_orders(two_kinds, 6) and not too_many_orders(two_kinds, 18)
    one_more = replace(candidate, placed=replace(placed, remaining=(2**9, 3**10)))
    assert not too_many_orders(one_more, 6) and too_many_orders(one_more, 19)


def test_a_layer_that_fits_nowhere_says_which_memory_is_short() -> None:
    ports = dict.fromkeys(("W to_below", "I to_below", "O to_below", "O from_below"), 64)
    tight = core({"D1": 1}, only=memory("WIO", 100, ports, ("D1",)))
    with pytest.raises(NoMappingError, match="memory 'only' has 100 bits") as error:
        Engine(tight).best(matmul(d=4, c=4, k=2), LATENCY, PLAIN)
    assert "size_bits" in error.value.hint


@pytest.mark.parametrize("limit", [6, None])
@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_what_reduces_stays_below_a_memory_without_a_way_back(
    objective: Objective, limit: int | None
) -> None:
    once = core(
        {"D1": 1},
        sums=memory("O", 16, dict.fromkeys(("O from_below", "O to_below", "O to_above"), 16)),
        dram=memory("WIO", 10**6, dict.fromkeys(("W to_below", "I to_below", "O from_below"), 8), ("D1",)),
    )
    found = Engine(once, limit).best(matmul(4, 6, 4), objective, PLAIN)
    reduced = found.mapping.loops[: found.mapping.levels["O"][0]]
    assert sorted(factor for loop, factor in reduced if loop == "C") in ([2, 3], [6])
    assert all(access.direction != "from_above" for access in found.accesses)


def test_sums_that_cannot_be_added_up_fit_nothing() -> None:
    blind = core(
        {"D1": 1},
        sums=memory("O", 16, dict.fromkeys(("O from_below", "O to_above"), 16)),
        dram=outer({}, {"D1": 1}),
    )
    with pytest.raises(NoMappingError, match="no mapping of"):
        Engine(blind).best(matmul(4, 6, 4), LATENCY, PLAIN)


def cost(case: Case) -> Solution:
    return Engine(case.core).cost(case.nest, case.mapping)


def faster_ports(core: Hierarchy, factor: int) -> Hierarchy:
    """Return the core with all bandwidths times ``factor``."""
    memories = {}
    for name, level in core.memories.items():
        ports = tuple(
            p.model_copy(update={"bandwidth_bits_per_cycle": p.bandwidth_bits_per_cycle * factor})
            for p in level.ports
        )
        memories[name] = level.model_copy(update={"ports": ports})
    return core.model_copy(update={"memories": memories})


@pytest.mark.slow
@some
@given(cases(), st.integers(2, 5))
def test_more_bandwidth_never_stalls_longer(case: Case, factor: int) -> None:
    """First loads are left out: the rule of hiding them is not monotone, see test_counterexamples."""
    slow, fast = cost(case), cost(replace(case, core=faster_ports(case.core, factor)))
    assert fast.compute_cycles == slow.compute_cycles
    assert fast.stall_cycles <= slow.stall_cycles


@pytest.mark.slow
@some
@given(cases())
def test_no_mapping_is_cheaper_than_its_arithmetic(case: Case) -> None:
    found = cost(case)
    assert found.energy_pj >= found.operation_energy_pj
    assert found.latency_cycles >= found.ideal_cycles
    assert 0 < found.utilization <= 1
    assert min(found.stall_cycles, found.onload_cycles, found.offload_cycles) >= 0


@pytest.mark.slow
@some
@given(cases(whole=True))
def test_no_mapping_without_remainders_beats_the_roofline(case: Case) -> None:
    """With remainders the reference moves fewer elements than there are, see test_counterexamples."""
    found = cost(case)
    assert found.latency_cycles >= found.bound_cycles


def swapped(nest: LoopNest) -> LoopNest:
    """Return the nest with the names of its two spatial axes exchanged."""
    return LoopNest(
        tuple((SWAP.get(name, name), size) for name, size in nest.loops),
        nest.operands,
        tuple((op, frozenset(SWAP.get(n, n) for n in names)) for op, names in nest.relevant),
        tuple(replace(w, outer=SWAP[w.outer], inner=SWAP[w.inner]) for w in reversed(nest.windows)),
        nest.bits,
    )


@pytest.mark.slow
@some
@given(cases())
def test_names_of_axes_do_not_matter(case: Case) -> None:
    mapping = Mapping(
        {d: {SWAP.get(n, n): f for n, f in factors.items()} for d, factors in case.mapping.spatial.items()},
        tuple((SWAP.get(n, n), f) for n, f in case.mapping.loops),
        case.mapping.levels,
    )
    found, other = cost(case), cost(Case(case.core, swapped(case.nest), mapping))
    assert replace(other, mapping=case.mapping) == replace(found, mapping=case.mapping)


@pytest.mark.slow
@some
@given(cases(), st.randoms(use_true_random=False))
def test_order_in_which_a_nest_lists_its_loops_does_not_matter(case: Case, random: object) -> None:
    loops = list(case.nest.loops)
    random.shuffle(loops)  # type: ignore[attr-defined]
    found, other = cost(case), cost(replace(case, nest=replace(case.nest, loops=tuple(loops))))
    assert other.latency_cycles == found.latency_cycles
    assert other.energy_pj == pytest.approx(found.energy_pj)


def search(engine: Engine, nest: LoopNest, objective: Objective = LATENCY) -> Solution | None:
    try:
        return engine.best(nest, objective)
    except InputError:
        return None


@pytest.mark.slow
@few
@given(hierarchies(), short_nests, st.sampled_from(OBJECTIVES))
def test_memory_of_answers_changes_none_and_searches_repeat(
    core: Hierarchy, nest: LoopNest, objective: Objective
) -> None:
    with_memo, without = Engine(core, lpf_limit=4), Engine(core, lpf_limit=4, memo=None)
    first, again = search(with_memo, nest, objective), search(with_memo, nest, objective)
    assert again is first
    assert search(without, nest, objective) == first
    if first is not None:
        stated = Engine(core).cost(nest, first.mapping)
        assert replace(stated, considered=first.considered) == first


@pytest.mark.slow
@few
@given(hierarchies(), short_nests)
def test_each_objective_is_best_at_its_own(core: Hierarchy, nest: LoopNest) -> None:
    """The search for energy also covers allocations that the reference's rule, and the others, pass over."""
    engine = Engine(core, lpf_limit=4)
    found = {objective: search(engine, nest, objective) for objective in OBJECTIVES}
    for objective, other in itertools.permutations(OBJECTIVES, 2):
        best, beside = found[objective], found[other]
        if best is None or beside is None:
            assert best is beside
        elif other.counts_latency:
            assert best.value(objective) <= beside.value(objective) * (1 + 1e-12)


@pytest.mark.slow
@few
@given(hierarchies(), short_nests)
def test_search_equals_one_order_at_a_time(core: Hierarchy, nest: LoopNest) -> None:
    """With nothing unrolled, the best is the least over all orders of the factors, each allocated alone."""
    idle: dict[str, dict[str, int]] = {d: {} for d in core.array.dimensions}
    best: float = math.inf
    shape = Shape(nest)
    placed = place(shape, core, idle, {})
    for order in set(itertools.permutations(temporal_factors(placed.remaining, 4))):
        loops = np.array([[loop for loop, _ in order]], np.int64).reshape(1, -1)
        sizes = np.array([[size for _, size in order]], np.int64).reshape(1, -1)
        levels, fits = allocate(Batch(shape, loops, sizes), core, placed, {})
        if fits[0]:
            names = tuple((shape.names[loop], size) for loop, size in order)
            mapping = Mapping(idle, names, {op: tuple(int(x[0]) for x in levels[op]) for op in levels})
            best = min(best, Engine(core).cost(nest, mapping).latency_cycles)
    try:
        found = Engine(core, lpf_limit=4).best(nest, rule=MappingRule("default", spatial=idle)).latency_cycles
    except InputError:
        found = math.inf
    assert found == best


@settings(max_examples=150, deadline=None)
@given(cases())
def test_no_layer_is_faster_than_its_data_or_its_work_allows(case: Case) -> None:
    """By the rules `exact`, with all remainders, windows, strides and dilations; energy is that of ZigZag."""
    exact, theirs = (Engine(case.core, rules=rules).cost(case.nest, case.mapping) for rules in RULES)
    assert exact.latency_cycles >= exact.bound_cycles, "MACs over the peak, bytes over the bandwidth"
    assert exact.energy_pj == theirs.energy_pj and exact.compute_cycles == theirs.compute_cycles


@settings(max_examples=30, deadline=None)
@given(cases(), st.sampled_from(OBJECTIVES))
def test_searches_keep_the_bound_by_the_rules_they_are_given(case: Case, objective: Objective) -> None:
    for limit in (4, None):
        engine = Engine(case.core, limit, rules=EXACT)
        found = engine.best(case.nest, objective, MappingRule("default", spatial=case.mapping.spatial))
        assert found.latency_cycles >= found.bound_cycles
        assert engine.cost(case.nest, found.mapping).latency_cycles == found.latency_cycles
        assert found.gap is None or found.gap >= 0


def test_what_an_unrolling_leaves_over_is_moved_in_full() -> None:
    """Of 20 results over eight units 6.67 a turn: 20 elements come in three turns, not 18."""
    level = core(
        {"D1": 8},
        register_O=memory("O", 8, {"O from_below, O to_above": WIDE}),
        outer=outer({"O from_below": 8}, {"D1": 8}),
    )
    rule = MappingRule("default", spatial={"D1": {"K": 8}})
    exact, theirs = (Engine(level, rules=rules).best(matmul(k=20), LATENCY, rule) for rules in RULES)
    assert theirs.latency_cycles < 20 <= exact.latency_cycles
    assert exact.bound_cycles == theirs.bound_cycles == 20


def test_a_layer_with_remainders_is_looked_at_again_in_prime_factors() -> None:
    """Ten results in three turns of four units; the four products of each are one factor at this limit."""
    level = core(
        {"D1": 4},
        weights=register("W", 128),
        dram=outer({"W to_below": 8, "O from_below": 8}, {"D1": 4}),
    )
    rule = MappingRule("given", spatial={"D1": {"K": 4}})
    exact, theirs = (Engine(level, 2, rules=rules) for rules in RULES)
    odd, even = matmul(c=4, k=10), matmul(c=4, k=12)
    problem = MappingProblem(Shape(odd), level, {}, EXACT)
    placed = problem.place(rule.spatial)
    merged = problem.best_of(placed, *all_orders(temporal_factors(placed.remaining, 2)), LATENCY)
    found = exact.best(odd, LATENCY, rule)
    assert merged is not None and merged.values[0] == 57 and found.latency_cycles == 49
    assert sorted(found.mapping.loops) == [("C", 2), ("C", 2), ("K", 3)]
    assert found.considered > theirs.best(odd, LATENCY, rule).considered
    assert sorted(exact.best(even, LATENCY, rule).mapping.loops) == [("C", 4), ("K", 3)], (
        "nothing is left over"
    )
    assert exact.best(odd, ENERGY, rule).mapping == theirs.best(odd, ENERGY, rule).mapping
    ordered = replace(rule, order=(("C", 4), ("K", 3)))
    assert exact.best(odd, LATENCY, ordered).mapping.loops == (("C", 4), ("K", 3))


@settings(max_examples=40, deadline=None)
@given(
    hierarchies(),
    nests,
    st.sampled_from([LATENCY, EDP, ENERGY]),
    st.lists(st.integers(64, 70_000), min_size=2, max_size=3),
)
def test_more_room_in_the_buffer_never_makes_a_layer_worse(
    level: Hierarchy, nest: LoopNest, objective: Objective, sizes: list[int]
) -> None:
    assume("buffer" in level.memories and next(iter(level.memories)) != "buffer")
    found = []
    for size_bits in sorted(sizes):
        buffer = level.memories["buffer"].model_copy(update={"size_bits": size_bits})
        memories = {**level.memories, "buffer": buffer}
        larger = level.model_copy(update={"memories": memories})
        engine = Engine(larger, lpf_limit=4, rules=EXACT)
        rule = MappingRule("default", {d: {} for d in level.array.dimensions})
        try:
            best = engine.best(nest, objective, rule)
        except NoMappingError:
            found.append(math.inf)
        else:
            found.append(objective.value(best.energy_pj, best.latency_cycles))
    assert all(more <= less * (1 + 1e-9) for less, more in itertools.pairwise(found)), found
