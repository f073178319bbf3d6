"""A workload on a target: which layers can be placed, and the schedule of those."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from passes.errors import InputError, NoSolutionError
from passes.progress import counting
from targets.contract.placement import Reason, Refusal
from targets.contract.target import Target
from targets.cost.model.nest_of_layer import nest_of
from targets.evaluation.rows import expected, rows_of, scheduled
from targets.network.layer import Layer
from targets.network.workload import Workload
from targets.objective import Objective, uniform
from targets.schedule.exact.solve import Exact, solve
from targets.schedule.freedom import Freedom
from targets.schedule.machine import OUTER, Machine
from targets.schedule.network import Network, network_of
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import Plan, Resident, finished, simulate
from targets.schedule.result import Schedule
from targets.schedule.room import demands
from targets.schedule.search.candidates import Candidates
from targets.schedule.search.levels import Level, LevelSearch
from targets.schedule.search.speculation import speculate
from targets.schedule.ways import way_schedules


@dataclass(frozen=True)
class Wishes:
    """What a user asks of a schedule.

    Attributes:
        schedule: A mode of the target (``Target.schedules``); its default one if empty.
        keep_weights: Weights that fit stay on chip between inferences; else all are fetched each time.
        speculate: The next stage may start while a head decides.
        exact_seconds: How long the exact solver may improve and bound the schedule; ``None`` leaves it away.
    """

    schedule: str = ""
    keep_weights: bool = True
    speculate: bool = False
    exact_seconds: float | None = None


@dataclass(frozen=True)
class Planned:
    """A schedule and what it was made for.

    Attributes:
        plan: The decisions behind it.
        resident: Weights that stay on chip between inferences.
        speculative: The schedule with speculation where it pays; ``None`` if it was not asked for.
        refusals: Layers no core takes.
        exact: What the exact solver made of the cuts of ``plan``; ``None`` if it was not asked.
        rows: Groups of layers run row by row, so that layers share time and energy with others.
        ways: The schedule of an input that takes each exit path, where paths skip what others run; else
            empty.
    """

    network: Network
    plan: Plan
    schedule: Schedule
    resident: Resident
    speculative: Schedule | None
    refusals: tuple[Refusal, ...]
    exact: Exact | None = None
    rows: bool = False
    ways: tuple[Schedule, ...] = ()

    def way(self, number: int) -> Schedule:
        """Return the schedule of an input that takes exit path ``number``."""
        return self.ways[number] if self.ways else self.schedule

    @property
    def skipped(self) -> tuple[int, ...]:
        """Layers that not every later path runs, by their index."""
        workload = self.network.workload
        found = {i for number in range(len(workload.exits)) for i in workload.skipped(number)}
        return tuple(sorted(found))

    def at_energy(self, scale: float) -> Planned:
        """Return the same schedules where every energy is ``scale`` times as large."""
        speculative = self.speculative and self.speculative.at_energy(scale)
        ways = tuple(way.at_energy(scale) for way in self.ways)
        return replace(self, schedule=self.schedule.at_energy(scale), speculative=speculative, ways=ways)


def schedule_workload(
    workload: Workload,
    target: Target,
    objective: Objective,
    ratios: Sequence[float] | None = None,
    wishes: Wishes | None = None,
    allow_refused: bool = False,
) -> Planned:
    """Schedule the layers of ``workload``.

    What is decided does not depend on ``host_scale``: it scales placeholders, so it changes costs but moves
    nothing. With rows the schedule is the better one of that with them and that of whole layers.

    Args:
        workload: The network.
        target: The accelerator, with mappings searched for ``objective``.
        objective: What is minimised, expected over the exits.
        ratios: Share of inputs that leave at each exit; equal shares if not given.
        wishes: What the user asks of the schedule.
        allow_refused: Layers no core takes are left out, instead of raising. Of the others it is not asked
            then whether what lies in the outer store fits it: that is no matter of a part of a network.

    Raises:
        NoSolutionError: Some layers no core takes; or, of a network without such, the tensors do not fit or
            the target has too little of something for all layers together.
        InputError: The exact solver is asked to scale host work; or it, speculation or rows where exits
            compute apart.
    """
    wishes = wishes or Wishes()
    if wishes.exact_seconds is not None and target.host_scale != 1.0:
        raise InputError(
            "the exact solver decides at the nominal cost of host work only",
            "leave `host_scale` away, or use the default solver",
        )
    free = target.freedom(wishes.schedule)
    if any(workload.skipped(number) for number in range(len(workload.exits))):
        _check_apart(wishes, free)
    if not free.rows:
        return _scheduled(workload, target, objective, ratios, wishes, free, allow_refused)
    whole = replace(free, rows=False)
    nominal = replace(target, host_scale=1.0)
    layers, obstacle = None, None
    try:
        layers = _scheduled(workload, nominal, objective, ratios, wishes, whole, allow_refused)
    except NoSolutionError as error:
        obstacle = error
    shares = tuple(ratios) if ratios is not None else uniform(len(workload.exits))
    with _collector_paused():
        rows = rows_of(workload, nominal.row_model(), objective, shares)
    if rows is None or (layers and not layers.refusals and rows.worth >= _worth(layers, objective, shares)):
        if obstacle is not None:
            raise obstacle
        return _scheduled(workload, target, objective, ratios, wishes, whole, allow_refused)
    network, schedule, speculative = scheduled(
        rows.plan, workload, target.row_model(), objective, shares, wishes.speculate
    )
    return Planned(network, rows.plan, schedule, {}, speculative, (), rows=True)


def _worth(planned: Planned, objective: Objective, shares: Sequence[float]) -> float:
    return expected(planned.schedule, objective, shares)


def _scheduled(
    workload: Workload,
    target: Target,
    objective: Objective,
    ratios: Sequence[float] | None,
    wishes: Wishes,
    free: Freedom,
    allow_refused: bool,
) -> Planned:
    """Return the schedule of layers that are placed by ``free``, none of them in rows."""
    nominal = replace(target, host_scale=1.0)
    network = replace(_network(workload, nominal), thrifty=not objective.counts_latency)
    candidates = Candidates(network, free)
    refusals = tuple(r for i in network.order if (r := _refusal(nominal, network.layer(i), candidates, i)))
    if refusals:
        if not allow_refused:
            raise refused(refusals, workload, target)
        names = {refusal.layer for refusal in refusals}
        network = network.without({i for i in network.order if network.layer(i).name in names})
        network = replace(network, machine=_endless(network.machine))
        candidates = Candidates(network, free)
    elif shortages := target.shortages(workload):
        raise NoSolutionError(
            f"the network does not fit {target.title}: {'; '.join(short.sentence for short in shortages)}",
            "; ".join(dict.fromkeys(short.hint for short in shortages)),
        )
    shares = tuple(ratios) if ratios is not None else uniform(len(network.stage_names))
    try:
        with _collector_paused():
            best = LevelSearch(candidates, objective, shares).best(
                Level(free.split, free.fuse, wishes.keep_weights).within(free)
            )
        plan, resident, state = best.plan, best.resident, best.state
        if target.host_scale != 1.0:
            network = replace(network, costs=target.costs(network.machine, workload))
            state = simulate(network, plan, resident)
    except NoRoomError as error:
        if refusals:
            raise refused(refusals, workload, target) from None
        raise no_room(error, network) from None
    schedule, exact = finished(state, resident), None
    if wishes.exact_seconds is not None:
        with counting(f"exact schedule, at most {wishes.exact_seconds:g} s"):
            exact = solve(network, plan, objective, shares, resident, time_limit_s=wishes.exact_seconds)
        schedule = exact.schedule
    speculative = speculate(network, plan, resident, objective, shares) if wishes.speculate else None
    ways = way_schedules(network, plan, resident, schedule)
    return Planned(network, plan, schedule, resident, speculative, refusals, exact, ways=ways)


def _check_apart(wishes: Wishes, free: Freedom) -> None:
    known = {"speculate": wishes.speculate, "solver exact": wishes.exact_seconds is not None}
    for name, asked in (known | {f"schedule {wishes.schedule}": free.rows}).items():
        if asked:
            raise InputError(
                f"`{name}` is for paths of which each runs all that those before it do, and an exit of this "
                "network computes only where an input leaves",
                "leave it away",
            )


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
    network = network_of(workload, machine, target.costs(machine, workload), second)
    return replace(network, beyond=target.beyond(workload))


def _endless(machine: Machine) -> Machine:
    """Return ``machine`` with room for all there is in its outer store."""
    outer = replace(machine.stores[OUTER], size_bits=None)
    return replace(machine, stores={**machine.stores, OUTER: outer})


def refused(refusals: Sequence[Refusal], workload: Workload, target: Target) -> NoSolutionError:
    """Return what to tell a user of layers that no core takes: each, with the rules it breaks."""
    return NoSolutionError(
        f"{len(refusals)} of {len(workload.layers)} layers cannot be placed on {target.title}",
        "\n".join(str(refusal) for refusal in refusals),
    )


def _refusal(target: Target, layer: Layer, candidates: Candidates, index: int) -> Refusal | None:
    if candidates.whole(index) or candidates.split(index):
        return None
    placed = target.place(layer)
    if isinstance(placed, Refusal):
        return placed
    # It fits a core on its own, but not from where the tensors are.
    reasons = tuple(Reason(c.core, "No mapping fits its memories") for c in placed.candidates)
    return Refusal(layer.name, layer.op_type, layer.origin, reasons, "")


def no_room(error: NoRoomError, network: Network) -> NoSolutionError:
    """Return what to tell a user whose network does not fit: demand, share of weights, and what helps."""
    store = network.machine.stores[error.store]
    bound = (store.size_bits or 0) // 8
    layer, bits, weights = error.layer, error.held_bits + error.bits, error.weight_bits
    if error.store == OUTER and not network.machine.operand_stores:
        # Nothing lies anywhere else: what is there at once is known, and where it is most.
        most = max(demands(network), key=lambda demand: demand.bits)
        layer, bits, weights = most.layer, most.bits, most.weight_bits
    share = math.ceil(weights / 8)
    hint = "use a smaller input image, fewer bits, or fewer channels in the layers that meet there"
    if 2 * weights > bits:
        hint = (
            "most of it is weights: use fewer bits for them, or fewer channels in the layers that have most"
        )
    return NoSolutionError(
        f"layer '{layer}' needs {math.ceil(bits / 8):,} bytes in {store.name} at once: {share:,} for the "
        f"weights that lie there and {math.ceil(bits / 8) - share:,} for tensors; there are {bound:,}",
        hint,
    )
