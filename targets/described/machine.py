"""The stores and routes of an accelerator that is described by cores, memories and links."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping

from passes.errors import InputError
from targets.described.engines import Engines
from targets.description.architecture import OFFCHIP, Architecture, Link
from targets.description.hierarchy import OPERANDS, MemoryLevel
from targets.description.mapping import DEFAULT_RULE
from targets.schedule.machine import OUTER, TURNS, Machine, Route, Store, Word

Uses = tuple[tuple[str, float], ...]
# Lanes with their bandwidth in bits per cycle and their energy in pJ per bit.
Path = tuple[tuple[str, float, float], ...]


def machine_of(arch: Architecture, engines: Engines) -> Machine:
    """Return the machine of ``arch``.

    * The store of an operand is the outermost memory on chip that holds whole tensors of it. Cores that name
      a memory alike have one each.
    * Data moves along one path at a time: all its links, and the ports of the memories off chip, are taken
      for as long as the narrowest of them needs. Transfers of a bus share its bandwidth.
    * Between two places, the widest path, that with the fewest links and the shortest without a bus count.
    * Where transfers do not overlap compute, a move waits until no core works, and cores wait for it.
    * Memories on chip limit the speed of a path by the width of their ports; a run beside it does not slow
      it down.

    Raises:
        InputError: The links do not join a core with the memories off chip.
    """
    stores, operand_stores = _stores(arch, engines)
    ports = _offchip_ports(arch, engines)
    links = {_link_name(i, link): link for i, link in enumerate(arch.links)}
    capacities: dict[str, float] = {core.name: 1 for core in arch.cores}
    for name, link in links.items():
        if link.bandwidth_bits_per_cycle is not None:
            for lane in _lanes(name, link):
                capacities[lane] = link.bandwidth_bits_per_cycle
    capacities |= dict((*ports[0], *ports[1]))
    home = {store: core for (core, _), store in operand_stores.items()}
    homes: dict[str, str] = home | {OUTER: OFFCHIP}
    routes: dict[tuple[str, str], tuple[Route, ...]] = {}
    for source, start in homes.items():
        ways = _ways(links, start)
        for target, goal in homes.items():
            if source != target:
                found = _routes(ways, start, goal, stores[source], stores[target], ports, bool(links))
                if found:
                    routes[source, target] = found
    working = [core.name for core in arch.cores if engines.has(core.name)]
    streaming = {core: _streaming(links, core, ports) for core in working}
    _check_ways(arch, homes, routes)
    if arch.overlap:
        return Machine(capacities, stores, operand_stores, routes, streaming)
    # A move takes the turns of all cores, so that none computes beside it.
    capacities[TURNS] = len(arch.cores)
    turns = ((TURNS, 1.0),), ((TURNS, float(len(arch.cores))),)
    return Machine(capacities, stores, operand_stores, routes, streaming, *turns)


def _check_ways(
    arch: Architecture, homes: Mapping[str, str], routes: Mapping[tuple[str, str], tuple[Route, ...]]
) -> None:
    """Check that data gets from the memories off chip to every store and back.

    Raises:
        InputError: It does not.
    """
    for store, core in homes.items():
        for source, target, way in ((OUTER, store, "to '{}' from"), (store, OUTER, "from '{}' to")):
            if store != OUTER and (source, target) not in routes:
                raise InputError(
                    f"{arch.name}: no links lead {way.format(core)} the memories off chip",
                    f"add a link or bus with '{OFFCHIP}' among its cores, or leave all links out",
                )


def _stores(arch: Architecture, engines: Engines) -> tuple[dict[str, Store], dict[tuple[str, str], str]]:
    stores: dict[str, Store] = {}
    operand_stores: dict[tuple[str, str], str] = {}
    outer: Store | None = None
    for core in arch.cores:
        if not engines.has(core.name):
            continue
        hierarchy = engines.hierarchy(core.name)
        held = engines.stores(core.name, DEFAULT_RULE)
        for operand in OPERANDS:
            if held[operand]:
                memory = held[operand][0][0]
                name = f"{core.name}.{memory}"
                stores[name] = _store(name, hierarchy.memories[memory], endless=False)
                operand_stores[core.name, operand] = name
        offchip = [name for name in hierarchy.memories if name in engines.offchip(core.name)]
        if outer is None and offchip:
            outer = _store(OUTER, hierarchy.memories[offchip[0]], endless=True)
    stores[OUTER] = outer or Store(OUTER, None, Word(1), Word(1))
    return stores, operand_stores


def _store(name: str, level: MemoryLevel, endless: bool) -> Store:
    reads = [p for p in level.ports if any(t.endswith("to_below") or t == "O to_above" for t in p.serves)]
    writes = [
        p for p in level.ports if any(t.endswith("from_above") or t == "O from_below" for t in p.serves)
    ]
    read, write = (reads or list(level.ports))[0], (writes or list(level.ports))[0]
    return Store(
        name,
        None if endless else level.size_bits,
        Word(read.bandwidth_bits_per_cycle, level.read_energy_pj, read.granularity_bits),
        Word(write.bandwidth_bits_per_cycle, level.write_energy_pj, write.granularity_bits),
    )


def _offchip_ports(arch: Architecture, engines: Engines) -> tuple[Uses, Uses]:
    """Return the ports data leaves the memories off chip through, and those it comes in through."""
    core = next(core.name for core in arch.cores if engines.has(core.name))
    hierarchy = engines.hierarchy(core)
    level = next(level for name, level in hierarchy.memories.items() if name in engines.offchip(core))
    found: list[Uses] = []
    for wanted in (("I to_below", "W to_below"), ("O from_below",)):
        ports = [p for p in level.ports if any(t in p.serves for t in wanted)][:1]
        found.append(tuple((f"{OFFCHIP}.{p.name}", float(p.bandwidth_bits_per_cycle)) for p in ports))
    return found[0], found[1]


def _link_name(index: int, link: Link) -> str:
    joined = "-".join(link.cores) if link.kind == "point_to_point" else "all"
    return f"{'link' if link.kind == 'point_to_point' else 'bus'}_{index}.{joined}"


def _lanes(name: str, link: Link) -> tuple[str, ...]:
    """Return the resources of a link: a wire for each direction, or the one bus."""
    if link.kind == "bus":
        return (name,)
    return tuple(_lane(name, link, end) for end in link.cores)


def _lane(name: str, link: Link, towards: str) -> str:
    return name if link.kind == "bus" else f"{name}>{towards}"


def _steps(links: Mapping[str, Link], at: str) -> Iterator[tuple[str, str, float, float]]:
    """Yield where one link leads: the place, the lane, its bandwidth and its energy per bit."""
    for name, link in links.items():
        if at not in link.cores:
            continue
        for towards in link.cores:
            outward, inward = link.direction == "to_offchip", link.direction == "from_offchip"
            if towards == at or (at == OFFCHIP and outward) or (towards == OFFCHIP and inward):
                continue
            width = link.bandwidth_bits_per_cycle
            yield (
                towards,
                _lane(name, link, towards),
                math.inf if width is None else width,
                link.energy_pj_per_bit,
            )


def _ways(links: Mapping[str, Link], start: str) -> list[dict[str, Path]]:
    """Return, by where they lead, the widest paths, those of fewest links, and those without a bus."""
    wires = {name: link for name, link in links.items() if link.kind == "point_to_point"}
    return [_paths(links, start, widest=True), _paths(links, start), _paths(wires, start)]


def _routes(
    ways: list[dict[str, Path]],
    start: str,
    goal: str,
    source: Store,
    target: Store,
    ports: tuple[Uses, Uses],
    described: bool,
) -> tuple[Route, ...]:
    """Return the paths worth considering; where no link is described, a direct way off chip."""
    ends: Uses = (*(ports[0] if start == OFFCHIP else ()), *(ports[1] if goal == OFFCHIP else ()))
    limit = min(source.read.width_bits, target.write.width_bits, *(width for _, width in ends), math.inf)
    if start == goal or (not described and OFFCHIP in (start, goal)):
        return (Route(tuple((name, limit) for name, _ in ends), limit),)
    found: dict[Uses, Route] = {}
    for path in (paths[goal] for paths in ways if goal in paths):
        rate = min(limit, *(width for _, width, _ in path))
        uses = tuple((name, rate) for name, width, _ in path if not math.isinf(width))
        uses += tuple((name, rate) for name, _ in ends)
        found[uses] = Route(uses, rate, sum(energy for _, _, energy in path))
    return tuple(found.values())


def _paths(links: Mapping[str, Link], start: str, widest: bool = False) -> dict[str, Path]:
    """Return the best path to each place.

    Data passes no memory off chip. A link without a limit leads to its other end and no further: it stands
    for wires nobody has described, which are no way around those that somebody has.
    """
    heap: list[tuple[float, float, str, Path]] = [(0.0, 0.0, start, ())]
    done: dict[str, Path] = {}
    while heap:
        _, _, at, path = heapq.heappop(heap)
        if at in done:
            continue
        done[at] = path
        endless = any(math.isinf(width) for _, width, _ in path)
        if endless or (at == OFFCHIP and at != start):
            continue
        for towards, lane, width, energy in _steps(links, at):
            if towards not in done and not (path and math.isinf(width)):
                longer = (*path, (lane, width, energy))
                narrow = -min(w for _, w, _ in longer)
                key = (narrow, len(longer)) if widest else (len(longer), narrow)
                heapq.heappush(heap, (*key, towards, longer))
    del done[start]
    return done


def _streaming(links: Mapping[str, Link], core: str, ports: tuple[Uses, Uses]) -> Uses:
    """Return what a core takes while it streams: the ports off chip whole, and the links at their pace."""
    taken = dict((*ports[0], *ports[1]))
    rate = max(taken.values(), default=0.0)
    for start, goal in ((OFFCHIP, core), (core, OFFCHIP)):
        for lane, width, _ in _paths(links, start, widest=True).get(goal, ()):
            if not math.isinf(width):
                taken[lane] = min(width, rate)
    return tuple(sorted(taken.items()))
