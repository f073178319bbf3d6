"""What the cores of a described accelerator cost the scheduler."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

from targets.contract.target import Survey
from targets.cost.layer_cost import LayerCost
from targets.cost.model.nest_of_layer import operand_tensors
from targets.cost.model.residency import Residency
from targets.cost.model.solution import Solution
from targets.description.mapping import MappingRule, NoMappingError, Unrolling
from targets.network.layer import Layer
from targets.network.workload import Workload
from targets.schedule.machine import OUTER, Machine
from targets.schedule.network import ALL_HELD, Held, Option
from targets.schedule.tiles import weight_extent


class MappedTarget(Protocol):
    """A target whose layers have mappings: what their costs are made of."""

    def survey(self, layer: Layer) -> Survey:
        """Return which cores take ``layer``."""

    def alike(self, core: str) -> str:
        """Return the first core that is equal to ``core``."""

    def rule(self, layer: Layer) -> MappingRule:
        """Return what is asked of the mapping of ``layer``."""

    def links(self, layer: Layer) -> Mapping[str, str]:
        """Return operands of ``layer`` that use the memories of another one."""

    def fixed_stores(self, layer: Layer, core: str) -> dict[str, str] | None:
        """Return where operands start from in a saved mapping; ``None`` where there is none."""

    def solution(
        self, layer: Layer, core: str, residency: Residency | None = None, unrolling: Unrolling | None = None
    ) -> Solution:
        """Return the best mapping of ``layer`` on ``core``; raises NoMappingError where none fits."""

    def cost_of(self, found: Solution, core: str) -> LayerCost:
        """Return the cost of a layer with the mapping ``found``."""


class EngineCosts:
    """Costs of tiles, each found out once; a tile is unrolled like the whole layer."""

    def __init__(self, target: MappedTarget, machine: Machine, workload: Workload) -> None:
        self._target = target
        self._layers = {layer.name: layer for layer in workload.layers}
        self._machine = machine
        self._options: dict[tuple[object, ...], Option | None] = {}
        self._found: dict[tuple[object, ...], Option | None] = {}
        self._unrollings: dict[tuple[object, ...], Unrolling | None] = {}
        self._cores: dict[str, tuple[str, ...]] = {}

    def cores(self, layer: Layer) -> tuple[str, ...]:
        """Return the cores that may run ``layer``, by name."""
        if layer.name not in self._cores:
            self._cores[layer.name] = tuple(sorted(self._target.survey(layer).cores))
        return self._cores[layer.name]

    def alike(self, core: str) -> str:
        """Return one name for all cores that cost the same."""
        return self._target.alike(core)

    def resources(self, core: str, cost: LayerCost) -> tuple[tuple[str, float], ...]:  # noqa: ARG002
        """Return what a run takes: its core."""
        return ((core, 1.0),)

    def option(self, tile: Layer, core: str, held: Held) -> Option | None:
        """Return what ``tile`` costs on ``core``; see :class:`targets.schedule.network.CoreCosts`."""
        first = self.alike(core)
        key = (tile.name, first, held, tile.outputs[0].shape, tuple(t.shape for t in tile.inputs))
        if key not in self._options:
            # Equal layers are searched once.
            kind = (self._kind(tile), first, held)
            if kind not in self._found:
                self._found[kind] = self._find(tile, first, held)
            self._options[key] = self._found[kind]
        found = self._options[key]
        if found is None or not found.buffers or core == first:
            return found
        renamed = tuple((f"{core}{store.removeprefix(first)}", bits) for store, bits in found.buffers)
        return Option(found.cost, renamed)

    def _kind(self, tile: Layer) -> tuple[object, ...]:
        """Return all that the cost of a tile depends on beside the core."""
        shapes = tuple((t.shape, t.bits) for t in (*tile.inputs, *tile.outputs))
        constant = tile.weight or tile.constant
        weights = None if constant is None else (constant.shape, constant.bits)
        # A mapping that is saved, and what a tile is unrolled like, are those of one layer.
        whole = self._layers[tile.name]
        parent = None if tile is whole or tile == whole else self._kind(whole)
        rule = id(self._target.rule(whole))
        return (
            tile.op_type,
            tile.dims,
            shapes,
            weights,
            tile.accumulator_bits,
            len(tile.inputs),
            rule,
            parent,
        )

    def _find(self, tile: Layer, core: str, held: Held) -> Option | None:
        residency = self._residency(tile, core, held)
        if residency is None:
            return None
        try:
            found = self._target.solution(tile, core, residency, self._unrolling(tile, core))
        except NoMappingError:
            return None
        return Option(self._target.cost_of(found, core), self._buffers(core, residency, found))

    def _residency(self, tile: Layer, core: str, held: Held) -> Residency | None:
        """Return what lies in the memories of ``core``; ``None`` if a saved mapping differs, or no room."""
        fixed = self._target.fixed_stores(tile, core)
        if fixed is not None and tile != self._layers[tile.name]:
            return None
        links = self._target.links(tile)
        operands = []
        room: dict[str, int] = {}
        for operand, bits in _operand_bits(tile).items():
            store = self._machine.store_of(core, operand)
            if fixed is not None and (operand in fixed) != (operand in held and store != OUTER):
                return None
            if operand not in held or store == OUTER:
                continue
            if store != self._machine.store_of(core, links.get(operand, operand)):
                return None
            operands.append((operand, store.removeprefix(f"{core}."), bits))
            room[store] = room.get(store, 0) + bits
        sizes = {store: self._machine.stores[store].size_bits for store in room}
        if any(size is not None and room[store] > size for store, size in sizes.items()):
            return None
        return Residency(core, tuple(operands))

    def _unrolling(self, tile: Layer, core: str) -> Unrolling | None:
        """Return how the whole layer is unrolled; ``None`` for the whole layer itself, which is searched."""
        whole = self._layers[tile.name]
        if tile == whole:
            return None
        key = (self._kind(whole), core)
        if key not in self._unrollings:
            options = (
                self.option(whole, core, held) for held in (ALL_HELD, ALL_HELD - {"W"}, frozenset[str]())
            )
            found = next(
                (o.cost.detail for o in options if o is not None and o.cost.detail is not None), None
            )
            self._unrollings[key] = found.mapping.spatial if found is not None else None
        return self._unrollings[key]

    def _buffers(self, core: str, residency: Residency, found: Solution) -> tuple[tuple[str, int], ...]:
        """Return the room a mapping takes in the stores of its core beside what is held there."""
        held = {(operand, memory): bits for operand, memory, bits in residency.operands}
        buffers: dict[str, int] = {}
        for operand, memory, room in found.rooms:
            store = f"{core}.{memory}"
            bits = math.floor(room) - held.get((operand, memory), 0)
            if store in self._machine.stores and bits > 0:
                buffers[store] = buffers.get(store, 0) + bits
        return tuple(sorted(buffers.items()))


def _operand_bits(tile: Layer) -> dict[str, int]:
    """Return the bits of the tensors behind each operand of the loop nest of ``tile``, bias included."""
    tensors = {t.name: t.elements * t.bits for t in (*tile.inputs, *tile.outputs)}
    bits = {op: sum(tensors[name] for name in names) for op, names in operand_tensors(tile).items()}
    if "W" in bits and (tile.weight is not None or tile.constant is not None):
        weights = weight_extent(tile)
        bits["W"] = weights.bits_of(weights.whole)
    return bits
