"""What the scheduler decides, and the schedule that follows from it."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from targets.network.layer import Layer
from targets.schedule.network import ALL_HELD, Held, Network
from targets.schedule.regions import Region
from targets.schedule.result import Schedule
from targets.schedule.state import State
from targets.schedule.tiles import WHOLE, Cut, Tile, tiles_of


class LayerChoice(NamedTuple):
    """What is decided for one layer.

    Attributes:
        cores: The core of each tile.
        cut: How the layer is cut into tiles.
        held: Operands that lie whole in the stores of the core; the others are streamed from the outer store.
    """

    cores: tuple[str, ...]
    cut: Cut = WHOLE
    held: Held = ALL_HELD


class Segment(NamedTuple):
    """Layers that are scheduled together; several are fused: their tiles are placed depth first."""

    layers: tuple[int, ...]
    choices: tuple[LayerChoice, ...]


Plan = tuple[Segment, ...]
# Where weights stay between inferences: stores and parts, by the name of the weights.
Places = tuple[tuple[str, Region], ...]
Resident = Mapping[str, Places]


@functools.lru_cache(maxsize=4096)
def cut_tiles(layer: Layer, cut: Cut) -> tuple[Tile, ...]:
    """Return the tiles of ``layer``; see :func:`tiles_of`."""
    return tiles_of(layer, cut)


class NoOptionError(Exception):
    """No mapping of a tile fits the core it was put on."""


def place_segment(state: State, segment: Segment) -> None:
    """Place all tiles of a segment.

    Raises:
        NoOptionError: No mapping of a tile fits its core.
        NoRoomError: A store cannot hold what a tile needs at once.
    """
    network = state.network
    stage = network.stage_of[segment.layers[0]]
    while len(state.stage_ends) < stage:
        state.end_stage()
    tiles = {
        i: cut_tiles(network.layer(i), c.cut) for i, c in zip(segment.layers, segment.choices, strict=True)
    }
    choices = dict(zip(segment.layers, segment.choices, strict=True))
    if len(segment.layers) > 1:
        _expect(state, tiles)
    left = {index: len(own) for index, own in tiles.items()}
    for index, number in depth_first(network, tiles):
        tile, choice = tiles[index][number], choices[index]
        core = choice.cores[number]
        option = network.costs.option(tile.layer, core, choice.held)
        if option is None:
            raise NoOptionError(tile.name, core)
        state.place(index, tile, core, option, choice.held)
        left[index] -= 1
        if not left[index]:
            state.complete(index)
    state.advance(network.position[segment.layers[-1]] + 1)


def _expect(state: State, tiles: Mapping[int, Sequence[Tile]]) -> None:
    """Tell the state which tensors nothing outside the segment reads, and by which tiles they are read."""
    network = state.network
    for index, own in tiles.items():
        name = network.layer(index).outputs[0].name
        readers = network.consumers.get(name, ())
        if len(network.layer(index).outputs) > 1 or name in network.outputs or not readers:
            continue
        if all(reader in tiles for reader in readers):
            reads = [
                read.region
                for reader in readers
                for tile in tiles[reader]
                for read in network.reads(reader, tile)
                if read.tensor == name
            ]
            state.expect(name, [tile.output for tile in own], reads)


def depth_first(network: Network, tiles: Mapping[int, Sequence[Tile]]) -> list[tuple[int, int]]:
    """Return the tiles of a segment, by layer and number, each behind those it reads from.

    The tiles of the last layers come as early as they can: what is between is used up before more is made.
    """
    if len(tiles) == 1:
        return [(index, number) for index, own in tiles.items() for number in range(len(own))]
    made_by = {output.name: index for index in tiles for output in network.layer(index).outputs}
    placed: set[tuple[int, int]] = set()
    order: list[tuple[int, int]] = []

    def needed(index: int, number: int) -> list[tuple[int, int]]:
        found = []
        for read in network.reads(index, tiles[index][number]):
            maker = made_by.get(read.tensor)
            if maker is not None:
                # Layers with several outputs are not cut: their one tile makes all of each.
                found += [
                    (maker, t.number)
                    for t in tiles[maker]
                    if t.count == 1 or t.output.meet(read.region) is not None
                ]
        return found

    def visit(root: tuple[int, int]) -> None:
        stack = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if node in placed:
                continue
            if ready:
                placed.add(node)
                order.append(node)
                continue
            stack.append((node, True))
            stack.extend((other, False) for other in reversed(needed(*node)) if other not in placed)

    read_inside = {
        made_by[r.tensor] for i in tiles for r in network.reads(i, tiles[i][0]) if r.tensor in made_by
    }
    sinks = [index for index in tiles if index not in read_inside]
    most = max(len(tiles[index]) for index in sinks)
    for step in range(most):
        for index in sinks:
            count = len(tiles[index])
            for number in range(step * count // most, (step + 1) * count // most):
                visit((index, number))
    for index, own in tiles.items():
        for number in range(len(own)):
            visit((index, number))
    return order


def simulate(
    network: Network,
    plan: Iterable[Segment],
    resident: Resident | None = None,
    speculative: frozenset[int] = frozenset(),
) -> State:
    """Return the state behind all segments of ``plan``, the last stage ended.

    Args:
        network: What is scheduled.
        plan: The decisions.
        resident: Weights that are on chip before the first cycle.
        speculative: Exits behind which the next stage starts while the head decides.

    Raises:
        NoOptionError: No mapping of a tile fits its core.
        NoRoomError: A store cannot hold what a tile needs at once.
    """
    state = State(network, resident, speculative)
    for segment in plan:
        place_segment(state, segment)
    return ended(state)


def ended(state: State) -> State:
    """Return ``state`` with its stages ended."""
    while len(state.stage_ends) < len(state.network.stage_names):
        state.end_stage()
    return state


def finished(state: State, resident: Resident | None = None) -> Schedule:
    """Return a complete state as a schedule."""
    return Schedule(
        tuple(sorted(state.runs, key=lambda run: (run.start, run.end, run.name))),
        tuple(sorted(state.moves, key=lambda m: (m.start, m.end, m.tensor, m.destination, m.region))),
        tuple(sorted(state.stays, key=lambda s: (s.store, s.start, s.tensor, s.region))),
        state.network.stage_names,
        state.stage_ends,
        frozenset(resident or ()),
        state.speculative,
    )
