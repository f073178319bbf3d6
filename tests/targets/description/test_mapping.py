"""Names of loops, and which rule counts for a layer."""

from __future__ import annotations

import pytest

from passes.errors import InputError
from targets.description.mapping import (
    DEFAULT_RULE,
    LOOPS,
    MappingRule,
    NoMappingError,
    RuleError,
    loop_fault,
    rule_for,
)


@pytest.mark.parametrize("name", [*LOOPS, "D0", "D12"])
def test_known_and_numbered_loops_have_no_fault(name: str) -> None:
    assert loop_fault(name) == ""


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("k", "'k' is no loop name; did you mean 'K'?"),
        ("ox", "'ox' is no loop name; did you mean 'OX'"),
        ("d1", "'d1' is no loop name; did you mean 'D'"),
        ("D1x", "'D1x' is no loop name; "),
        ("", "'' is no loop name; known: B, C, D, "),
        ("Z" * 99, f"'{'Z' * 40}' is no loop name; known: "),
    ],
)
def test_other_names_are_told_with_what_comes_closest(name: str, fault: str) -> None:
    assert loop_fault(name).startswith(fault)


def test_the_nearest_rule_counts_and_of_equal_names_the_first() -> None:
    layer, operator, default, second = (MappingRule(name) for name in ("conv_0", "Conv", "default", "Conv"))
    rules = (default, operator, second, layer)
    assert rule_for(rules, "conv_0", "Conv") is layer
    assert rule_for(rules, "conv_1", "Conv") is operator
    assert rule_for(rules, "relu_0", "Relu") is default
    assert rule_for((operator,), "relu_0", "Relu") is DEFAULT_RULE
    assert rule_for((), "conv_0", "Conv") is DEFAULT_RULE


def test_a_rule_without_wishes_asks_for_nothing() -> None:
    assert MappingRule("default") == DEFAULT_RULE
    assert not (DEFAULT_RULE.spatial or DEFAULT_RULE.hint or DEFAULT_RULE.order or DEFAULT_RULE.links)
    assert DEFAULT_RULE.cores == () and DEFAULT_RULE.fixed is None


@pytest.mark.parametrize("kind", [RuleError, NoMappingError])
def test_both_errors_are_the_users_to_mend_and_told_apart(kind: type[InputError]) -> None:
    with pytest.raises(InputError) as caught:
        raise kind("what", "how")
    assert (caught.value.message, caught.value.hint) == ("what", "how")
    assert not (issubclass(RuleError, NoMappingError) or issubclass(NoMappingError, RuleError))
