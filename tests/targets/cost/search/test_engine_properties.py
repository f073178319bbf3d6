"""What must hold for any small core, layer and mapping."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passes.errors import InputError
from targets.cost.model.allocation import allocate
from targets.cost.model.batch import Batch
from targets.cost.model.nest import LoopNest, Shape
from targets.cost.model.solution import Solution
from targets.cost.model.unrolling import place
from targets.cost.search.engine import Engine
from targets.cost.search.orderings import temporal_factors
from targets.description.hierarchy import Hierarchy
from targets.description.mapping import Mapping, MappingRule
from targets.objective import EDP, ENERGY, LATENCY, Objective
from tests.targets.cost.strategies import Case, cases, hierarchies, nests

few = settings(max_examples=12, deadline=None)
some = settings(max_examples=120, deadline=None)
SWAP = {"OX": "OY", "OY": "OX", "FX": "FY", "FY": "FX"}
# Every loop is a factor, so that more of them would be thousands of orders.
short_nests = nests.filter(lambda nest: sum(size > 1 for _, size in nest.loops) <= 4)
pytestmark = pytest.mark.slow
OBJECTIVES = (LATENCY, ENERGY, EDP)


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


@some
@given(cases(), st.integers(2, 5))
def test_more_bandwidth_never_stalls_longer(case: Case, factor: int) -> None:
    """First loads are left out: the rule of hiding them is not monotone, see test_counterexamples."""
    slow, fast = cost(case), cost(replace(case, core=faster_ports(case.core, factor)))
    assert fast.compute_cycles == slow.compute_cycles
    assert fast.stall_cycles <= slow.stall_cycles


@some
@given(cases())
def test_no_mapping_is_cheaper_than_its_arithmetic(case: Case) -> None:
    found = cost(case)
    assert found.energy_pj >= found.operation_energy_pj
    assert found.latency_cycles >= found.ideal_cycles
    assert 0 < found.utilization <= 1
    assert min(found.stall_cycles, found.onload_cycles, found.offload_cycles) >= 0


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
