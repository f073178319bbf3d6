"""What a mapping is, and what a user may ask of one."""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field

from passes.errors import InputError, did_you_mean

# Loops unrolled per array dimension: {"D1": {"K": 8}, "D2": {"C": 4, "FX": 2}}.
Unrolling = MappingType[str, MappingType[str, int]]

# What loops are called: batch, channels, rows of matrices, and outputs and windows along both axes.
LOOPS = ("B", "G", "K", "C", "D", "H", "OX", "OY", "FX", "FY")
# Files for networks written as bare equations number their loops.
_NUMBERED = re.compile(r"D\d+")


def loop_fault(name: str) -> str:
    """Return what is wrong with a loop called ``name``, and the fix; empty for a known one."""
    if name in LOOPS or _NUMBERED.fullmatch(name):
        return ""
    return f"'{name[:40]}' is no loop name; {did_you_mean(name[:40].upper(), LOOPS)}"


@dataclass(frozen=True)
class Mapping:
    """A complete mapping of one layer onto one core.

    Attributes:
        spatial: Loops unrolled over each array dimension, whole factors.
        loops: Temporal loops with their factors, innermost first.
        levels: Per operand (``W``, ``I``, ``O``), for each memory of its chain from the inside, how many
            of ``loops`` run at or below it; the last is all of them.
    """

    spatial: Unrolling
    loops: tuple[tuple[str, int], ...]
    levels: MappingType[str, tuple[int, ...]]


@dataclass(frozen=True)
class MappingRule:
    """What a user asks of the mapping of some layers.

    Attributes:
        name: Name of a layer, else an ONNX operator, else ``default``.
        spatial: Given unrollings; array dimensions left out are searched.
        hint: Per array dimension, the loops a search may unroll there; left out means any.
        order: Temporal loops from the innermost, each with its factor or ``None`` for any factor; an entry
            ``("*", None)`` stands for all loops between, so that those after it are outermost.
        links: Which operand's memories each operand uses, such as ``{"W": "I"}``; left out means its own.
        cores: Indices of the cores that may run the layer; empty means any.
        fixed: A complete mapping, as saved before.
    """

    name: str
    spatial: Unrolling = field(default_factory=dict)
    hint: MappingType[str, tuple[str, ...]] = field(default_factory=dict)
    order: tuple[tuple[str, int | None], ...] = ()
    links: MappingType[str, str] = field(default_factory=dict)
    cores: tuple[int, ...] = ()
    fixed: Mapping | None = None


DEFAULT_RULE = MappingRule("default")


def rule_for(rules: tuple[MappingRule, ...], layer: str, operator: str) -> MappingRule:
    """Return the rule of a layer: by its name, else its operator, else ``default``, else no wishes."""
    by_name = {rule.name: rule for rule in reversed(rules)}
    for name in (layer, operator, "default"):
        if name in by_name:
            return by_name[name]
    return DEFAULT_RULE


class RuleError(InputError):
    """A rule that asks of a layer what cannot be."""


class NoMappingError(InputError):
    """A layer of which no mapping fits the memories of a core."""
