"""What lies in the stores, in the solver's model."""

from __future__ import annotations

from collections.abc import Iterator

from ortools.sat.python import cp_model

from targets.schedule.exact.model import Model
from targets.schedule.exact.problem import Piece, Task
from targets.schedule.exact.shipment import Shipment
from targets.schedule.machine import OUTER

# Spans of time and the bits that lie in a store meanwhile.
Contents = dict[str, list[tuple[cp_model.IntervalVar, int]]]


def bind_running(model: Model) -> None:
    """What tiles that run at once have in a store for themselves alone must fit it, whatever is moved out.

    That is what they write, their buffers, and the parts of pieces nobody else reads.
    """
    own: dict[int, list[tuple[str, int]]] = {}
    for piece in model.problem.pieces:
        if len(piece.needs) == 1 and not piece.resident:
            need = piece.needs[0]
            bits = model.problem.bits(piece, need.part)
            own.setdefault(need.task.number, []).append((need.operand, bits))
        if piece.maker is not None:
            bits = model.problem.bits(piece, piece.region)
            own.setdefault(piece.maker.number, []).append(("O", bits))
    contents: Contents = {}
    for (number, core), span in model.spans.items():
        task = model.problem.tasks[number]
        bits_in = dict(task.options[core].buffers)
        for operand, bits in own.get(number, ()):
            store = task.stores[core, operand]
            bits_in[store] = bits_in.get(store, 0) + bits
        for store, bits in bits_in.items():
            contents.setdefault(store, []).append((span, bits))
    _fit(model, contents)


def bind_stays(model: Model) -> None:
    """Whatever was written or moved stays until its last use, and all that stays must fit."""
    contents: Contents = {}
    for (number, core), span in model.spans.items():
        for store, bits in model.problem.tasks[number].options[core].buffers:
            contents.setdefault(store, []).append((span, bits))
    of_piece: dict[int, list[Shipment]] = {}
    for shipment in model.shipments:
        of_piece.setdefault(id(shipment.piece), []).append(shipment)
    for piece in model.problem.pieces:
        shipments = of_piece.get(id(piece), [])
        for store, region in piece.resident:
            whole = model.solver.new_fixed_size_interval_var(0, model.horizon, "resident")
            contents.setdefault(store, []).append((whole, model.problem.bits(piece, region)))
        for store, span in _home_stays(model, piece, shipments):
            contents.setdefault(store, []).append((span, model.problem.bits(piece, piece.region)))
        for shipment in shipments:
            span = _stay(model, piece, shipment, shipments)
            bits = model.problem.bits(piece, shipment.region)
            contents.setdefault(shipment.destination, []).append((span, bits))
    _fit(model, contents)


def _home_stays(
    model: Model, piece: Piece, shipments: list[Shipment]
) -> Iterator[tuple[str, cp_model.IntervalVar]]:
    """Yield where a piece may be written, and how long it stays there."""
    maker, solver = piece.maker, model.solver
    if maker is None:
        return
    for store in maker.places("O"):
        here = model.at(maker, "O", store)
        end = solver.new_int_var(0, model.horizon, f"{piece.tensor} leaves {store}")
        solver.add(end >= model.ends[maker.number])
        for task in _readers(piece, store):
            solver.add(end >= model.ends[task.number]).only_enforce_if(here)
        for shipment in shipments:
            for way in shipment.ways:
                if way.behind is None and way.source == store:
                    solver.add(end >= shipment.end).only_enforce_if(way.taken)
        yield store, _span(model, model.starts[maker.number], end, here, f"{piece.tensor} in {store}")


def _stay(model: Model, piece: Piece, shipment: Shipment, shipments: list[Shipment]) -> cp_model.IntervalVar:
    """Return how long stays what was moved: until the last task or move that reads it has ended."""
    solver = model.solver
    end = solver.new_int_var(0, model.horizon, f"leaves {shipment.made.name}")
    solver.add(end >= shipment.end)
    for need, reads in shipment.readers:
        solver.add(end >= model.ends[need.task.number]).only_enforce_if(reads)
    for other in shipments:
        for way in other.ways:
            if way.behind is shipment:
                solver.add(end >= other.end).only_enforce_if(way.taken)
    return _span(model, shipment.start, end, shipment.made, f"{piece.tensor} in {shipment.destination}")


def _readers(piece: Piece, store: str) -> Iterator[Task]:
    """Yield the tasks that may read a piece in a store."""
    for need in piece.needs:
        if store in need.task.places(need.operand):
            yield need.task


def _span(
    model: Model, start: cp_model.IntVar, end: cp_model.IntVar, there: cp_model.IntVar, name: str
) -> cp_model.IntervalVar:
    size = model.solver.new_int_var(0, model.horizon, f"length of {name}")
    return model.solver.new_optional_interval_var(start, size, end, there, name)


def _fit(model: Model, contents: Contents) -> None:
    for store, spans in contents.items():
        size = model.problem.machine.stores[store].size_bits
        if size is not None and store != OUTER and sum(bits for _, bits in spans) > size:
            model.solver.add_cumulative([span for span, _ in spans], [bits for _, bits in spans], size)
