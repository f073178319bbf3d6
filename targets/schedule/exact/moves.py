"""Moves in the solver's model: which part goes where, from where, over which route, and who waits for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from targets.schedule.exact.model import Model
from targets.schedule.exact.problem import Need, Piece, cells
from targets.schedule.exact.shipment import Shipment, Way
from targets.schedule.machine import OUTER, Route
from targets.schedule.regions import Region


def add_moves(model: Model) -> None:
    """Add all moves of all pieces, and let those who need them wait for them."""
    for piece in model.problem.pieces:
        if piece.maker is not None:
            for number in {need.task.number for need in piece.needs}:
                model.solver.add(model.starts[number] >= model.ends[piece.maker.number])
        model.shipments += _moves_of(model, piece)


def _moves_of(model: Model, piece: Piece) -> list[Shipment]:
    shipments = _shipments(model, piece)
    for shipment in shipments:
        _add_ways(model, shipment, shipments)
    for need in piece.needs:
        for store in need.task.places(need.operand):
            if store != OUTER or not _may_lie_outside(model, piece, need):
                _wait(model, piece, need, store, shipments)
    return shipments


def _may_lie_outside(model: Model, piece: Piece, need: Need) -> bool:
    """Whether a piece may be in the outer store without a move here: from the start, or to make room."""
    return piece.maker is None or (model.spills and piece.maker.stage < need.task.stage)


def _wanted(model: Model, piece: Piece) -> Iterator[tuple[Region, str, int, int, Sequence[Need]]]:
    """Yield what may be moved where in which stage, for which layer, and the needs one of which it is for."""
    found: dict[tuple[Region, str, int], list[Need]] = {}
    relayed: dict[tuple[Region, str, int], int] = {}
    for need in piece.needs:
        for store in need.task.places(need.operand):
            if (piece.maker is None and store == OUTER) or piece.lies(need.part, store):
                continue
            for load in piece.loads(need.part):
                found.setdefault((load, store, need.task.stage), []).append(need)
                if any(s != store and (s, store) not in model.problem.machine.routes for s in piece.sources):
                    relayed.setdefault((load, OUTER, need.task.stage), need.task.layer)
    if piece.delivered and piece.maker is not None:
        relayed[piece.region, OUTER, piece.maker.stage] = piece.maker.layer
    for (region, store, stage), needs in found.items():
        if (region, store, stage) not in relayed:
            yield region, store, stage, needs[0].task.layer, needs
    for (region, store, stage), layer in relayed.items():
        yield region, store, stage, layer, ()


def _shipments(model: Model, piece: Piece) -> list[Shipment]:
    solver = model.solver
    found = []
    for region, store, stage, layer, needs in _wanted(model, piece):
        if piece.maker is not None and piece.maker.stage > stage:
            continue
        name = f"{piece.tensor}{tuple(piece.region)}{tuple(region)}>{store}@{stage}"
        made = solver.new_bool_var(f"made {name}")
        start = solver.new_int_var(0, model.horizon, f"start {name}")
        end = solver.new_int_var(0, model.horizon, f"end {name}")
        found.append(Shipment(piece, region, store, stage, layer, made, start, end, [], [], []))
        if needs:
            solver.add_bool_or([~made, *dict.fromkeys(model.at(n.task, n.operand, store) for n in needs)])
        if piece.maker is not None:
            if store in piece.maker.places("O"):
                solver.add_implication(made, ~model.at(piece.maker, "O", store))
            solver.add(start >= model.ends[piece.maker.number]).only_enforce_if(made)
            if store == OUTER and piece.delivered and (region, stage) == (piece.region, piece.maker.stage):
                solver.add_bool_or([made, model.at(piece.maker, "O", OUTER)])
        model.within_stage(start, end, stage, made)
    return found


def _add_ways(model: Model, shipment: Shipment, others: Sequence[Shipment]) -> None:
    solver, piece, goal = model.solver, shipment.piece, shipment.destination
    bits = model.problem.bits(piece, shipment.region)
    for source, behind, spilled in _origins(model, shipment, others):
        for route in model.problem.machine.routes.get((source, goal), ()):
            if behind is not None and _idle(model, shipment, source, route):
                continue
            taken = solver.new_bool_var(f"way {len(shipment.ways)} {shipment.made.name}")
            shipment.ways.append(Way(taken, source, route, behind, spilled))
            if behind is not None:
                solver.add_implication(taken, behind.made)
                solver.add(shipment.start >= behind.end).only_enforce_if(taken)
            elif spilled and piece.maker is not None:
                away = [r for s in piece.sources for r in model.problem.machine.routes.get((s, OUTER), ())]
                first = min((r.cycles(bits) for r in away), default=0)
                solver.add(shipment.start >= model.ends[piece.maker.number] + first).only_enforce_if(taken)
            elif piece.maker is not None:
                solver.add_implication(taken, model.at(piece.maker, "O", source))
    solver.add(sum(way.taken for way in shipment.ways) == shipment.made)
    cycles = sum(way.taken * way.route.cycles(bits) for way in shipment.ways)
    solver.add(shipment.end == shipment.start + cycles)
    _take(model, shipment, bits)


def _idle(model: Model, shipment: Shipment, behind: str, route: Route) -> bool:
    """Whether moving a copy of a copy is never better than moving the original.

    That is so if from wherever the piece was written, which was before any copy arrived, a way leads that
    takes no more time, energy or of any resource.
    """
    piece, goal, machine = shipment.piece, shipment.destination, model.problem.machine
    bits = model.problem.bits(piece, shipment.region)
    read = machine.stores[behind].read.energy_of(bits) + bits * route.energy_pj_per_bit
    taken = dict(route.uses)

    def better(source: str, other: Route) -> bool:
        energy = machine.stores[source].read.energy_of(bits) + bits * other.energy_pj_per_bit
        less = all(amount <= taken.get(name, 0.0) for name, amount in other.uses)
        no_dearer = energy <= read or not model.energy_counts
        return less and no_dearer and other.cycles(bits) <= route.cycles(bits)

    return all(
        any(better(source, other) for other in machine.routes.get((source, goal), ()))
        for source in piece.sources
        if source != goal
    )


def _origins(
    model: Model, shipment: Shipment, others: Sequence[Shipment]
) -> Iterator[tuple[str, Shipment | None, bool]]:
    """Yield from where a move may start: what lies there already, or what brought it."""
    piece, goal = shipment.piece, shipment.destination
    lying = (store for store, region in piece.resident if shipment.region.within(region))
    for source in dict.fromkeys((*piece.sources, *lying)):
        if source != goal:
            yield source, None, False
    for other in others:
        if other.destination == goal or other.stage > shipment.stage:
            continue
        if shipment.region.within(other.region):
            yield other.destination, other, False
    if model.spills and piece.maker is not None and OUTER not in (goal, *piece.sources):
        yield OUTER, None, True


def _take(model: Model, shipment: Shipment, bits: int) -> None:
    """Let a move take what its ways use; ways that take the same for as long are one."""
    solver = model.solver
    alike: dict[tuple[tuple[tuple[str, float], ...], int], list[Way]] = {}
    for way in shipment.ways:
        uses = (*way.route.uses, *model.problem.machine.moves_take)
        alike.setdefault((uses, way.route.cycles(bits)), []).append(way)
    for number, ((uses, cycles), ways) in enumerate(alike.items()):
        taken = ways[0].taken
        if len(ways) > 1:
            taken = solver.new_bool_var(f"kind {number} {shipment.made.name}")
            solver.add(sum(way.taken for way in ways) == taken)
            shipment.kinds.append((taken, ways))
        model.take(uses, shipment.start, cycles, taken, shipment.stage)


def _wait(model: Model, piece: Piece, need: Need, store: str, shipments: Sequence[Shipment]) -> None:
    """Let a task that reads in ``store`` start after all that it needs has come, or was written, there."""
    solver, task = model.solver, need.task
    elsewhere = [~model.at(task, need.operand, store)]
    if piece.maker is not None and store in piece.maker.places("O"):
        elsewhere.append(model.at(piece.maker, "O", store))
    bringing = [
        s
        for s in shipments
        if s.destination == store and s.stage <= task.stage and s.region.meet(need.part) is not None
    ]
    lying = [region for _, region in piece.resident]
    used = []
    for shipment in bringing:
        uses = solver.new_bool_var(f"{task.tile.name} uses {shipment.made.name}")
        solver.add_implication(uses, shipment.made)
        solver.add(model.starts[task.number] >= shipment.end).only_enforce_if(uses)
        shipment.readers.append((need, uses))
        used.append(uses)
    for cell in cells(need.part, [*lying, *(s.region for s in bringing)]):
        if piece.lies(cell, store):
            continue
        covering = [u for u, s in zip(used, bringing, strict=True) if cell.within(s.region)]
        solver.add_bool_or([*elsewhere, *covering])
