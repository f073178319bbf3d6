"""Which rule of a mapping file a layer follows, and where that lets it run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from passes.operator_sets import POOLS
from targets.cost.model.aliases import rule_on
from targets.cost.model.nest_of_layer import nest_of
from targets.description.mapping import DEFAULT_RULE, MappingRule, rule_for
from targets.network.layer import Layer

# What published mapping files call all poolings.
_POOLING_RULES = ("Pooling", "Pool")
_SHOWN_LAYERS = 3


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

    A rule ``Pooling`` or ``Pool`` is one of all pooling operators that have none of their own.

    Args:
        layer: A layer, or the report on one.
        rules: Those of the user.
        own: Those of the target, for layers of which the user says nothing.
    """
    names = {rule.name for rule in rules}
    operators = (layer.op_type, *(_POOLING_RULES if layer.op_type in POOLS else ()))
    operator = next((name for name in operators if name in names), layer.op_type)
    named = next((name for name in (layer.name, *layer.origin) if name in names), layer.name)
    asked = rule_for(rules, named, operator)
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


def foreign_loops(rules: tuple[MappingRule, ...], layers: Iterable[Layer]) -> list[str]:
    """Return a sentence on the array dimensions where layers have none of the loops a rule names.

    A ``default`` rule is about no operator in particular: it is told where a layer has none of its loops.

    Args:
        rules: Those of the user.
        layers: The network.
    """
    found: dict[tuple[str, str, str], list[str]] = {}  # layers by rule, what follows for the array, and loops
    for layer in layers:
        wished = chosen_rule(layer, rules)
        if not (wished.spatial or wished.hint):
            continue
        nest = nest_of(layer)
        rule = rule_on(nest, wished, {})
        given = {d: {loop for loop, f in factors.items() if f > 1} for d, factors in rule.spatial.items()}
        hinted = {d: set(loops) for d, loops in rule.hint.items() if d not in given}
        for outcome, loops_of in (
            ("leaves {} of the array idle", given),
            ("allows any loop on {} of the array", hinted),
        ):
            asked = {d: loops for d, loops in loops_of.items() if loops}
            lost = {d: loops for d, loops in asked.items() if not loops & nest.sizes.keys()}
            if lost and (rule.name != "default" or lost == asked):
                told = outcome.format(", ".join(lost))
                absent = ", ".join(sorted(set().union(*lost.values())))
                found.setdefault((rule.name, told, absent), []).append(layer.name)
    return [
        f"the mapping of '{rule}' {told} for {_listed(names)}: there is no loop {absent} there"
        for (rule, told, absent), names in found.items()
    ]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN_LAYERS} more" if len(names) > _SHOWN_LAYERS else ""
    return ", ".join(names[:_SHOWN_LAYERS]) + more
