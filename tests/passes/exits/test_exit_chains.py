"""Heads that read the exit before them: which there are, whose weights they have, what is cut from them."""

from __future__ import annotations

import itertools

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from passes.exits.chain import keep_exits
from passes.exits.exit_chains import add_chained_exits, count_chained
from passes.exits.insert_exits import head_parameters
from passes.exits.mounts import find_mounts
from passes.heads.designs import parse_head
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import Exit, state_of
from tests.passes.equivalence import batch_of, check_shapes, run_model
from tests.passes.small_nets import chain

HEADS = [parse_head(text) for text in ("linear", "linear{reuse=logits}", "mlp{reuse=features}")]


def network(most: int | None = None) -> gs.Graph:
    """Return a network with three heads on each of three mounts; two of them read the exit before."""
    graph = from_model(chain(5))
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    mounts = [mount.tensor for mount in find_mounts(graph)][:3]
    add_chained_exits(graph, dict.fromkeys(mounts, HEADS), 1, most)
    return graph


def ways(exits: list[Exit]) -> list[tuple[str, ...]]:
    """Return of each early exit the mounts and heads that it reads, itself last."""
    by_name = {item.name: item for item in exits}

    def way(item: Exit) -> tuple[str, ...]:
        before = way(by_name[item.reads]) if item.reads else ()
        return (*before, f"{item.mount} {item.head_name}")

    return [way(item) for item in exits[:-1]]


@pytest.mark.parametrize(("most", "count"), [(None, 1 + 3 + 9), (3, 13), (2, 1 + 3 + 5), (1, 3)])
def test_each_head_is_there_once_for_each_chain_it_may_read(most: int | None, count: int) -> None:
    graph = network(most)
    exits = state_of(graph).exits
    assert len(exits) - 1 == count == count_chained([HEADS] * 3, most)
    assert [item.name for item in exits] == [*(f"exit_{k}" for k in range(count)), "final"]
    assert [t.name for t in graph.outputs] == [item.output for item in exits]
    mounts = list(dict.fromkeys(item.mount for item in exits[:-1]))
    expected = {
        tuple(f"{mounts[at]} {head.name}" for at, head in zip(places, found, strict=True))
        for length in range(1, (most or 3) + 1)
        for places in itertools.combinations(range(3), length)
        for found in itertools.product(HEADS[:1], *[HEADS[1:]] * (length - 1))
    }
    assert set(ways(exits)) == expected and len(expected) == count
    check_shapes(graph)


def test_each_pair_has_weights_of_its_own() -> None:
    graph = network()
    read = [item for item in state_of(graph).exits[:-1] if item.reads]
    weights = [head_parameters(graph, item)["gemm.weight"] for item in read]
    for one, other in itertools.combinations(weights, 2):
        assert one.shape != other.shape or not np.array_equal(one, other)
    again = [head_parameters(network(), item)["gemm.weight"] for item in read]
    assert all(np.array_equal(*pair) for pair in zip(weights, again, strict=True)), "seeded"


def test_what_is_cut_answers_as_before() -> None:
    graph, x = network(), batch_of(chain(5), 1)
    whole = dict(zip((t.name for t in graph.outputs), run_model(to_model(graph), x), strict=True))
    exits = {item.name: item for item in state_of(graph).exits}
    for item in list(exits.values())[:-1]:
        names = [item.name]
        while exits[names[0]].reads:
            names.insert(0, exits[names[0]].reads)
        cut = keep_exits(graph, names)
        for name, found in zip((*names, "final"), run_model(to_model(cut), x), strict=True):
            np.testing.assert_array_equal(found, whole[exits[name].output])
