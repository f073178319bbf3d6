"""A schedule from what the solver found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from targets.schedule.exact.model import Model
from targets.schedule.exact.problem import Need, Piece, Problem, Task, cells
from targets.schedule.exact.shipment import Shipment, Way
from targets.schedule.machine import OUTER
from targets.schedule.plan import Resident
from targets.schedule.profile import Profile
from targets.schedule.result import Move, Purpose, Run, Schedule, Stay
from targets.schedule.state import WHOLE_REGION, State

# Value of a variable in a solution.
Values = Callable[[Any], int]


def built(model: Model, value: Values, resident: Resident | None) -> tuple[Schedule, bool]:
    """Return the schedule with the cores, routes and times of a solution, and whether it is one.

    It is not where the solution fetches what was moved out, or stores hold more than there is room for.
    """
    problem = model.problem
    cores = {number: core for (number, core), var in model.runs_on.items() if value(var)}
    runs = [_run(task, cores[task.number], value(model.starts[task.number])) for task in problem.tasks]
    by_piece: dict[int, list[Shipment]] = {}
    for shipment in model.shipments:
        if value(shipment.made):
            by_piece.setdefault(id(shipment.piece), []).append(shipment)
    moves: list[Move] = []
    stays: list[Stay] = list(State(problem.network, resident).stays)
    whole = True
    for piece in problem.pieces:
        kept = _Kept(model, value, piece, runs, cores, by_piece.get(id(piece), ()))
        moves += kept.moves
        stays += kept.stays
        whole = whole and not kept.spilled
    for task, run in zip(problem.tasks, runs, strict=True):
        for store, bits in task.options[run.core].buffers:
            stays.append(Stay(store, f"{run.name}.buffers", WHOLE_REGION, bits, run.start, run.end))
    ends = [0] * problem.stages
    timed: list[Run | Move] = [*runs, *moves]
    for work in timed:
        for stage in range(work.stage, problem.stages):
            ends[stage] = max(ends[stage], work.end)
    schedule = Schedule(
        tuple(sorted(runs, key=lambda run: (run.start, run.end, run.name))),
        tuple(sorted(moves, key=lambda m: (m.start, m.end, m.tensor, m.destination, m.region))),
        tuple(sorted(stays, key=lambda s: (s.store, s.start, s.tensor, s.region))),
        problem.network.stage_names,
        tuple(ends),
        frozenset(resident or ()),
    )
    return schedule, whole and _fits(problem, stays)


def _run(task: Task, core: str, start: int) -> Run:
    tile, cost = task.tile, task.options[core].cost
    return Run(
        tile.name, task.layer, core, start, start + cost.latency_cycles, task.stage, task.uses[core], cost,
        task.held, task.reads, tile.weights, tile.output, (tile.number, tile.count),
    )  # fmt: skip


def _fits(problem: Problem, stays: Sequence[Stay]) -> bool:
    stores = problem.machine.stores
    levels: Mapping[str, Profile] = {name: Profile(store.size_bits) for name, store in stores.items()}
    for stay in stays:
        levels[stay.store].add(stay.start, stay.end, stay.bits)
    return all(level.capacity is None or level.peak <= level.capacity for level in levels.values())


class _Kept:
    """What a piece takes: the moves that are of use, and how long it stays where.

    Attributes:
        spilled: Whether something is taken from the outer store that no move brought there.
    """

    def __init__(
        self, model: Model, value: Values, piece: Piece, runs: Sequence[Run], cores: Mapping[int, str],
        made: Sequence[Shipment],
    ) -> None:  # fmt: skip
        self._model, self._value, self._piece, self._runs = model, value, piece, runs
        self._last: dict[int, int] = {}
        self._read: set[int] = set()
        self.moves: list[Move] = []
        self.stays: list[Stay] = []
        self.spilled = False
        home = self._home(cores)
        at_home = 0 if piece.maker is None else runs[piece.maker.number].end
        for need in piece.needs:
            store = need.task.stores[cores[need.task.number], need.operand]
            end = runs[need.task.number].end
            if store in home:
                at_home = max(at_home, end)
                continue
            for shipment in self._bringing(need, store, made):
                self._touch(shipment, end)
                self._read.add(id(shipment))
        for shipment in sorted(made, key=lambda s: (value(s.start), value(s.end)), reverse=True):
            way = next(way for way in shipment.ways if value(way.taken))
            if id(shipment) not in self._last and not self._delivers(shipment, home):
                continue
            self._add(shipment, way)
            if way.behind is not None:
                self._touch(way.behind, value(shipment.end))
            elif way.source in home:
                at_home = max(at_home, value(shipment.end))
        bits = model.problem.bits(piece, piece.region)
        if piece.maker is not None:
            start = runs[piece.maker.number].start
            self.stays.append(Stay(home[0], piece.tensor, piece.region, bits, start, at_home))
        elif not piece.weights:
            self.stays.append(Stay(OUTER, piece.tensor, piece.region, bits, 0, at_home))

    def _home(self, cores: Mapping[int, str]) -> tuple[str, ...]:
        maker = self._piece.maker
        return self._piece.sources if maker is None else (maker.stores[cores[maker.number], "O"],)

    def _touch(self, shipment: Shipment, end: int) -> None:
        self._last[id(shipment)] = max(end, self._last.get(id(shipment), 0))

    def _delivers(self, shipment: Shipment, home: Sequence[str]) -> bool:
        piece = self._piece
        own = piece.maker is not None and shipment.stage == piece.maker.stage
        whole = (shipment.destination, shipment.region) == (OUTER, piece.region)
        return piece.delivered and own and OUTER not in home and whole

    def _bringing(self, need: Need, store: str, made: Sequence[Shipment]) -> Iterable[Shipment]:
        """Return the first arrivals that together bring all a task needs."""
        value = self._value
        start = self._runs[need.task.number].start
        there = [s for s in made if s.destination == store and value(s.end) <= start]
        lying = [region for _, region in self._piece.resident]
        around = cells(need.part, [*lying, *(s.region for s in there)])
        missing = [cell for cell in around if not self._piece.lies(cell, store)]
        for shipment in sorted(there, key=lambda s: (-s.region.cells, value(s.end))):
            left = [cell for cell in missing if not cell.within(shipment.region)]
            if len(left) < len(missing):
                missing = left
                yield shipment
        self.spilled = self.spilled or bool(missing)

    def _add(self, shipment: Shipment, way: Way) -> None:
        model, value, piece = self._model, self._value, self._piece
        bits = model.problem.bits(piece, shipment.region)
        stores = model.problem.machine.stores
        start, end = value(shipment.start), value(shipment.end)
        self.spilled = self.spilled or way.spilled
        self.moves.append(
            Move(
                piece.tensor, shipment.region, way.source, shipment.destination, start, end, shipment.stage,
                (*way.route.uses, *model.problem.machine.moves_take), bits, shipment.layer,
                _purpose(shipment, id(shipment) in self._read), stores[way.source].read.energy_of(bits),
                bits * way.route.energy_pj_per_bit, stores[shipment.destination].write.energy_of(bits),
            )
        )  # fmt: skip
        last = max(end, self._last.get(id(shipment), 0))
        self.stays.append(Stay(shipment.destination, piece.tensor, shipment.region, bits, start, last))


def _purpose(shipment: Shipment, read: bool) -> Purpose:
    """Return why a move is made; ``read`` tells whether a task reads what it brings where it brings it."""
    piece = shipment.piece
    if piece.maker is None:
        return "weights" if piece.weights else "input"
    if shipment.destination != OUTER:
        return "activations"
    if piece.delivered:
        return "output"
    return "activations" if read else "spill"
