"""What is asked of the numbers of layers: bits of weights by part or layer, and which kind of core."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import onnx_graphsurgeon as gs

from passes.errors import InputError, did_you_mean
from passes.exits.chain import head_nodes
from passes.integers.schemes import Scheme, scheme
from passes.operator_sets import QUANTIZED_LINEAR
from passes.state import state_of
from targets.contract.target import Target

HEAD, BACKBONE = "head", "backbone"
AUTO, DIGITAL, ANALOG = "auto", "digital", "analog"
PLACEMENTS = (AUTO, DIGITAL, ANALOG)


@dataclass(frozen=True)
class NumberWishes:
    """What is asked of the numbers that layers compute with.

    Attributes:
        bits: ``head`` (all heads of early exits), ``backbone`` (all else), a layer, or a node of the user's
            model -> bits of weights. What names less goes before what names more.
        placement: ``auto`` takes the first scheme of the core that the schedule at these numbers chooses;
            ``analog`` an analog array for each layer that one takes; ``digital`` none.
    """

    bits: Mapping[str, int] = field(default_factory=dict)
    placement: str = AUTO

    def __bool__(self) -> bool:
        """Return whether anything is asked for."""
        return bool(self.bits) or self.placement != AUTO

    def check(self, graph: gs.Graph, target: Target) -> None:
        """Refuse what cannot be; ``graph`` is the network with all of its layers named.

        Raises:
            InputError: A part that the network does not have, bits that no core multiplies by, or a placement
                among cores where there is no choice.
        """
        known = {HEAD, BACKBONE} | {name for names in _names(graph).values() for name in names}
        for part, bits in self.bits.items():
            if part not in known:
                raise InputError(
                    f"`bits`: the network has no layer with weights called '{part}'",
                    did_you_mean(part, known),
                )
            schemes_of(target, bits)
        if self.placement not in PLACEMENTS:
            raise InputError(
                f"`placement` cannot be '{self.placement}'", did_you_mean(self.placement, PLACEMENTS)
            )
        if self.placement != AUTO and not analog_schemes(target):
            raise InputError(
                f"`placement` {self.placement} changes nothing: no core of {target.title} is an analog array",
                "leave `placement` away, or take a target with one: diana",
            )

    def asked(self, graph: gs.Graph) -> dict[str, int]:
        """Return layer -> bits of weights, for the layers of ``graph`` for which they are asked."""
        heads = {n.name for e in state_of(graph).exits[:-1] for n in head_nodes(graph, e)}
        layers = state_of(graph).layers
        in_heads = {layers.get(name, name) for name in heads}
        found = {}
        for layer, names in _names(graph).items():
            part = HEAD if layer in in_heads else BACKBONE
            bits = next((self.bits[name] for name in (*names, part) if name in self.bits), None)
            if bits is not None:
                found[layer] = bits
        return found


def analog_schemes(target: Target) -> tuple[Scheme, ...]:
    """Return the schemes of the cores of ``target`` that compute in analog arrays."""
    return tuple(found for found in _all_schemes(target) if found.array is not None)


def schemes_of(target: Target, bits: int) -> tuple[Scheme, ...]:
    """Return the schemes of ``target`` with weights of so many bits.

    Raises:
        InputError: There are none.
    """
    found = tuple(one for one in _all_schemes(target) if one.weights.bits == bits)
    if not found:
        widths = "; ".join(
            f"{core}: {', '.join(str(scheme(name).weights.bits) for name in names)}"
            for core, names in target.schemes.items()
        )
        raise InputError(
            f"`bits`: no core of {target.title} multiplies by weights of {bits} bits",
            f"bits of weights by core: {widths}",
        )
    return found


def _all_schemes(target: Target) -> Iterable[Scheme]:
    return [
        scheme(name) for name in dict.fromkeys(name for names in target.schemes.values() for name in names)
    ]


def _names(graph: gs.Graph) -> dict[str, tuple[str, ...]]:
    """Return layer -> its names, for layers with weights: its own, and the user's nodes it came from."""
    state, found = state_of(graph), dict[str, tuple[str, ...]]()
    for node in graph.nodes:
        if node.op in QUANTIZED_LINEAR:
            layer = state.layers.get(node.name, node.name)
            origins = state.origins.get(node.name, ())
            found[layer] = tuple(dict.fromkeys((layer, node.name, *found.get(layer, ()), *origins)))
    return found
