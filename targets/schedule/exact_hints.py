"""What the solver starts from: a schedule that is known."""

from __future__ import annotations

from targets.schedule.exact_model import Model
from targets.schedule.exact_moves import Shipment
from targets.schedule.result import Move, Schedule


def hint(model: Model, schedule: Schedule) -> None:
    """Let the solver start from the cores, routes and times of ``schedule``."""
    solver = model.solver
    runs = {(run.layer, run.cut[0]): run for run in schedule.runs}
    for task in model.problem.tasks:
        run = runs[task.layer, task.tile.number]
        solver.add_hint(model.starts[task.number], run.start)
        solver.add_hint(model.ends[task.number], run.end)
        for core in task.options:
            solver.add_hint(model.runs_on[task.number, core], core == run.core)
    for end, known in zip(model.stage_ends, schedule.stage_end_cycles, strict=True):
        solver.add_hint(end, known)
    moves: dict[tuple[object, ...], Move] = {}
    for move in schedule.moves:
        moves.setdefault((move.tensor, move.region, move.destination, move.stage), move)
    for shipment in model.shipments:
        piece = shipment.piece
        found = moves.get((piece.tensor, shipment.region, shipment.destination, shipment.stage))
        if found is not None and found.region.within(piece.region):
            _hint_move(model, shipment, found)
        else:
            solver.add_hint(shipment.made, 0)
            for way in shipment.ways:
                solver.add_hint(way.taken, 0)


def _hint_move(model: Model, shipment: Shipment, move: Move) -> None:
    solver = model.solver
    solver.add_hint(shipment.made, 1)
    solver.add_hint(shipment.start, move.start)
    solver.add_hint(shipment.end, move.end)
    uses = move.uses[: len(move.uses) - len(model.problem.machine.shared)]
    fitting = [way for way in shipment.ways if (way.source, way.route.uses) == (move.source, uses)]
    for way in shipment.ways:
        solver.add_hint(way.taken, bool(fitting) and way is fitting[0])
