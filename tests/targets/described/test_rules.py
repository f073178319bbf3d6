"""Which rule of a mapping file a layer follows, the cores that leaves, and what of it comes to nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from targets.described.rules import allowed_cores, chosen_rule, foreign_loops, idle_rules
from targets.description.mapping import DEFAULT_RULE, MappingRule
from targets.network.workload import build_workload
from targets.testing.conformance import sample_layer
from tests.targets.graphs import graph_of

CONV, POOL = sample_layer("Conv"), sample_layer("MaxPool")
CHAIN = """
n (float[1,4,8,8] x) => (float[1,8,8,8] z) <float[8,4,3,3] v, float[8,8,3,3] w> {
  y = Conv<pads=[1,1,1,1]>(x, v)
  z = Conv<pads=[1,1,1,1]>(y, w)
}
"""
LAYERS = build_workload(graph_of(CHAIN)).layers


def test_rules_go_by_layer_then_node_then_operator() -> None:
    rules = tuple(MappingRule(name) for name in ("sample", "stem", "Conv", "default"))
    assert chosen_rule(replace(CONV, origin=("stem",)), rules).name == "sample"
    assert chosen_rule(replace(CONV, name="conv_0", origin=("stem",)), rules).name == "stem"
    assert chosen_rule(replace(CONV, name="conv_0", origin=()), rules).name == "Conv"
    assert chosen_rule(replace(CONV, name="relu_0", op_type="Relu", origin=()), rules).name == "default"
    assert chosen_rule(CONV, ()) is DEFAULT_RULE


@pytest.mark.parametrize("name", ["Pooling", "Pool"])
def test_a_rule_of_all_poolings_binds_each_of_them(name: str) -> None:
    default, rule, own = MappingRule("default"), MappingRule(name), MappingRule("MaxPool")
    for op in ("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"):
        assert chosen_rule(sample_layer(op), (default, rule)) is rule
    assert chosen_rule(POOL, (rule, own)) is own, "its own rule is nearer"
    assert chosen_rule(CONV, (default, rule)) is default
    assert chosen_rule(CONV, (rule,)) is DEFAULT_RULE


def test_what_the_target_says_counts_where_the_user_says_nothing() -> None:
    users, targets, default = MappingRule("Conv"), MappingRule("MaxPool"), MappingRule("default")
    own = (targets, MappingRule("Conv"))
    assert chosen_rule(CONV, (users,), own) is users
    assert chosen_rule(POOL, (users,), own) is targets
    assert chosen_rule(POOL, (users, default), own) is default, "a default of the user is a word on all"
    assert chosen_rule(replace(POOL, origin=("stem",)), (), (MappingRule("stem"),)) is DEFAULT_RULE


@pytest.mark.parametrize(
    ("name", "cores", "running", "allowed"),
    [
        ("Conv", (), "ab", ()),
        ("Conv", (2, 0), "ab", ("c", "a")),
        ("Conv", (2,), "ab", ("c",)),
        ("default", (2,), "ab", ()),
        ("default", (1, 2), "ab", ("b", "c")),
    ],
)
def test_a_default_binds_what_one_of_its_cores_runs(
    name: str, cores: tuple[int, ...], running: str, allowed: tuple[str, ...]
) -> None:
    rule = MappingRule(name, cores=cores)
    assert allowed_cores(rule, {core: core in running for core in "abc"}) == allowed


def test_rules_no_layer_follows_are_named_but_for_a_default() -> None:
    rules = tuple(MappingRule(name) for name in ("LSTM", "Conv", "default", "Pooling", "other"))
    assert idle_rules(rules, LAYERS) == ["LSTM", "Pooling", "other"]
    assert idle_rules(rules, (*LAYERS, POOL)) == ["LSTM", "other"]


def test_loops_a_layer_does_not_have_are_said() -> None:
    matrix = MappingRule("Conv", {"D1": {"D0": 4}, "D2": {"C": 4}})
    assert foreign_loops((matrix,), LAYERS) == [
        "the mapping of 'Conv' leaves D1 of the array idle for conv_0, conv_1: there is no loop D0 there",
    ]
    assert not foreign_loops((replace(matrix, name="default"),), LAYERS), "C is there"
    nothing = MappingRule("default", {"D1": {"D0": 4}, "D2": {"D1": 4}})
    (told,) = foreign_loops((nothing,), LAYERS)
    assert "leaves D1, D2 of the array idle for conv_0, conv_1: there is no loop D0, D1 there" in told
    hint = MappingRule("Conv", hint={"D1": ("D0",), "D2": ("K",)})
    (told,) = foreign_loops((hint,), LAYERS)
    assert "'Conv' allows any loop on D1 of the array for conv_0, conv_1: there is no loop D0" in told


@pytest.mark.parametrize(
    "rule",
    [
        MappingRule("Conv", order=(("D0", 4),)),
        MappingRule("Conv", {"D1": {"D0": 1, "K": 4}}),
        MappingRule("Conv", {"D1": {"D0": 1}}),
        MappingRule("Conv", {"D1": {"D0": 4, "K": 2}}),
        MappingRule("Conv", {"D1": {"K": 4}}, hint={"D1": ("D0",)}),
    ],
    ids=["order", "factor of one", "one alone", "another loop is there", "hint of a given dimension"],
)
def test_what_leaves_nothing_idle_is_not_said(rule: MappingRule) -> None:
    assert foreign_loops((rule,), LAYERS) == []


def test_channels_of_a_pooling_are_meant_by_loops_of_convolutions() -> None:
    rule = MappingRule("Pooling", {"D1": {"K": 4}, "D2": {"FZ": 4}})
    (told,) = foreign_loops((rule,), (POOL,))
    assert "leaves D2 of the array idle for sample: there is no loop FZ there" in told


def test_three_layers_are_named_and_the_others_counted() -> None:
    rule = MappingRule("Conv", {"D1": {"D0": 4}})
    layers = [replace(CONV, name=f"conv_{i}") for i in range(5)]
    (three,) = foreign_loops((rule,), layers[:3])
    assert "for conv_0, conv_1, conv_2: there" in three
    (five,) = foreign_loops((rule,), layers)
    assert "for conv_0, conv_1, conv_2 and 2 more: there" in five
