from __future__ import annotations

from targets.cost.model.aliases import rule_on
from targets.cost.model.nest_of_layer import nest_of
from targets.description.mapping import MappingRule
from targets.testing.conformance import sample_layer

POOL, CONV = nest_of(sample_layer("MaxPool")), nest_of(sample_layer("Conv"))
DATAFLOW = {"D1": {"K": 8}, "D2": {"FX": 3}}


def test_k_and_c_mean_the_channels_of_a_layer_that_has_neither() -> None:
    rule = MappingRule("default", {"D1": {"K": 8, "C": 2}, "D2": {"OX": 4}})
    assert rule_on(POOL, rule, {}).spatial == {"D1": {"G": 16}, "D2": {"OX": 4}}
    assert rule_on(CONV, rule, {}) == rule, "a convolution has K and C of its own"


def test_hints_and_orders_follow() -> None:
    order = (("K", None), ("C", None), ("OX", 2))
    rule = rule_on(POOL, MappingRule("default", hint={"D1": ("K", "G", "FX")}, order=order), {})
    assert rule.hint == {"D1": ("G", "FX")}
    assert rule.order == (("G", None), ("OX", 2)), "two open loops that mean the same are one"


def test_the_dataflow_of_a_core_stands_in_for_wishes() -> None:
    assert rule_on(CONV, MappingRule("default"), DATAFLOW).spatial == DATAFLOW
    assert rule_on(POOL, MappingRule("default"), DATAFLOW).spatial == {"D1": {"G": 8}, "D2": {"FX": 3}}
    asked = MappingRule("Conv", {"D1": {"OX": 4}})
    assert rule_on(CONV, asked, DATAFLOW) == asked
    hinted = MappingRule("Conv", hint={"D1": ("K",)})
    assert rule_on(CONV, hinted, DATAFLOW).spatial == {}, "a hint asks for a search"
