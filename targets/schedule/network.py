"""What can be scheduled: tiles on cores, with what they cost there and which data they need where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple, Protocol

from passes.errors import InputError
from targets.cost.layer_cost import LayerCost
from targets.network.layer import Layer
from targets.network.workload import Workload
from targets.schedule.machine import Machine
from targets.schedule.regions import Extent, Region, extent_of
from targets.schedule.tiles import Tile, weight_extent

# Operands whose whole tensors lie in the stores of the core while a tile runs.
Held = frozenset[str]
ALL_HELD: Held = frozenset("WIO")


class Option(NamedTuple):
    """A tile on a core.

    Attributes:
        cost: Cycles and energy, without what brings held operands.
        buffers: Bits that parts of operands which are not held take in the stores meanwhile.
    """

    cost: LayerCost
    buffers: tuple[tuple[str, int], ...] = ()


class CoreCosts(Protocol):
    """What a target tells the scheduler of its cores."""

    def cores(self, layer: Layer) -> tuple[str, ...]:
        """Return the cores that may run ``layer``, by name."""

    def alike(self, core: str) -> str:
        """Return one name for all cores that cost the same."""

    def option(self, tile: Layer, core: str, held: Held) -> Option | None:
        """Return what ``tile`` costs on ``core`` while the operands ``held`` lie in its stores.

        ``None`` where no mapping fits.
        """

    def resources(self, core: str, cost: LayerCost) -> tuple[tuple[str, float], ...]:
        """Return what a run takes from its start to its end, the core itself included."""


class Read(NamedTuple):
    """A part of a tensor that a tile reads as one of its operands."""

    operand: str
    tensor: str
    region: Region


@dataclass(frozen=True)
class Network:
    """A workload as the scheduler sees it.

    Attributes:
        stage_of: Stage of each layer that an exit path needs.
        order: These layers, stage by stage, each behind its producers.
        extents: Tensors by name, weights included.
        consumers: Layers that read each tensor.
        producer: The layer that writes it; those without one lie in the outer store from the start.
        outputs: Tensors that end in the outer store.
        stage_names: The exits.
        second_operand: Layers whose second input is their operand ``W``.
        thrifty: Of several ways to move data the cheapest is taken, else the first to arrive.
        keep_share: How much of each store weights may take for good: the first time they are needed there
            they are taken to have been there from the start, if they fit. Infinite: they are everywhere and
            take no room, which is no schedule but shows what plan would suit it.
        position: Where each layer is in the order.
        beyond: Weights that do not lie in the outer store but come from beyond it, at the cost of their
            layer, with the bits they take in it while that runs.
        handed_on: Layers that later stages read from: the backbone, as far as it is read.
    """

    workload: Workload
    machine: Machine
    costs: CoreCosts
    stage_of: Mapping[int, int]
    order: tuple[int, ...]
    extents: Mapping[str, Extent]
    consumers: Mapping[str, tuple[int, ...]]
    producer: Mapping[str, int]
    outputs: frozenset[str]
    stage_names: tuple[str, ...]
    second_operand: Mapping[int, bool] = field(default_factory=dict)
    handed_on: frozenset[int] = frozenset()
    position: Mapping[int, int] = field(default_factory=dict)
    thrifty: bool = False
    keep_share: float = 0.0
    beyond: Mapping[str, int] = field(default_factory=dict)
    _reads: dict[tuple[int, Region], tuple[Read, ...]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @cached_property
    def share_weights(self) -> dict[str, int]:
        """Which layers read weights that several do: a bit set each, by the names of weights."""
        readers: dict[str, int] = {}
        for index in self.order:
            if has_weights(self.layer(index)):
                name = weights_name(self.layer(index))
                readers[name] = readers.get(name, 0) | 1 << index
        return {name: bits for name, bits in readers.items() if bits.bit_count() > 1}

    @cached_property
    def given(self) -> tuple[str, ...]:
        """Tensors that layers read and none writes: they lie in the outer store from the start."""
        return tuple(name for name in self.consumers if name not in self.producer)

    def layer(self, index: int) -> Layer:
        """Return a layer by its index in the workload."""
        return self.workload.layers[index]

    def without(self, indices: set[int]) -> Network:
        """Return the network without some layers; what they write lies in the outer store from the start."""
        order = tuple(i for i in self.order if i not in indices)
        producer = {name: i for name, i in self.producer.items() if i not in indices}
        consumers = {
            name: tuple(i for i in readers if i not in indices) for name, readers in self.consumers.items()
        }
        return replace(
            self,
            order=order,
            position={index: position for position, index in enumerate(order)},
            consumers={name: readers for name, readers in consumers.items() if readers},
            producer=producer,
            outputs=frozenset(name for name in self.outputs if name in producer),
        )

    def reads(self, index: int, tile: Tile) -> tuple[Read, ...]:
        """Return what a tile of layer ``index`` reads, weights left out."""
        key = (index, tile.output)
        if key not in self._reads:
            self._reads[key] = self._reads_of(index, tile)
        return self._reads[key]

    def _reads_of(self, index: int, tile: Tile) -> tuple[Read, ...]:
        names = ("I", "W") if self.second_operand.get(index) else ("I",)
        inputs = self.layer(index).inputs
        return tuple(
            Read(names[min(i, len(names) - 1)], operand.name, region)
            for i, (operand, region) in enumerate(zip(inputs, tile.inputs, strict=True))
        )


def has_weights(layer: Layer) -> bool:
    """Whether ``layer`` has data that is known before any input is: weights or a constant operand."""
    return layer.weight is not None or layer.constant is not None


def weights_name(layer: Layer) -> str:
    """Return the name of the weights of ``layer`` among the tensors, bias included."""
    return f"{layer.weights_of or layer.name}.weights"


def _check_names(workload: Workload, order: Sequence[int]) -> None:
    """Check that no tensor is called like the weights of a layer.

    Raises:
        InputError: One is.
    """
    layers = [workload.layers[index] for index in order]
    tensors = {operand.name for layer in layers for operand in (*layer.inputs, *layer.outputs)}
    for layer in layers:
        if has_weights(layer) and weights_name(layer) in tensors:
            raise InputError(
                f"a tensor is called '{weights_name(layer)}', which is what the weights of layer "
                f"'{layer.name}' are called here",
                "rename the tensor",
            )


def network_of(workload: Workload, machine: Machine, costs: CoreCosts, second: Mapping[int, bool]) -> Network:
    """Return ``workload`` as the scheduler sees it.

    Args:
        workload: The layers.
        machine: The accelerator.
        costs: What its cores cost.
        second: Layers whose second input is their operand ``W``.

    Raises:
        InputError: A tensor is called like the weights of a layer.
    """
    stage_of = {i: stage for stage, members in enumerate(workload.stages()) for i in members}
    order = tuple(sorted(stage_of, key=lambda i: (stage_of[i], i)))
    _check_names(workload, order)
    extents: dict[str, Extent] = {}
    consumers: dict[str, list[int]] = {}
    producer: dict[str, int] = {}
    for index in order:
        layer = workload.layers[index]
        for operand in (*layer.inputs, *layer.outputs):
            extents.setdefault(operand.name, extent_of(operand)._replace(word_bits=machine.word_bits))
        for operand in layer.inputs:
            readers = consumers.setdefault(operand.name, [])
            if index not in readers:
                readers.append(index)
        producer |= {operand.name: index for operand in layer.outputs if operand.name not in producer}
        if has_weights(layer):
            extents[weights_name(layer)] = weight_extent(layer)
    handed_on = frozenset(
        maker
        for name, maker in producer.items()
        if any(stage_of[reader] > stage_of[maker] for reader in consumers.get(name, ()))
    )
    return Network(
        workload, machine, costs, stage_of, order, extents,
        {name: tuple(readers) for name, readers in consumers.items()}, producer,
        frozenset(name for name in workload.outputs if name in producer),
        tuple(path.name for path in workload.exits), second, handed_on,
        {index: position for position, index in enumerate(order)},
    )  # fmt: skip
