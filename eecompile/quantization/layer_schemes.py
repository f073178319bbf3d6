"""In which schemes each layer with weights can be computed on a target."""

from __future__ import annotations

from dataclasses import dataclass, replace

import onnx_graphsurgeon as gs

from passes.exits.chain import head_nodes
from passes.integers import schemes as known_schemes
from passes.integers.schemes import Scheme
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from targets.contract.placement import Reason
from targets.contract.target import Target
from targets.network.layer import Layer
from targets.network.workload import build_workload

HEAD, BACKBONE = "head", "backbone"
PARTS = (HEAD, BACKBONE)


@dataclass(frozen=True)
class SchemeOption:
    """A core that takes a layer with its numbers in a scheme."""

    core: str
    scheme: Scheme

    @property
    def analog(self) -> bool:
        """Whether the layer runs in an analog array."""
        return self.scheme.array is not None


@dataclass(frozen=True)
class WeightedLayer:
    """A layer with weights and what may be chosen for it.

    Attributes:
        name: As reports have it.
        nodes: Nodes of the graph that are in it.
        origin: Nodes of the user's file that it came from.
        head: It runs for an early exit alone.
        options: Cores and schemes that take it, in the order of the description, the usual of a core first.
        declined: Why analog cores do not take it with ternary weights; empty where one does.
    """

    name: str
    nodes: tuple[str, ...]
    origin: tuple[str, ...]
    head: bool
    options: tuple[SchemeOption, ...]
    declined: tuple[Reason, ...]

    @property
    def part(self) -> str:
        """The part of the network that it is in."""
        return HEAD if self.head else BACKBONE

    @property
    def names(self) -> frozenset[str]:
        """All that a user may call it."""
        return frozenset((self.name, *self.nodes, *self.origin))

    def schemes(self) -> tuple[Scheme, ...]:
        """Return the schemes it can be computed in, each once, in the order of its options."""
        return tuple(dict.fromkeys(option.scheme for option in self.options))


def weighted_layers(graph: gs.Graph, target: Target) -> tuple[WeightedLayer, ...]:
    """Return the layers of ``graph`` that have weights, in order.

    Args:
        graph: A float graph; it is not changed.
        target: The accelerator.

    Raises:
        InputError: A target with a core without a scheme.
    """
    fused = copy_graph(graph)
    state_of(fused).precisions = {}
    parse_pipeline(target.pipeline(quantized=False))(fused)
    layer_of = state_of(fused).layers
    nodes: dict[str, list[str]] = {}
    for node in graph.nodes:
        nodes.setdefault(layer_of.get(node.name, node.name), []).append(node.name)
    heads = {n.name for item in state_of(graph).exits[:-1] for n in head_nodes(graph, item)}
    found = []
    for layer in build_workload(fused, target.precision).layers:
        if layer.weight is None:
            continue
        mine = tuple(nodes.get(layer.name, ()))
        options, declined = _options(layer, target)
        found.append(
            WeightedLayer(layer.name, mine, layer.origin, not heads.isdisjoint(mine), options, declined)
        )
    return tuple(found)


def has_array(target: Target) -> bool:
    """Return whether a core of ``target`` computes in an analog array."""
    names = {name for core in target.arch.cores for name in target.scheme_names(core.name)}
    return any(known_schemes.scheme(name).array is not None for name in names)


def _options(layer: Layer, target: Target) -> tuple[tuple[SchemeOption, ...], tuple[Reason, ...]]:
    found: list[SchemeOption] = []
    declined: list[Reason] = []
    for core in target.arch.cores:
        for scheme in target.schemes_of(core.name):
            survey = target.survey(at_scheme(layer, scheme))
            option = SchemeOption(core.name, scheme)
            if core.name in survey.cores:
                found.append(option)
            elif option.analog:
                declined += [r for r in (*survey.declined, *survey.absent) if r.core == core.name]
    return tuple(found), () if any(option.analog for option in found) else tuple(declined)


def at_scheme(layer: Layer, scheme: Scheme) -> Layer:
    """Return ``layer`` with the bits that its weights and tensors take in ``scheme``."""
    weight = layer.weight and replace(layer.weight, bits=scheme.weights.bits)
    inputs = tuple(replace(operand, bits=scheme.activations.bits) for operand in layer.inputs)
    return replace(layer, weight=weight, inputs=inputs)
