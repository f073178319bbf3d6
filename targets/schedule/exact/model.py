"""The scheduling problem as a model for CP-SAT: cores, routes and times that are left to choose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from ortools.sat.python import cp_model

from targets.schedule.exact.bounds import Floor
from targets.schedule.exact.problem import Problem, Task, Uses
from targets.schedule.exact.shipment import Shipment, Way

# Demands that are no fractions of small numbers are rounded to this share, to the side of the lower bound.
_GRAIN = 1 << 20


class Model:
    """All variables and what binds them.

    Cores that cost the same are not told apart by order constraints: routes between them are rarely alike,
    as ties between paths are broken by name. The solver looks for the symmetries that are there.

    Attributes:
        spills: Whether what a store has too little room for may be fetched again from the outer store.
        energy_counts: Whether moves are judged by their energy too.
        starts: First cycle of each task; ``ends`` the first behind it.
        spans: When a task runs on a core, if it does.
        runs_on: Whether a task runs on a core, by number and core.
        combined: Whether an operand of a task lies in a store, where several cores or none imply it.
        stage_ends: End of each exit path.
        shipments: Moves that may be made.
    """

    def __init__(
        self, problem: Problem, floor: Floor, horizon: int, spills: bool, energy_counts: bool
    ) -> None:
        self.problem = problem
        self.energy_counts = energy_counts
        self.horizon = horizon
        self.spills = spills
        self.solver = cp_model.CpModel()
        self._taken: dict[str, list[tuple[cp_model.IntervalVar, float]]] = {}
        self._work: dict[tuple[str, int], list[tuple[cp_model.IntVar, float]]] = {}
        self.combined: dict[tuple[int, str, str], cp_model.IntVar] = {}
        self.stage_ends = [
            self.solver.new_int_var(min(least, horizon), horizon, f"stage {i} ends")
            for i, least in enumerate(floor.ends)
        ]
        self.starts: list[cp_model.IntVar] = []
        self.ends: list[cp_model.IntVar] = []
        self.runs_on: dict[tuple[int, str], cp_model.IntVar] = {}
        self.spans: dict[tuple[int, str], cp_model.IntervalVar] = {}
        for task in problem.tasks:
            self._add_task(task)
        self.shipments: list[Shipment] = []

    def _add_task(self, task: Task) -> None:
        solver, name = self.solver, task.tile.name
        start = solver.new_int_var(0, self.horizon, f"start {name}")
        end = solver.new_int_var(0, self.horizon, f"end {name}")
        self.starts.append(start)
        self.ends.append(end)
        for core in task.options:
            here = solver.new_bool_var(f"{name} on {core}")
            self.runs_on[task.number, core] = here
            self.spans[task.number, core] = self.take(
                task.uses[core], start, task.cycles(core), here, task.stage
            )
        on = {core: self.runs_on[task.number, core] for core in task.options}
        solver.add_exactly_one(on.values())
        solver.add(end == start + sum(here * task.cycles(core) for core, here in on.items()))
        self.within_stage(start, end, task.stage)

    def at(self, task: Task, operand: str, store: str) -> cp_model.IntVar:
        """Return whether a task has an operand in a store."""
        key = (task.number, operand, store)
        on = [self.runs_on[task.number, core] for core in task.places(operand).get(store, ())]
        if len(on) == 1:
            return on[0]
        if key not in self.combined:
            there = self.solver.new_bool_var(f"{task.tile.name} {operand} in {store}")
            self.solver.add(sum(on) == there)
            self.combined[key] = there
        return self.combined[key]

    def within_stage(
        self, start: cp_model.IntVar, end: cp_model.IntVar, stage: int, made: cp_model.IntVar | None = None
    ) -> None:
        """Let something, if it is ``made``, happen between the ends of two stages."""
        bounds = [self.solver.add(end <= self.stage_ends[stage])]
        if stage:
            bounds.append(self.solver.add(start >= self.stage_ends[stage - 1]))
        if made is not None:
            for bound in bounds:
                bound.only_enforce_if(made)

    def take(
        self, uses: Uses, start: cp_model.IntVar, cycles: int, taken: cp_model.IntVar, stage: int
    ) -> cp_model.IntervalVar:
        """Let resources be taken for some cycles from ``start`` if ``taken``; return that span."""
        name = f"span of {taken.name}"
        interval = self.solver.new_optional_fixed_size_interval_var(start, cycles, taken, name)
        for resource in dict.fromkeys(name for name, _ in uses):
            amount = sum(much for name, much in uses if name == resource)
            self._taken.setdefault(resource, []).append((interval, amount))
            self._work.setdefault((resource, stage), []).append((taken, cycles * amount))
        return interval

    def bind(self, floor: Floor) -> None:
        """Keep stages and resources within their bounds; call it once, when all tasks and moves are there."""
        self._bound_stages(floor)
        self._bind_resources()

    def _bound_stages(self, floor: Floor) -> None:
        """Stages follow one another, each no shorter than its bound."""
        for stage, end in enumerate(self.stage_ends):
            before = self.stage_ends[stage - 1] if stage else 0
            least = floor.ends[stage] - (floor.ends[stage - 1] if stage else 0)
            self.solver.add(end >= before + least)

    def _bind_resources(self) -> None:
        """No resource is taken beyond its capacity; that its work fits the stage helps the solver's bound."""
        for resource, spans in self._taken.items():
            capacity = self.problem.machine.capacities[resource]
            if all(2 * amount > capacity for _, amount in spans):
                self.solver.add_no_overlap([interval for interval, _ in spans])
            else:
                scale = _scale([capacity, *(amount for _, amount in spans)])
                demands = [math.floor(amount * scale + 1e-6) for _, amount in spans]
                self.solver.add_cumulative(
                    [interval for interval, _ in spans], demands, math.ceil(capacity * scale - 1e-6)
                )
        for (resource, stage), work in self._work.items():
            capacity = self.problem.machine.capacities[resource]
            length = self.stage_ends[stage] - (self.stage_ends[stage - 1] if stage else 0)
            share = [(taken, math.floor(amount / capacity + 1e-9)) for taken, amount in work]
            self.solver.add(sum(taken * cycles for taken, cycles in share) <= length)

    def energy(self, stage: int, factor: float) -> cp_model.LinearExprT:
        """Return the energy of a stage in pJ times ``factor``, each summand rounded down."""
        terms: list[cp_model.LinearExprT] = []
        for task in self.problem.tasks:
            if task.stage == stage:
                for core, option in task.options.items():
                    terms.append(self.runs_on[task.number, core] * math.floor(option.cost.energy_pj * factor))
        for shipment in self.shipments:
            if shipment.stage == stage:
                for way in shipment.ways:
                    terms.append(way.taken * math.floor(self.energy_of(shipment, way) * factor))
        return sum(terms)

    def energy_of(self, shipment: Shipment, way: Way) -> float:
        """Return the energy in pJ of a move that goes one way."""
        bits = self.problem.bits(shipment.piece, shipment.region)
        stores = self.problem.machine.stores
        ends = stores[way.source].read.energy_of(bits) + stores[shipment.destination].write.energy_of(bits)
        return ends + bits * way.route.energy_pj_per_bit


def _scale(amounts: Sequence[float]) -> int:
    """Return by what amounts are to be multiplied to be whole; a large number where none does it."""
    found = math.lcm(*(Fraction(a).limit_denominator(64).denominator for a in amounts))
    exact = found <= _GRAIN and all(abs(a * found - round(a * found)) < 1e-9 for a in amounts)
    return found if exact else _GRAIN
