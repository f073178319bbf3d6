from __future__ import annotations

import math

import pytest
from hypothesis import given, settings

from passes.errors import InputError
from targets.cost.model.nest import LoopNest, Shape
from targets.cost.search.engine import Engine
from targets.cost.search.spatial import MAX_CANDIDATES, unrollings
from targets.description.hierarchy import Hierarchy
from targets.description.mapping import MappingRule
from tests.targets.cost.small import LARGE, core, matmul, memory, outer, register
from tests.targets.cost.strategies import hierarchies, nests

TWO = {"D1": 4, "D2": 4}
Factors = dict[str, dict[str, int]]


def found(level: Hierarchy, nest: LoopNest, rule: MappingRule) -> list[Factors]:
    return [
        {d: dict(factors) for d, factors in unrolling.items()}
        for unrolling in unrollings(Shape(nest), level, rule, dict(rule.links))
    ]


def given_only(spatial: Factors, nest: LoopNest, level: Hierarchy | None = None) -> Factors:
    """Return the one unrolling there is when every array dimension is given."""
    level = level or core(TWO, register_W=register("W"), outer=outer({}, TWO))
    (only,) = found(level, nest, MappingRule("default", spatial=spatial))
    return only


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ({"D1": {"K": 4}, "D2": {"C": 4}}, {"D1": {"K": 4}, "D2": {"C": 4}}),
        # More than the layer has, or more than the array.
        ({"D1": {"K": 4}, "D2": {"D": 4}}, {"D1": {"K": 4}, "D2": {"D": 3}}),
        ({"D1": {"K": 32}, "D2": {"C": 4}}, {"D1": {"K": 4}, "D2": {"C": 4}}),
        # Two loops that exceed the dimension together: the later one goes.
        ({"D1": {"K": 4, "C": 2}, "D2": {"D": 3}}, {"D1": {"K": 4}, "D2": {"D": 3}}),
        # A loop over two dimensions beyond its size: the later dimension gives it up.
        ({"D1": {"D": 2}, "D2": {"D": 2}}, {"D1": {"D": 2}, "D2": {}}),
        ({"D1": {"K": 4}, "D2": {"K": 4}}, {"D1": {"K": 4}, "D2": {"K": 4}}),
        # A loop the layer does not have.
        ({"D1": {"OX": 4}, "D2": {"C": 2}}, {"D1": {}, "D2": {"C": 2}}),
    ],
)
def test_given_unrollings_are_clipped(asked: Factors, kept: Factors) -> None:
    assert given_only(asked, matmul(d=3, c=8, k=16)) == kept


def test_a_register_feeds_no_more_elements_than_its_port_carries() -> None:
    """Weights of 8 bits over 16 wires: two columns at once; inputs over 4096: all rows."""
    narrow = memory("W", LARGE, {"W from_above": 64, "W to_below": 16}, ("D1", "D2"))
    level = core(TWO, register_W=narrow, register_I=register("I"), outer=outer({}, TWO))
    wish: Factors = {"D1": {"K": 4}, "D2": {"D": 4}}
    assert given_only(wish, matmul(d=8, k=8), level) == {"D1": {"K": 2}, "D2": {"D": 4}}


def test_a_register_holds_what_it_serves_at_once() -> None:
    """40 bits hold 5 weights of 8: of 4 x 4 the first largest factor falls until 2 x 2 fit."""
    small = register("W", 40, ("D1", "D2"))
    level = core(TWO, register_W=small, outer=outer({}, TWO))
    assert given_only({"D1": {"K": 4}, "D2": {"C": 4}}, matmul(c=8, k=8), level) == {
        "D1": {"K": 2},
        "D2": {"C": 2},
    }


def test_a_search_stays_within_the_hint() -> None:
    level = core(TWO, register_W=register("W"), outer=outer({}, TWO))
    rule = MappingRule("default", hint={"D1": ("K",), "D2": ("C", "D")})
    results = found(level, matmul(d=2, c=2, k=8), rule)
    assert results[0] == {"D1": {"K": 4}, "D2": {"C": 2, "D": 2}}
    for unrolling in results:
        assert set(unrolling["D1"]) <= {"K"} and set(unrolling["D2"]) <= {"C", "D"}


def test_dimensions_left_out_are_searched_around_given_ones() -> None:
    level = core(TWO, register_W=register("W"), outer=outer({}, TWO))
    results = found(level, matmul(d=4, c=4, k=2), MappingRule("default", spatial={"D2": {"C": 4}}))
    assert all(unrolling["D2"] == {"C": 4} for unrolling in results)
    assert {"D1": {"D": 4}, "D2": {"C": 4}} in results
    assert used(results[0]) == 16


def used(unrolling: Factors) -> int:
    return math.prod(f for factors in unrolling.values() for f in factors.values())


@settings(max_examples=60, deadline=None)
@given(hierarchies(), nests)
def test_searched_unrollings_are_legal_distinct_and_sorted(level: Hierarchy, nest: LoopNest) -> None:
    results = found(level, nest, MappingRule("default"))
    assert 1 <= len(results) <= MAX_CANDIDATES
    assert len({str(u) for u in results}) == len(results)
    assert [used(u) for u in results] == sorted((used(u) for u in results), reverse=True)
    for unrolling in results:
        assert list(unrolling) == list(level.array.dimensions)
        for dimension, factors in unrolling.items():
            assert math.prod(factors.values()) <= level.array.dimensions[dimension]
        for loop, size in nest.loops:
            assert math.prod(f.get(loop, 1) for f in unrolling.values()) <= size


def test_the_search_fills_the_array_where_a_layer_can() -> None:
    level = core(TWO, register_W=register("W"), outer=outer({}, TWO))
    best = Engine(level).best(matmul(d=4, c=4, k=4))
    assert best.compute_cycles == best.ideal_cycles == 4


@pytest.mark.parametrize("served", [(), ("D1", "D2")])
def test_a_register_smaller_than_one_element_fits_nothing(served: tuple[str, ...]) -> None:
    level = core(TWO, register_W=register("W", 4, served), outer=outer({}, TWO))
    with pytest.raises(InputError, match="memory 'register_W' has 4 bits and must hold 8 bits of W"):
        Engine(level).best(matmul(d=2, c=3, k=4))
