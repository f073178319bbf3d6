from __future__ import annotations

from collections.abc import Callable

import onnx_graphsurgeon as gs
import pytest

from eecompile.run.exits_by_cost import SPARE_MOUNTS, choose_exits, with_exits
from passes.errors import InputError, NoSolutionError
from passes.exits.mounts import find_mounts
from passes.heads.designs import CONV, LINEAR, parse_head
from passes.model.graph import from_model
from passes.registry import parse_pipeline
from passes.state import state_of
from tests.passes.small_nets import chain
from tests.passes.token_nets import vit


def network(convs: int = 7) -> gs.Graph:
    graph = from_model(chain(convs))
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    return graph


def priced(paths: dict[tuple[str, str], float], asked: list[tuple[str, str]]) -> Callable[[gs.Graph], float]:
    """Return costs by mount and head, 1 for the network without exits; what has none cannot be placed."""
    names = {mount.tensor: mount.name for mount in find_mounts(network())}

    def value(graph: gs.Graph) -> float:
        early = state_of(graph).exits[:-1]
        if not early:
            return 1.0
        assert early[0].head is not None
        key = names[early[0].mount], early[0].head.name
        asked.append(key)
        if key not in paths:
            raise NoSolutionError(f"{key} cannot be placed", "")
        return paths[key]

    return value


def ranked() -> list[str]:
    return [m.name for m in sorted((m for m in find_mounts(network()) if m.ok), key=lambda m: m.rank or 0)]


def every(linear: float, conv: float) -> dict[tuple[str, str], float]:
    return {(name, kind): value for name in ranked() for kind, value in (("linear", linear), ("conv", conv))}


def test_each_mount_gets_the_cheapest_head_and_the_ranking_decides_among_those_that_save() -> None:
    first, second, *_ = ranked()
    prices = every(0.5, 0.6) | {(second, "conv"): 0.1}
    chosen = choose_exits(network(), 2, None, priced(prices, []))
    assert {item.mount: (item.head.name, item.path) for item in chosen} == {
        first: ("linear", 0.5),
        second: ("conv", 0.1),
    }


def test_mounts_whose_path_saves_nothing_are_passed_over() -> None:
    first, second, third, *_ = ranked()
    prices = every(0.5, 0.6) | {(first, "linear"): 1.2, (first, "conv"): 1.0}
    chosen = choose_exits(network(), 2, None, priced(prices, []))
    assert {item.mount for item in chosen} == {second, third}


def test_where_none_saves_the_cheapest_of_those_looked_at_are_taken() -> None:
    names = ranked()
    prices = every(3.0, 4.0) | {(names[2], "linear"): 1.5}
    asked: list[tuple[str, str]] = []
    chosen = choose_exits(network(), 1, None, priced(prices, asked))
    assert [(item.mount, item.path) for item in chosen] == [(names[2], 1.5)]
    assert {mount for mount, _ in asked} == set(names[: 1 + SPARE_MOUNTS])


def test_a_head_that_cannot_be_placed_is_no_candidate() -> None:
    first, *_ = ranked()
    prices = every(0.5, 0.6)
    del prices[first, "linear"]
    [chosen] = choose_exits(network(), 1, None, priced(prices, []))
    assert (chosen.mount, chosen.head) == (first, CONV)
    with pytest.raises(NoSolutionError, match="cannot be placed"):
        choose_exits(network(), 1, None, priced({}, []))


def test_a_head_that_was_asked_for_is_the_only_one_tried() -> None:
    asked: list[tuple[str, str]] = []
    [chosen] = choose_exits(network(), 1, CONV, priced(every(0.5, 0.6), asked))
    assert chosen.head == CONV and {head for _, head in asked} == {"conv"}


def test_chosen_exits_stand_in_the_order_of_the_network() -> None:
    chosen = choose_exits(network(), 3, None, priced(every(0.5, 0.6), []))
    order = [mount.name for mount in find_mounts(network()) if mount.ok]
    places = [order.index(item.mount) for item in chosen]
    assert places == sorted(places) and len(places) == 3


@pytest.mark.parametrize("count", [0, -1, 50])
def test_more_exits_than_mounts_are_refused(count: int) -> None:
    with pytest.raises(InputError, match="exits"):
        choose_exits(network(), count, None, priced(every(0.5, 0.6), []))


def test_each_exit_has_the_head_it_was_given() -> None:
    first, second, *_ = ranked()
    graph = with_exits(network(), [(first, CONV), (second, LINEAR)])
    names = {mount.tensor: mount.name for mount in find_mounts(network())}
    early = state_of(graph).exits[:-1]
    assert {names[e.mount]: e.head.name for e in early if e.head} == {first: "conv", second: "linear"}
    assert [e.name for e in early] == ["exit_0", "exit_1"]


def test_heads_that_reuse_are_costed_alone_and_the_first_reuses_nothing() -> None:
    asked: list[tuple[str, str]] = []
    chosen = choose_exits(network(), 2, parse_head("conv{reuse=logits}"), priced(every(0.5, 0.6), asked))
    assert {head for _, head in asked} == {"conv"}
    assert [item.head.name for item in chosen] == ["conv", "conv{reuse=logits}"]
    graph = with_exits(network(), [(item.mount, item.head) for item in chosen])
    assert [e.reads for e in state_of(graph).exits] == ["", "exit_0", ""]


def test_mounts_that_a_head_does_not_read_are_passed_over() -> None:
    graph = from_model(vit())
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    [chosen] = choose_exits(graph, 1, parse_head("separable"), lambda made: 1.0 / len(made.outputs))
    assert chosen.mount == "conv_0", "all other mounts are tokens"
    with pytest.raises(
        InputError, match=r"an exit at '.+': head 'separable' reads no features with no spatial"
    ):
        choose_exits(graph, 2, parse_head("separable"), lambda made: 1.0 / len(made.outputs))
