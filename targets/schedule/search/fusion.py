"""Groups of layers through which tiles of rows flow, and how their tiles are spread over cores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from targets.schedule.network import Network
from targets.schedule.plan import LayerChoice, Segment, cut_tiles
from targets.schedule.search.candidates import Candidates
from targets.schedule.tiles import WHOLE, Cut, cuttable

# Layers and tiles of a group that are still worth their scheduling time.
MAX_LAYERS = 24
MAX_TILES = 300
# Heights of tiles that are tried: the finest that stay below the limit.
_MOST_COUNTS = 3
# How the tiles of a layer are spread over alike cores: neighbouring tiles on one core, tiles in turn, all
# tiles of a layer on one core, so that rows flow from core to core, or all layers on one core, so that
# nothing moves between cores and weights lie in one of them.
BLOCKS, TURNS, PIPELINE, TOGETHER = "blocks", "turns", "pipeline", "together"
# Those that are weighed against each other with the finest tiles, before coarser ones are tried.
PATTERNS = ((PIPELINE, BLOCKS, TURNS), (TOGETHER,))


def runs(network: Network) -> dict[int, list[int]]:
    """Return, per position of the order where a group may begin, the positions where it may end.

    A group is a stretch of layers of one stage that can all be cut into rows. It begins and ends where only
    one tensor is alive, or where no more layers can be cut.
    """
    order = network.order
    waists = _waists(network)
    found: dict[int, list[int]] = {}
    for begin in range(len(order)):
        if not (begin in waists or _breaks(network, begin)):
            continue
        ends = []
        for end in range(begin + 1, min(begin + MAX_LAYERS, len(order)) + 1):
            if cuttable(network.layer(order[end - 1]), "OY") < 2:
                break
            last = (
                end in {len(order), begin + MAX_LAYERS}
                or _breaks(network, end)
                or cuttable(network.layer(order[end]), "OY") < 2
            )
            if end - begin > 1 and (end in waists or last):
                ends.append(end)
            if last:
                break
        if ends:
            found[begin] = ends
    return found


def _breaks(network: Network, position: int) -> bool:
    """Whether a stage begins at a position, or the layer before it cannot be cut."""
    order = network.order
    if position == 0 or network.stage_of[order[position]] != network.stage_of[order[position - 1]]:
        return True
    return cuttable(network.layer(order[position - 1]), "OY") < 2


def _waists(network: Network) -> set[int]:
    """Return the positions at which only one tensor is alive."""
    order = network.order
    position = {index: p for p, index in enumerate(order)}
    alive = [0] * (len(order) + 1)
    for name, readers in network.consumers.items():
        begin = position[network.producer[name]] + 1 if name in network.producer else 0
        for p in range(begin, max(position[r] for r in readers) + 1):
            alive[p] += 1
    return {p for p in range(len(order)) if alive[p] == 1}


def tile_counts(network: Network, layers: Sequence[int], most: int = MAX_TILES) -> list[int]:
    """Return into how many tiles a group may be cut: the finest, of at most ``most`` tiles in all."""
    rows = max(cuttable(network.layer(index), "OY") for index in layers)
    counts = sorted({-(-rows // height) for height in (1, 2, 4, 8, 16, 32)} - {1}, reverse=True)
    return [n for n in counts if tiles_in(network, layers, n) <= most][:_MOST_COUNTS]


def tiles_in(network: Network, layers: Sequence[int], count: int) -> int:
    """Return how many tiles all layers of a group have."""
    return sum(min(count, cuttable(network.layer(index), "OY")) for index in layers)


def fused(candidates: Candidates, layers: Sequence[int], count: int, pattern: str) -> Iterator[Segment]:
    """Yield the group, if every layer has tiles that fit a core."""
    network = candidates.network
    choices = []
    busy: dict[str, int] = {}
    for index in layers:
        groups = candidates.groups(index)
        cut = Cut("OY", min(count, cuttable(network.layer(index), "OY"))) if count > 1 else WHOLE
        choice = next(
            (c for cores in groups for c in _spread(candidates, index, cut, cores, pattern, busy)), None
        )
        if choice is None:
            return
        for number, core in enumerate(choice.cores):
            busy[core] = busy.get(core, 0) + candidates.cost(index, choice, number).latency_cycles
        choices.append(choice)
    yield Segment(tuple(layers), tuple(choices))


def _spread(
    candidates: Candidates, index: int, cut: Cut, cores: Sequence[str], pattern: str, busy: dict[str, int]
) -> Iterator[LayerChoice]:
    tiles = cut_tiles(candidates.network.layer(index), cut)
    for held in candidates.held_for(index, tiles[0], cores[0]):
        if any(candidates.option(tile, cores[0], held) is None for tile in tiles):
            continue
        if pattern == PIPELINE:
            spread = (min(cores, key=lambda core: (busy.get(core, 0), core)),) * cut.parts
        elif pattern == TOGETHER:
            spread = (cores[0],) * cut.parts
        elif pattern == BLOCKS:
            spread = tuple(cores[n * len(cores) // cut.parts] for n in range(cut.parts))
        else:
            spread = tuple(cores[n % len(cores)] for n in range(cut.parts))
        yield LayerChoice(spread, cut, held)
        return
