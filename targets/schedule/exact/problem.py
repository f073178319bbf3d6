"""What is left to decide once layers are cut: tiles with the cores that may run them, and who needs what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from targets.schedule.machine import OUTER, Machine
from targets.schedule.network import ALL_HELD, Held, Network, Option, Read, weights_name
from targets.schedule.plan import LayerChoice, NoOptionError, Resident, Segment, cut_tiles
from targets.schedule.regions import Region
from targets.schedule.tiles import Tile

Uses = tuple[tuple[str, float], ...]


class Task(NamedTuple):
    """A tile that must run.

    Attributes:
        number: Its place among all tasks.
        layer: Index in the workload.
        stage: The exit path it belongs to.
        options: What it costs on each core that may run it.
        uses: What it takes there meanwhile.
        stores: By core and operand, the store it reads or writes whole tensors in.
        reads: What it reads, weights left out.
    """

    number: int
    layer: int
    stage: int
    tile: Tile
    held: Held
    options: Mapping[str, Option]
    uses: Mapping[str, Uses]
    stores: Mapping[tuple[str, str], str]
    reads: tuple[Read, ...]

    def cycles(self, core: str) -> int:
        """Return how long it runs on ``core``."""
        return self.options[core].cost.latency_cycles

    @property
    def least_cycles(self) -> int:
        """How long it runs on the fastest core."""
        return min(self.cycles(core) for core in self.options)

    def places(self, operand: str) -> dict[str, tuple[str, ...]]:
        """Return the stores ``operand`` may lie in, each with the cores that imply it."""
        found: dict[str, list[str]] = {}
        for core in self.options:
            found.setdefault(self.stores[core, operand], []).append(core)
        return {store: tuple(cores) for store, cores in found.items()}


class Need(NamedTuple):
    """A part of a piece that a task reads as one of its operands."""

    task: Task
    operand: str
    part: Region


@dataclass(frozen=True)
class Piece:
    """A part of a tensor that is written at once, or all of one that lies in the outer store from the start.

    Attributes:
        maker: The task that writes it, ``None`` for inputs and weights.
        delivered: It must end in the outer store.
        resident: Parts of it that lie in stores on chip for good.
        weights: Whether it is weights.
    """

    tensor: str
    region: Region
    maker: Task | None
    needs: tuple[Need, ...]
    delivered: bool
    resident: tuple[tuple[str, Region], ...]
    weights: bool = False

    @property
    def sources(self) -> tuple[str, ...]:
        """Stores all of it may lie in without a move."""
        return (OUTER,) if self.maker is None else tuple(self.maker.places("O"))

    def lies(self, part: Region, store: str) -> bool:
        """Whether a part is in a store for good."""
        return any(store == where and part.within(region) for where, region in self.resident)

    @property
    def holders(self) -> frozenset[str]:
        """Stores it, or a copy of a part, may ever lie in."""
        read = (store for need in self.needs for store in need.task.places(need.operand))
        return frozenset((OUTER, *self.sources, *read, *(store for store, _ in self.resident)))

    def loads(self, part: Region) -> tuple[Region, ...]:
        """Return what one move may carry of ``part``: all of it, or the rows behind those of another part.

        The latter are what a store lacks to which that other part was moved before.
        """
        found = {part: None}
        for have in (need.part for need in self.needs):
            if have.c0 <= part.c0 and part.c1 <= have.c1 and part.y0 < have.y1 < part.y1:
                found[part._replace(y0=have.y1)] = None
        return tuple(found)

    def least_load(self, part: Region) -> Region:
        """Return the smallest of all loads without which a store that was sent ``part`` does not have it."""
        last = Region(part.c1 - 1, part.c1, part.y1 - 1, part.y1)
        loads = {load for need in self.needs for load in self.loads(need.part)}
        return min((load for load in loads if last.within(load)), key=lambda load: load.cells)


@dataclass(frozen=True)
class Problem:
    """All tasks, pieces and resources of a network under a plan's cuts."""

    network: Network
    tasks: tuple[Task, ...]
    pieces: tuple[Piece, ...]

    @property
    def machine(self) -> Machine:
        """The accelerator."""
        return self.network.machine

    @property
    def stages(self) -> int:
        """How many exit paths there are."""
        return len(self.network.stage_names)

    def bits(self, piece: Piece, part: Region) -> int:
        """Return the bits of a part of a piece."""
        return self.network.extents[piece.tensor].bits_of(part)


