from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passes.errors import InputError
from targets.cost.model.nest import Shape
from targets.cost.search.engine import Engine
from targets.cost.search.orderings import order_count, temporal_factors
from targets.cost.search.orders_given import ANY, given_orders
from targets.description.mapping import MappingRule
from tests.targets.cost.small import core, matmul, outer, register

SHAPE = Shape(matmul(d=4, c=6, k=8))
LEFT = tuple(SHAPE.nest.sizes.values())
Order = tuple[tuple[str, int | None], ...]


def orders(
    order: Order, limit: int | None = 6, remaining: tuple[int, ...] = LEFT
) -> set[tuple[tuple[str, int], ...]]:
    loops, sizes = given_orders(SHAPE, remaining, order, limit)
    found = [
        tuple((SHAPE.names[i], int(size)) for i, size in zip(a, b, strict=True))
        for a, b in zip(loops, sizes, strict=True)
    ]
    assert len(set(found)) == len(found)
    return set(found)


def test_a_complete_order_leaves_one() -> None:
    order: Order = (("K", 2), ("C", 6), ("D", 4), ("K", 4))
    assert orders(order) == {order}


def test_an_inner_order_leaves_the_outer_loops_open() -> None:
    found = orders((("K", 8), ("C", 6)))
    assert found == {(("K", 8), ("C", 6), ("D", 2), ("D", 2))}


def test_loops_after_a_star_are_outermost() -> None:
    found = orders((("C", 6), (ANY, None), ("K", 8)))
    assert found == {(("C", 6), ("D", 2), ("D", 2), ("K", 8))}


def test_an_open_factor_takes_any_there_is() -> None:
    found = orders((("C", None), (ANY, None), ("C", None)), remaining=(6, 1, 2))
    assert found == {(("C", 2), ("K", 2), ("C", 3)), (("C", 3), ("K", 2), ("C", 2))}


def test_loops_the_layer_has_not_are_passed_over() -> None:
    assert orders((("FX", 3), ("K", 8), ("OX", None), ("C", 6), ("D", 4))) == {(("K", 8), ("C", 6), ("D", 4))}
    # Loops whose iterations are all unrolled or given away have nothing left either.
    assert orders((("D", 2), ("K", 8), ("C", 6)), remaining=(6, 1, 8)) == {(("K", 8), ("C", 6))}


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ((("K", 3),), "K the factor 3.* 8 iterations"),
        ((("K", 4), ("K", 4)), "K the factor 4.* 2 iterations"),
        ((("C", None),) * 3, "no order of the loops agrees"),
        ((("C", None),) * 9, "names more loops than the layer has factors"),
    ],
)
def test_orders_that_cannot_be_met_say_so(order: Order, message: str) -> None:
    with pytest.raises(InputError, match=message):
        orders(order)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(("D", "C", "K")), st.sampled_from((None, 2, 3))), max_size=3),
    st.lists(st.tuples(st.sampled_from(("D", "C", "K")), st.sampled_from((None, 2))), max_size=2),
    st.integers(1, 6),
)
def test_every_order_agrees_and_covers_the_layer(
    inner: list[tuple[str, int | None]], outermost: list[tuple[str, int | None]], limit: int
) -> None:
    try:
        found = orders((*inner, (ANY, None), *outermost), limit)
    except InputError:
        return
    for order in found:
        for loop, size in zip(SHAPE.names, LEFT, strict=True):
            assert math.prod(f for name, f in order if name == loop) == size


def test_without_wishes_the_orders_are_those_of_the_search() -> None:
    assert len(orders(())) == order_count(temporal_factors(LEFT, 6))


def test_the_engine_keeps_a_given_order() -> None:
    one = {"D1": 1}
    engine = Engine(core(one, register_W=register("W"), outer=outer({"W to_below": 8}, one)))
    nest = matmul(d=4, c=6, k=8)
    for order in ((("K", 8), ("C", 6), ("D", 4)), (("D", 4), ("C", 6), ("K", 8))):
        best = engine.best(nest, rule=MappingRule("default", order=order))
        assert best.mapping.loops == order and best.considered == 1
    free = engine.best(nest)
    assert free.latency_cycles <= best.latency_cycles


def test_an_order_given_in_full_is_the_only_one() -> None:
    """Twelve factors have 39,916,800 orders; none but the given one is looked at."""
    shape = Shape(matmul(d=64, c=64, k=1))
    order = tuple((loop, 2) for loop in "CDCDCDCDCDCD")
    loops, sizes = given_orders(shape, (64, 64, 1), order, 6)
    assert loops.shape == (1, 12) and set(sizes[0]) == {2}
    assert [shape.names[i] for i in loops[0]] == list("CDCDCDCDCDCD")
