"""A network as a chain of layers that need not fit L2: what each costs, with what goes to external memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from passes.errors import InputError
from targets.cost.layer_cost import LayerCost
from targets.gap9.constraints import cores_within_l2
from targets.gap9.spills import Spilled, spilled
from targets.gap9.target import Gap9Target
from targets.gap9.transfers import stored_weight_bytes
from targets.network.layer import Layer


@dataclass(frozen=True)
class ChainLayer:
    """A layer of a chain.

    Attributes:
        layer: The layer.
        core: Where it runs.
        cost: What it costs, fetched weights and spilled tensors included.
        outside: Names of its tensors that lie in external memory.
    """

    layer: Layer
    core: str
    cost: LayerCost
    outside: tuple[str, ...]


@dataclass(frozen=True)
class Places:
    """Where the data of a chain lie.

    Attributes:
        tensors: Those in external memory.
        weights_outside: All weights come from there too.
    """

    tensors: Spilled
    weights_outside: bool


def places(target: Gap9Target, layers: Sequence[Layer], outside: Collection[str] = ()) -> Places:
    """Return which data of ``layers`` L2 has no room for.

    Tensors go one by one; where the weights have no room beside those that stay, all come from external
    memory.

    Args:
        target: The accelerator.
        layers: In the order they run; tensors of one name are one.
        outside: Names of tensors that lie in external memory anyway.
    """
    room = int(target.arch.core("cluster").rate("l2_tensor_bytes"))
    weights = sum(stored_weight_bytes(layer) for layer in layers)
    return Places(spilled(layers, room, outside), weights > room)


def run_layer(target: Gap9Target, layer: Layer, where: Places) -> ChainLayer:
    """Return what ``layer`` costs on its faster core. Raises InputError if no core takes it."""
    found = []
    for core in cores_within_l2(layer, target.arch):
        cost = target.cost_with(layer, core, where.tensors)
        if where.weights_outside and layer.weight is not None:
            cost = target.fetching(layer, core, cost)
        found.append((cost.latency_cycles, core, cost))
    if not found:
        raise InputError(
            f"no core of {target.name} takes layer '{layer.name}' ({layer.op_type})",
            f"`eecompile targets {target.name}` lists what its cores take",
        )
    _, core, cost = min(found, key=lambda one: one[:2])
    outside = tuple(t.name for t in (*layer.inputs, *layer.outputs) if t.name in where.tensors.names)
    return ChainLayer(layer, core, cost, outside)


def run_chain(
    target: Gap9Target, layers: Sequence[Layer], outside: Collection[str] = ()
) -> tuple[ChainLayer, ...]:
    """Return what ``layers`` cost one after another, see :func:`places` and :func:`run_layer`."""
    where = places(target, layers, outside)
    return tuple(run_layer(target, layer, where) for layer in layers)
