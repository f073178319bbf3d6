"""Layers whose output channels are divided among schemes, so that two cores work on one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

import onnx_graphsurgeon as gs

from eecompile.quantization.layer_schemes import WeightedLayer
from passes.integers.channel_parts import channel_parts
from passes.integers.split_channels import SplitChannels, why_whole
from passes.state import copy_graph
from targets.contract.target import Target

# How a division is written: channels of one scheme, then of the next.
PLUS, OF = "+", ":"
# The shares of a layer that its usual scheme keeps.
QUARTERS = (3, 2, 1)


def divisions(graph: gs.Graph, layer: WeightedLayer, usual: str, target: Target) -> tuple[str, ...]:
    """Return the ways to divide a layer between its usual scheme and one of another kind of core.

    Only between arithmetic on integers and an analog array: two schemes of one core would not run at once.

    Args:
        graph: The float network that ``layer`` is of.
        layer: Any of its layers with weights.
        usual: Name of its usual scheme, which keeps three quarters, half or a quarter of the channels.
        target: The accelerator; ``channel_block`` says of how many channels parts are made.

    Returns:
        Names such as ``int8-pow2:48+ternary-analog:16``, the most of the usual first.
    """
    schemes = {scheme.name: scheme for scheme in layer.schemes()}
    block, node = target.channel_block, _convolution(graph, layer)
    if not block or node is None or usual not in schemes:
        return ()
    analog = schemes[usual].array is not None
    others = [name for name, scheme in schemes.items() if (scheme.array is not None) != analog]
    blocks = int(node.outputs[0].shape[1]) // block
    rest = int(node.outputs[0].shape[1]) - blocks * block
    if not others or rest:
        return ()
    kept = dict.fromkeys(round(share * blocks / 4) for share in QUARTERS)
    return tuple(
        written([(usual, count * block), (others[0], (blocks - count) * block)])
        for count in kept
        if 0 < count < blocks
    )


def written(parts: Sequence[tuple[str, int]]) -> str:
    """Return the name of a division: which scheme has how many channels, in their order."""
    return PLUS.join(f"{scheme}{OF}{channels}" for scheme, channels in parts)


def divided(name: str) -> list[tuple[str, int]]:
    """Return scheme and channels of each part; empty for the name of a scheme."""
    if PLUS not in name:
        return []
    return [(scheme, int(count)) for scheme, _, count in (p.rpartition(OF) for p in name.split(PLUS))]


def divide(
    graph: gs.Graph, layers: Sequence[WeightedLayer], schemes: Mapping[str, str]
) -> tuple[gs.Graph, dict[str, str]]:
    """Return the network with its divided layers in parts, and layer -> scheme of what it then has.

    Args:
        graph: A float network; it is not changed.
        layers: Its layers with weights.
        schemes: Layer -> scheme, or a division as :func:`written` writes it.

    Returns:
        A copy, or ``graph`` itself where nothing is divided.
    """
    found = {layer.name: divided(schemes.get(layer.name, "")) for layer in layers}
    if not any(found.values()):
        return graph, dict(schemes)
    made, at = copy_graph(graph), []
    for layer in layers:
        parts, node = found[layer.name], _convolution(graph, layer)
        if parts and node is not None:
            *sizes, whole = accumulate(count for _, count in parts)
            at.append(f"{node.name}/{whole}{OF}" + OF.join(str(count) for _, count in parts[: len(sizes)]))
    SplitChannels(tuple(at))(made)
    told = {name: scheme for name, scheme in schemes.items() if not found.get(name)}
    for name, parts in found.items():
        told |= {f"{name}.{number}": scheme for number, (scheme, _) in enumerate(parts)}
    return made, told


def _convolution(graph: gs.Graph, layer: WeightedLayer) -> gs.Node | None:
    """Return the node of a layer that can be in parts; ``None`` where none can, or is already."""
    nodes = {node.name: node for node in graph.nodes}
    whole = [nodes[name] for name in layer.nodes if not why_whole(graph, nodes[name])]
    taken = {part.name for found in channel_parts(graph) for part in found.parts}
    return whole[0] if len(whole) == 1 and whole[0].name not in taken else None
