"""What no schedule can undercut, however its layers are cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from targets.objective import Objective
from targets.schedule.exact.crossings import crossings, least_uses, move_energy
from targets.schedule.exact.loads import Load, crowd
from targets.schedule.exact.problem import Problem, cells, part_of
from targets.schedule.network import Network
from targets.schedule.plan import LayerChoice, NoOptionError


@dataclass(frozen=True)
class _Layer:
    """The least of everything over all ways to cut a layer, each by itself.

    Attributes:
        tile_cycles: Of the shortest tile.
        work_cycles: Of all tiles, each on its fastest core.
        energy_pj: Of all tiles and of what they bring from off chip or send there.
        uses: Of each resource, in units times cycles: what runs take and moves from off chip.
        sends: The same for moves of results.
        reads: Tensors of which every tile, and every row of which some tile, reads a part.
    """

    cores: frozenset[str]
    tile_cycles: int
    work_cycles: int
    energy_pj: float
    uses: Mapping[str, float]
    sends: Mapping[str, float]
    reads: frozenset[str]


def free_bound(
    network: Network, ways: Mapping[int, Sequence[LayerChoice]], objective: Objective, ratios: Sequence[float]
) -> float:
    """Return a value of ``objective`` that no schedule undercuts which cuts every layer in one of ``ways``.

    The argument is that of :func:`targets.schedule.exact.bounds.floor_of`, with the least of each quantity
    over the ways of a layer: a tile starts after some tile of every layer it reads from, and some tile
    of every layer that reads all of its result starts behind it. What moves between cores is not counted.

    Args:
        network: What is scheduled.
        ways: Cuts and held operands that may be chosen, by layer; cores do not count.
        objective: What is minimised.
        ratios: Share of inputs that leave at each exit.

    Raises:
        NoOptionError: A layer has no way that runs on any core.
    """
    layers = {index: _least(network, index, ways[index]) for index in network.order}
    heads, tails = _around(network, layers)
    spans = [0] * len(network.stage_names)
    energies = [0.0] * len(network.stage_names)
    for index, layer in layers.items():
        stage = network.stage_of[index]
        spans[stage] = max(spans[stage], heads[index] + layer.tile_cycles + tails[index])
        energies[stage] += layer.energy_pj
    for stage in range(len(spans)):
        inside = [index for index in network.order if network.stage_of[index] == stage]
        for group in {layers[index].cores for index in inside}:
            own = [index for index in inside if group.issuperset(layers[index].cores)]
            work = [Load(heads[i], float(layers[i].work_cycles), tails[i]) for i in own]
            spans[stage] = max(spans[stage], crowd(work, len(group)))
        for resource, capacity in network.machine.capacities.items():
            work = [Load(0, layers[i].uses.get(resource, 0.0), tails[i]) for i in inside]
            work += [
                Load(heads[i] + layers[i].tile_cycles, layers[i].sends.get(resource, 0.0), 0) for i in inside
            ]
            spans[stage] = max(spans[stage], crowd([load for load in work if load.work], capacity))
    ends = [sum(spans[: i + 1]) for i in range(len(spans))]
    return objective.expected(ratios, ends, [sum(energies[: i + 1]) for i in range(len(energies))])


def _least(network: Network, index: int, ways: Sequence[LayerChoice]) -> _Layer:
    problems = []
    for choice in dict.fromkeys(way._replace(cores=()) for way in ways):
        try:
            problems.append(part_of(network, {index: choice}))
        except NoOptionError:
            continue
    if not problems:
        raise NoOptionError(network.layer(index).name, "any core")
    costs = [_moved(network, problem) for problem in problems]
    cycles = [[task.least_cycles for task in problem.tasks] for problem in problems]
    return _Layer(
        frozenset(core for problem in problems for task in problem.tasks for core in task.options),
        min(map(min, cycles)),
        min(map(sum, cycles)),
        min(energy for energy, _, _ in costs),
        _lowest([taken for _, taken, _ in costs]),
        _lowest([sent for _, _, sent in costs]),
        frozenset.intersection(*(_all_read(network, problem) for problem in problems)),
    )


def _lowest(taken: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: min(t.get(name, 0.0) for t in taken) for name in taken[0]}


def _moved(network: Network, problem: Problem) -> tuple[float, dict[str, float], dict[str, float]]:
    """Return the energy of a way, what it takes of resources before and while it runs, and what after it."""
    energy = sum(min(option.cost.energy_pj for option in t.options.values()) for t in problem.tasks)
    taken: dict[str, float] = {}
    sent: dict[str, float] = {}
    for task in problem.tasks:
        for name in {name for uses in task.uses.values() for name, _ in uses}:
            work = min(
                task.cycles(core) * sum(amount for n, amount in task.uses[core] if n == name)
                for core in task.options
            )
            taken[name] = taken.get(name, 0.0) + work
    for piece in problem.pieces:
        made = piece.maker is None and piece.tensor in network.producer
        if made or len(network.consumers.get(piece.tensor, ())) > 1:
            continue
        for move in crossings(problem, piece):
            energy += move_energy(network.machine, move)
            into = taken if move.need is not None else sent
            for name, amount in least_uses(network.machine, move).items():
                into[name] = into.get(name, 0.0) + amount * move.bits
    return energy, taken, sent


def _all_read(network: Network, problem: Problem) -> frozenset[str]:
    """Return the tensors made by other layers of which no row stays unread, and each tile reads some."""
    found = set()
    for tensor in {read.tensor for task in problem.tasks for read in task.reads}:
        parts = [read.region for task in problem.tasks for read in task.reads if read.tensor == tensor]
        whole = network.extents[tensor].whole
        if all(any(cell.within(part) for part in parts) for cell in cells(whole, parts)):
            found.add(tensor)
    return frozenset(found)


def _around(network: Network, layers: Mapping[int, _Layer]) -> tuple[dict[int, int], dict[int, int]]:
    """Return the least time before the first and behind the last tile of each layer within its stage."""
    heads: dict[int, int] = {}
    tails = dict.fromkeys(network.order, 0)
    for index in network.order:
        before = [network.producer[t.name] for t in network.layer(index).inputs if t.name in network.producer]
        same = [p for p in before if network.stage_of[p] == network.stage_of[index]]
        heads[index] = max((heads[p] + layers[p].tile_cycles for p in same), default=0)
    for index in reversed(network.order):
        for operand in network.layer(index).outputs[:1]:
            for reader in network.consumers.get(operand.name, ()):
                if (
                    network.stage_of[reader] == network.stage_of[index]
                    and operand.name in layers[reader].reads
                ):
                    tails[index] = max(tails[index], layers[reader].tile_cycles + tails[reader])
    return heads, tails
