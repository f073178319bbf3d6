"""Which rule of a mapping file a layer follows, and where that lets it run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from targets.cost.mapping import DEFAULT_RULE, MappingRule, rule_for


class Named(Protocol):
    """What rules go by: a layer, or the report on one."""

    @property
    def name(self) -> str:
        """Name of the layer."""

    @property
    def op_type(self) -> str:
        """ONNX type of its main operator."""

    @property
    def origin(self) -> tuple[str, ...]:
        """Nodes of the user's model it came from."""


def chosen_rule(
    layer: Named, rules: tuple[MappingRule, ...], own: tuple[MappingRule, ...] = ()
) -> MappingRule:
    """Return the rule of a layer: by its name, a node it came from, its operator, or the default.

    Args:
        layer: A layer, or the report on one.
        rules: Those of the user.
        own: Those of the target, for layers of which the user says nothing.
    """
    names = {rule.name for rule in rules}
    named = next((name for name in (layer.name, *layer.origin) if name in names), layer.name)
    asked = rule_for(rules, named, layer.op_type)
    return rule_for(own, layer.name, layer.op_type) if asked is DEFAULT_RULE else asked


def allowed_cores(rule: MappingRule, running: Mapping[str, bool]) -> tuple[str, ...]:
    """Return the cores ``rule`` restricts a layer to; empty for all.

    A ``default`` rule is about no operator in particular: it does not bind what none of its cores runs.

    Args:
        rule: The rule of the layer.
        running: By name, in the order of the description, whether a core runs such operators.
    """
    names = tuple(running)
    cores = tuple(names[index] for index in rule.cores)
    if rule.name == "default" and not any(running[core] for core in cores):
        return ()
    return cores


def idle_rules(rules: tuple[MappingRule, ...], layers: Iterable[Named]) -> list[str]:
    """Return the names of rules no layer follows; a default that is not needed is nothing to tell."""
    followed = {chosen_rule(layer, rules).name for layer in layers}
    return [rule.name for rule in rules if rule.name not in {*followed, "default"}]
