"""What is known of a graph beside its nodes, and what a copy shares of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.canonical.fold_batchnorm import FoldBatchnorm
from passes.confidence import MARGIN
from passes.heads.designs import CONV, parse_head
from passes.model.graph import from_model
from passes.number_formats import Levels
from passes.state import Decline, Exit, QuantGrid, copy_graph, decline, set_origin, state_of
from tests.passes.equivalence import printed
from tests.passes.net_builder import NetBuilder
from tests.passes.small_nets import chain


def test_an_exit_as_it_stands_in_files() -> None:
    assert Exit("exit_0", "mount", "logits", 0.25, MARGIN, CONV).to_json() == {
        "name": "exit_0",
        "mount": "mount",
        "output": "logits",
        "threshold": 0.25,
        "confidence": "margin",
        "head": "conv",
    }


def test_what_an_exit_reads_stands_in_files_where_it_reads_something() -> None:
    made = Exit("exit_1", "mount", "logits", head=parse_head("conv{kernel=5,reuse=logits}"), reads="exit_0")
    assert made.head_name == "conv{kernel=5,reuse=logits}"
    assert made.to_json() == Exit("exit_1", "mount", "logits").to_json() | {
        "head": "conv{kernel=5,reuse=logits}", "reads": "exit_0"
    }  # fmt: skip
    assert "reads" not in Exit("exit_1", "mount", "logits").to_json()


def test_an_exit_of_the_user_has_no_family_and_no_threshold_yet() -> None:
    plain = Exit("final", "mount", "logits")
    assert plain.head_name == ""
    assert plain.to_json() | {"name": ""} == Exit("", "mount", "logits").to_json()
    assert (plain.to_json()["threshold"], plain.to_json()["confidence"], plain.to_json()["head"]) == (
        None,
        "max_softmax",
        "",
    )


@st.composite
def levels(draw: st.DrawFn) -> Levels:
    bits = draw(st.sampled_from((2, 4, 8)))
    low, high = draw(st.integers(-(2 ** (bits - 1)), -1)), draw(st.integers(1, 2 ** (bits - 1) - 1))
    return Levels(low, high, bits, draw(st.booleans()), draw(st.booleans()))


@given(levels(), levels())
def test_two_sets_of_integers_meet_in_those_of_both(one: Levels, other: Levels) -> None:
    both = one.meet(other)
    common = set(range(one.low, one.high + 1)) & set(range(other.low, other.high + 1))
    assert set(range(both.low, both.high + 1)) == common
    assert both.bits == max(one.bits, other.bits)
    assert both == other.meet(one)
    assert one.meet(one) == one


@pytest.mark.parametrize("other", [False, True])
def test_the_stricter_step_holds_where_two_meet(other: bool) -> None:
    shift, channels = Levels(-1, 1, 2, power_of_two=True), Levels(-1, 1, 2, per_channel=True)
    both = shift.meet(Levels(-1, 1, 2, power_of_two=other))
    assert both.power_of_two, "one that needs a shift still needs it"
    assert channels.meet(Levels(-1, 1, 2, per_channel=other)).per_channel is other


def test_a_graph_has_one_state() -> None:
    graph = from_model(chain())
    state_of(graph).metadata["author"] = "a user"
    assert state_of(graph) is state_of(graph)
    assert state_of(graph).metadata == {"author": "a user"}
    assert state_of(from_model(chain())).metadata == {}


def test_a_copy_has_a_state_of_its_own() -> None:
    graph = from_model(chain())
    state = state_of(graph)
    state.exits = [Exit("final", "mount", "logits")]
    state.grids["x"] = QuantGrid((0.5,), 128, 0, 255, "uint8")
    copy = copy_graph(graph)
    assert state_of(copy) == state
    state_of(copy).exits.append(Exit("other", "mount", "logits"))
    state_of(copy).grids.clear()
    decline(copy, "test", "node", "reason")
    assert [e.name for e in state.exits] == ["final"]
    assert list(state.grids) == ["x"]
    assert state.declined == []


def test_a_copy_shares_the_weights() -> None:
    graph = from_model(chain())
    one = graph.tensors()["const_0"]
    values = one.values  # read from the file's bytes here
    other = copy_graph(graph).tensors()["const_0"]
    assert one is not other
    assert other.values is values


def test_a_copy_is_not_changed_by_passes_on_the_original() -> None:
    net = NetBuilder((1, 3, 4, 4))
    graph = from_model(net.model(net.batchnorm(net.conv("x", 3, 3), 3)))
    copy = copy_graph(graph)
    before = printed(copy)
    assert FoldBatchnorm()(graph)
    assert printed(copy) == before


def test_origins_merge_in_order() -> None:
    graph = from_model(chain())
    set_origin(graph, graph.nodes[0], [graph.nodes[1], graph.nodes[0], graph.nodes[1]])
    assert state_of(graph).origins[graph.nodes[0].name] == (graph.nodes[1].name, graph.nodes[0].name)


def test_a_node_of_unknown_sources_has_no_origin() -> None:
    graph = from_model(chain())
    state_of(graph).origins.clear()
    set_origin(graph, graph.nodes[0], graph.nodes[1:3])
    assert state_of(graph).origins == {graph.nodes[0].name: ()}


def test_a_reason_is_given_once() -> None:
    graph = from_model(chain())
    for reason in ("first", "second", "first"):
        decline(graph, "test", "node", reason)
    assert state_of(graph).declined == [Decline("test", "node", "first"), Decline("test", "node", "second")]
