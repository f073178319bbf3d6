"""What the solver starts from: a schedule that is known."""

from __future__ import annotations

from targets.schedule.exact.model import Model
from targets.schedule.exact.shipment import Shipment
from targets.schedule.result import Move, Run, Schedule


def hint(model: Model, schedule: Schedule) -> None:
    """Let the solver start from the cores, routes and times of ``schedule``."""
    solver = model.solver
    by_tile = {(run.layer, run.cut[0]): run for run in schedule.runs}
    runs = [by_tile[task.layer, task.tile.number] for task in model.problem.tasks]
    for task, run in zip(model.problem.tasks, runs, strict=True):
        solver.add_hint(model.starts[task.number], run.start)
        solver.add_hint(model.ends[task.number], run.end)
        for core in task.options:
            solver.add_hint(model.runs_on[task.number, core], core == run.core)
    for (number, operand, store), there in model.combined.items():
        task = model.problem.tasks[number]
        solver.add_hint(there, task.stores[runs[number].core, operand] == store)
    for end, known in zip(model.stage_ends, schedule.stage_end_cycles, strict=True):
        solver.add_hint(end, known)
    moves: dict[tuple[object, ...], Move] = {}
    for move in schedule.moves:
        moves.setdefault((move.tensor, move.region, move.destination, move.stage), move)
    for shipment in model.shipments:
        tensor = shipment.piece.tensor
        found = moves.get((tensor, shipment.region, shipment.destination, shipment.stage))
        inside = found is not None and found.region.within(shipment.piece.region)
        _hint_move(model, shipment, found if inside else None, runs)


def _hint_move(model: Model, shipment: Shipment, move: Move | None, runs: list[Run]) -> None:
    solver = model.solver
    solver.add_hint(shipment.made, move is not None)
    fitting = -1
    if move is not None:
        solver.add_hint(shipment.start, move.start)
        solver.add_hint(shipment.end, move.end)
        uses = move.uses[: len(move.uses) - len(model.problem.machine.moves_take)]
        known = [(way.source, way.route.uses) == (move.source, uses) for way in shipment.ways]
        fitting = known.index(True) if True in known else -1
    for number, way in enumerate(shipment.ways):
        solver.add_hint(way.taken, number == fitting)
    for kind, ways in shipment.kinds:
        solver.add_hint(kind, fitting >= 0 and any(way is shipment.ways[fitting] for way in ways))
    for need, uses_it in shipment.readers:
        run = runs[need.task.number]
        there = need.task.stores[run.core, need.operand] == shipment.destination
        solver.add_hint(uses_it, there and move is not None and move.end <= run.start)
