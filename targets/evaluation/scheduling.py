"""A workload on a target: which layers can be placed, and the schedule of those."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from passes.errors import InputError, NoSolutionError
from targets.contract.placement import Reason, Refusal
from targets.contract.target import Target
from targets.cost.model.nest_of_layer import nest_of
from targets.network.layer import Layer
from targets.network.workload import Workload
from targets.objective import Objective, uniform
from targets.schedule.exact.solve import Exact, solve
from targets.schedule.freedom import Freedom
from targets.schedule.machine import Machine
from targets.schedule.network import Network, network_of
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import Plan, Resident, finished, simulate
from targets.schedule.result import Schedule
from targets.schedule.search.candidates import Candidates
from targets.schedule.search.levels import Level, Levels
from targets.schedule.search.speculation import speculate


@dataclass(frozen=True)
class Wishes:
    """What a user asks of a schedule.

    Attributes:
        split: Layers may be cut into parts that run on several cores.
        fuse: Layers may be fused depth first.
        keep_weights: Weights that fit stay on chip between inferences; else all are fetched each time.
        speculate: The next stage may start while a head decides.
        exact_seconds: How long the exact solver may improve and bound the schedule; ``None`` leaves it away.
    """

    split: bool = True
    fuse: bool = True
    keep_weights: bool = True
    speculate: bool = False
    exact_seconds: float | None = None

    def freedom(self, allowed: Freedom) -> Freedom:
        """Return what of this the target allows."""
        return Freedom(allowed.split and self.split, allowed.fuse and self.fuse, allowed.hold)


@dataclass(frozen=True)
class Planned:
    """A schedule and what it was made for.

    Attributes:
        plan: The decisions behind it.
        resident: Weights that stay on chip between inferences.
        speculative: The schedule with speculation where it pays; ``None`` if it was not asked for.
        refusals: Layers no core takes.
        exact: What the exact solver made of the cuts of ``plan``; ``None`` if it was not asked.
    """

    network: Network
    plan: Plan
    schedule: Schedule
    resident: Resident
    speculative: Schedule | None
    refusals: tuple[Refusal, ...]
    exact: Exact | None = None

    def at_energy(self, scale: float) -> Planned:
        """Return the same schedules where every energy is ``scale`` times as large."""
        speculative = self.speculative and self.speculative.at_energy(scale)
        return replace(self, schedule=self.schedule.at_energy(scale), speculative=speculative)


def schedule_workload(
    workload: Workload,
    target: Target,
    objective: Objective,
    ratios: Sequence[float] | None = None,
    wishes: Wishes | None = None,
) -> Planned:
    """Schedule the layers of ``workload`` that can be placed.

    What is decided does not depend on ``host_scale``: it scales placeholders, so it changes costs but moves
    nothing.

    Args:
        workload: The network.
        target: The accelerator, with mappings searched for ``objective``.
        objective: What is minimised, expected over the exits.
        ratios: Share of inputs that leave at each exit; equal shares if not given.
        wishes: What the user asks of the schedule.

    Raises:
        NoSolutionError: The tensors do not fit the memories.
        InputError: The exact solver is asked to scale host work.
    """
    wishes = wishes or Wishes()
    if wishes.exact_seconds is not None and target.host_scale != 1.0:
        raise InputError(
            "the exact solver decides at the nominal cost of host work only",
            "leave `host_scale` away, or use the default solver",
        )
    free = wishes.freedom(target.freedom)
    nominal = replace(target, host_scale=1.0)
    network = replace(_network(workload, nominal), thrifty=not objective.counts_latency)
    candidates = Candidates(network, free)
    refusals = tuple(r for i in network.order if (r := _refusal(nominal, network.layer(i), candidates, i)))
    if refusals:
        names = {refusal.layer for refusal in refusals}
        network = network.without({i for i in network.order if network.layer(i).name in names})
        candidates = Candidates(network, free)
    shares = tuple(ratios) if ratios is not None else uniform(len(network.stage_names))
    try:
        with _collector_paused():
            best = Levels(candidates, objective, shares).best(
                Level(free.split, free.fuse, wishes.keep_weights).within(free)
            )
        plan, resident, state = best.plan, best.resident, best.state
        if target.host_scale != 1.0:
            network = replace(network, costs=target.costs(network.machine, workload))
            state = simulate(network, plan, resident)
    except NoRoomError as error:
        raise no_room(error, network.machine) from None
    schedule, exact = finished(state, resident), None
    if wishes.exact_seconds is not None:
        exact = solve(network, plan, objective, shares, resident, time_limit_s=wishes.exact_seconds)
        schedule = exact.schedule
    speculative = speculate(network, plan, resident, objective, shares) if wishes.speculate else None
    return Planned(network, plan, schedule, resident, speculative, refusals, exact)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the cyclic garbage collector from running: partial schedules are many objects without cycles."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _network(workload: Workload, target: Target) -> Network:
    machine = target.machine()
    second = {
        index: "W" in nest_of(layer).operands and layer.weight is None and layer.constant is None
        for index, layer in enumerate(workload.layers)
    }
    return network_of(workload, machine, target.costs(machine, workload), second)


def _refusal(target: Target, layer: Layer, candidates: Candidates, index: int) -> Refusal | None:
    if candidates.whole(index) or candidates.split(index):
        return None
    placed = target.place(layer)
    if isinstance(placed, Refusal):
        return placed
    # It fits a core on its own, but not from where the tensors are.
    reasons = tuple(Reason(c.core, "No mapping fits its memories") for c in placed.candidates)
    return Refusal(layer.name, layer.op_type, layer.origin, reasons, "")


def no_room(error: NoRoomError, machine: Machine) -> NoSolutionError:
    """Return what to tell a user whose network does not fit ``machine``: demand, bound and what helps."""
    store = machine.stores[error.store]
    demand, bound = math.ceil((error.held_bits + error.bits) / 8), (store.size_bits or 0) // 8
    return NoSolutionError(
        f"layer '{error.layer}' needs {demand:,} bytes in {store.name} at once, with the tensors and weights "
        f"that lie there meanwhile; there are {bound:,}",
        "use a smaller input image, fewer bits, or fewer channels in the layers that meet there",
    )
