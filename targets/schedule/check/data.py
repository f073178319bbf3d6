"""Whether what runs read and moves take is where they look for it, from their start to their end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from targets.schedule.machine import OUTER
from targets.schedule.network import Network, weights_name
from targets.schedule.regions import Region
from targets.schedule.result import Run, Schedule, Stay


class Held(NamedTuple):
    """A part of a tensor that can be read in a store from ``ready`` up to ``until``."""

    region: Region
    ready: float
    until: float


class TimedAccess(NamedTuple):
    """A run or a move reads or writes a part of a tensor in a store from ``start`` up to ``end``."""

    who: str
    store: str
    tensor: str
    region: Region
    start: int
    end: int


# Parts by store and tensor.
Contents = Mapping[tuple[str, str], list[Held]]


def uncovered(region: Region, parts: Iterable[Region]) -> list[Region]:
    """Return what of ``region`` is in none of ``parts``."""
    left = [region]
    for part in parts:
        left = [rest for piece in left for rest in _minus(piece, part)]
    return left


def _minus(region: Region, part: Region) -> list[Region]:
    both = region.meet(part)
    if both is None:
        return [region]
    around = (
        Region(region.c0, region.c1, region.y0, both.y0),
        Region(region.c0, region.c1, both.y1, region.y1),
        Region(region.c0, both.c0, both.y0, both.y1),
        Region(both.c1, region.c1, both.y0, both.y1),
    )
    return [rest for rest in around if rest.c0 < rest.c1 and rest.y0 < rest.y1]


def place_of(network: Network, run: Run, operand: str) -> str:
    """Return the store in which ``run`` has an operand."""
    return network.machine.store_of(run.core, operand) if operand in run.held else OUTER


def data_problems(network: Network, schedule: Schedule) -> Iterator[str]:
    """Yield what is read or moved where it is not yet or no more, and outputs that do not arrive."""
    stays: dict[tuple[str, str], list[Stay]] = {}
    for stay in schedule.stays:
        stays.setdefault((stay.store, stay.tensor), []).append(stay)
    contents = _at_the_start(network, schedule)
    for name in sorted(schedule.resident - {tensor for store, tensor in contents if store != OUTER}):
        yield f"'{name}' is said to stay on chip but lies in no store there for good"
    for name in sorted(schedule.resident & (set(network.producer) | set(network.consumers))):
        yield f"'{name}' is said to stay on chip but is not the same for every input"
    for access in _writes(network, schedule):
        key = access.store, access.tensor
        until = math.inf
        if network.machine.stores[access.store].size_bits is not None:
            around = [end_of(stay) for stay in stays.get(key, ()) if _covers(stay, access)]
            until = max(around, default=-math.inf)
            if not around:
                part = f"{access.region} of '{access.tensor}'"
                yield f"no room is kept in {access.store} for {part}, which {access.who} writes"
        contents.setdefault(key, []).append(Held(access.region, access.end, until))
    for access in _reads(network, schedule):
        yield from _access_problems(access, contents)
    yield from _output_problems(network, schedule, contents)


def _at_the_start(network: Network, schedule: Schedule) -> dict[tuple[str, str], list[Held]]:
    """Return what lies where before the first cycle.

    That is weights that stay on chip, and in the outer store what no layer produces. Where it has a size,
    inputs are there as long as room is kept for them; weights may come from beyond it.
    """
    contents: dict[tuple[str, str], list[Held]] = {}
    endless = network.machine.stores[OUTER].size_bits is None
    for tensor, extent in network.extents.items():
        if tensor not in network.producer and (endless or tensor not in network.consumers):
            contents[OUTER, tensor] = [Held(extent.whole, 0, math.inf)]
    for stay in schedule.stays:
        given = stay.store == OUTER and stay.tensor not in network.producer
        if stay.start == 0 and (given or (stay.tensor in schedule.resident and stay.end is None)):
            contents.setdefault((stay.store, stay.tensor), []).append(Held(stay.region, 0, end_of(stay)))
    return contents


def _covers(stay: Stay, write: TimedAccess) -> bool:
    return stay.start <= write.start and end_of(stay) >= write.end and write.region.within(stay.region)


def end_of(stay: Stay) -> float:
    """Return when ``stay`` ends, infinity for never."""
    return math.inf if stay.end is None else stay.end


def _writes(network: Network, schedule: Schedule) -> Iterator[TimedAccess]:
    for run in schedule.runs:
        first, *others = network.layer(run.layer).outputs
        target = place_of(network, run, "O")
        yield TimedAccess(f"'{run.name}'", target, first.name, run.output, run.start, run.end)
        for other in others:
            whole = network.extents[other.name].whole
            yield TimedAccess(f"'{run.name}'", target, other.name, whole, run.start, run.end)
    for move in schedule.moves:
        yield TimedAccess("a move", move.destination, move.tensor, move.region, move.start, move.end)


def _reads(network: Network, schedule: Schedule) -> Iterator[TimedAccess]:
    for run in schedule.runs:
        who = f"'{run.name}'"
        for read in run.reads:
            store = place_of(network, run, read.operand)
            yield TimedAccess(who, store, read.tensor, read.region, run.start, run.end)
        if run.weights is not None:
            weights = weights_name(network.layer(run.layer))
            yield TimedAccess(who, place_of(network, run, "W"), weights, run.weights, run.start, run.end)
    for move in schedule.moves:
        yield TimedAccess("a move", move.source, move.tensor, move.region, move.start, move.end)


def _access_problems(access: TimedAccess, contents: Contents) -> Iterator[str]:
    arrived = [h for h in contents.get((access.store, access.tensor), ()) if h.ready <= access.start]
    where = f"of '{access.tensor}' in {access.store}"
    for hole in uncovered(access.region, [held.region for held in arrived])[:1]:
        yield f"{access.who} reads {hole} {where} at cycle {access.start}, before it is there"
        return
    for hole in uncovered(access.region, [h.region for h in arrived if h.until >= access.end])[:1]:
        yield f"{access.who} reads {hole} {where} up to cycle {access.end}, when it is gone"


def _output_problems(network: Network, schedule: Schedule, contents: Contents) -> Iterator[str]:
    for name in sorted(network.outputs):
        end = schedule.stage_end_cycles[network.stage_of[network.producer[name]]]
        arrived = [held.region for held in contents.get((OUTER, name), ()) if held.ready <= end]
        for hole in uncovered(network.extents[name].whole, arrived)[:1]:
            yield f"{hole} of the output '{name}' is not in {OUTER} at cycle {end}, when its stage ends"