def problem_of(network: Network, plan: Iterable[Segment], resident: Resident | None = None) -> Problem:
    """Return what the cuts and held operands of ``plan`` leave open; its cores and order do not count.

    Raises:
        NoOptionError: No core runs a tile.
    """
    choices = {i: c for segment in plan for i, c in zip(segment.layers, segment.choices, strict=True)}
    return part_of(network, {index: choices[index] for index in network.order}, resident)


def part_of(
    network: Network, choices: Mapping[int, LayerChoice], resident: Resident | None = None
) -> Problem:
    """Return what cuts and held operands of some layers, in their order, leave open; others are not there.

    Raises:
        NoOptionError: No core runs a tile.
    """
    tasks: list[Task] = []
    for index, choice in choices.items():
        for tile in cut_tiles(network.layer(index), choice.cut):
            tasks.append(_task(network, index, tile, choice, len(tasks)))
    return Problem(network, tuple(tasks), tuple(_pieces(network, tasks, resident or {})))


def _task(network: Network, index: int, tile: Tile, choice: LayerChoice, number: int) -> Task:
    options: dict[str, Option] = {}
    uses: dict[str, Uses] = {}
    stores: dict[tuple[str, str], str] = {}
    machine = network.machine
    operands = ("I", "O", "W") if tile.weights is not None or len(tile.inputs) > 1 else ("I", "O")
    for core in network.costs.cores(network.layer(index)):
        option = network.costs.option(tile.layer, core, choice.held)
        if option is None:
            continue
        options[core] = option
        for operand in sorted(ALL_HELD):
            held = operand in choice.held
            stores[core, operand] = machine.store_of(core, operand) if held else OUTER
        uses[core] = (*network.costs.resources(core, option.cost), *machine.runs_take)
        if any(stores[core, operand] == OUTER for operand in operands):
            uses[core] += machine.streaming.get(core, ())
    if not options:
        raise NoOptionError(tile.name, "any core")
    reads = network.reads(index, tile)
    return Task(number, index, network.stage_of[index], tile, choice.held, options, uses, stores, reads)


def _pieces(network: Network, tasks: Sequence[Task], resident: Resident) -> list[Piece]:
    written: dict[str, list[tuple[Region, Task | None]]] = {}
    for task in tasks:
        first, *others = network.layer(task.layer).outputs
        written.setdefault(first.name, []).append((task.tile.output, task))
        for other in others:
            written.setdefault(other.name, []).append((network.extents[other.name].whole, task))
    needs: dict[str, list[tuple[Task, str, Region]]] = {}
    for task in tasks:
        for read in task.reads:
            needs.setdefault(read.tensor, []).append((task, read.operand, read.region))
        if task.tile.weights is not None:
            name = weights_name(network.layer(task.layer))
            needs.setdefault(name, []).append((task, "W", task.tile.weights))
    for tensor in needs:
        written.setdefault(tensor, [(network.extents[tensor].whole, None)])
    weights = {weights_name(network.layer(task.layer)) for task in tasks if task.tile.weights is not None}
    found = []
    for tensor, pieces in written.items():
        for region, maker in pieces:
            parts = ((t, operand, region.meet(wanted)) for t, operand, wanted in needs.get(tensor, ()))
            readers = tuple(Need(t, operand, part) for t, operand, part in parts if part is not None)
            delivered = maker is not None and tensor in network.outputs
            lies = resident.get(tensor, ())
            found.append(Piece(tensor, region, maker, readers, delivered, lies, tensor in weights))
    return found


def cells(part: Region, loads: Iterable[Region]) -> list[Region]:
    """Return the rectangles into which the borders of ``loads`` cut ``part``."""
    met = [both for load in loads if (both := part.meet(load)) is not None]
    rows = sorted({part.y0, part.y1, *(y for both in met for y in (both.y0, both.y1))})
    columns = sorted({part.c0, part.c1, *(c for both in met for c in (both.c0, both.c1))})
    return [Region(c0, c1, y0, y1) for y0, y1 in pairwise(rows) for c0, c1 in pairwise(columns)]
