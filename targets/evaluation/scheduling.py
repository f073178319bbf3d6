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
from targets.objective import EDP, ENERGY, LATENCY, Objective, uniform
from targets.schedule.exact.solve import Exact, solve
from targets.schedule.freedom import Freedom
from targets.schedule.machine import OUTER, Machine
from targets.schedule.network import Network, network_of
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import Places, Plan, Resident, finished, simulate
from targets.schedule.result import Schedule
from targets.schedule.search.candidates import Candidates
from targets.schedule.search.heuristic import Search
from targets.schedule.search.residency import resident_weights, weight_places
from targets.schedule.search.speculation import speculate
from targets.schedule.state import State

# Beyond so many layers fewer ways to a plan are tried, to stay below two seconds.
MANY_LAYERS = 100
# Plans that local search starts from in smaller networks.
STARTS = 2


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
            plan, resident, state = _planned(candidates, objective, shares, wishes.keep_weights and free.hold)
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


def _planned(
    candidates: Candidates, objective: Objective, ratios: Sequence[float], keep_weights: bool
) -> tuple[Plan, Resident, State]:
    """Return the best plan, with the weights that stay on chip if they may.

    A plan is looked for as if all weights were fetched, and then as many stay as lower its cost; others are
    looked for with weights that stay from the first time on that they are needed. The best is improved.
    """
    network = candidates.network
    search = Search(candidates, objective, ratios)
    plan, _ = search.first()
    found: list[tuple[Plan, Resident]] = [(plan, {})]
    if keep_weights:
        found.append((plan, _resident(search, plan)))
        found += _keeping(search, objective)
    tried = []
    for plan, resident in found:
        try:
            tried.append((search.value(simulate(network, plan, resident)), plan, resident))
        except NoRoomError:
            continue
    tried.sort(key=lambda entry: entry[0])
    best: tuple[Plan, Resident, State] | None = None
    large = len(network.order) > MANY_LAYERS
    for _, plan, resident in tried[: 1 if large else STARTS]:
        improved, state = Search(candidates, objective, ratios, resident).improve(plan)
        if best is None or search.value(state) < search.value(best[2]):
            best = improved, resident, state
    if best is None:
        raise ValueError("a plan that has been made is a start")
    plan, resident, state = best
    return _settled(search, plan, resident, state)


def _settled(search: Search, plan: Plan, resident: Resident, state: State) -> tuple[Plan, Resident, State]:
    """Return a schedule in which kept weights are read where they lie, and never fetched beside that.

    Local search may have moved a layer away from its weights. What nobody reads any more goes, and so do
    weights of which a part is fetched all the same: they would be told to stay.
    """
    while resident:
        fetched = {move.tensor for move in state.moves if move.purpose == "weights" and move.source == OUTER}
        needed = weight_places(search.network, plan)
        read = {name: _within(places, needed.get(name, ())) for name, places in resident.items()}
        kept = {name: places for name, places in read.items() if places and name not in fetched}
        if kept == resident:
            break
        resident, state = kept, simulate(search.network, plan, kept)
    return plan, resident, state


def _within(places: Places, needed: Places) -> Places:
    """Return the places of weights that hold something that is read there."""
    return tuple(
        (store, region)
        for store, region in places
        if any(other == store and part.meet(region) is not None for other, part in needed)
    )


def _keeping(fetching: Search, objective: Objective) -> Iterator[tuple[Plan, Resident]]:
    """Yield plans made for weights that stay, with what stays.

    They are made for weights that may take all or half of each store, or take no room at all, of which
    then stays what fits; and for the other objectives: least energy leaves most room for weights, which pays
    for whatever is asked.
    """
    network = fetching.network
    ways = tuple(
        dict.fromkeys(
            (
                (1.0, objective), (0.5, objective), (math.inf, objective),
                (1.0, ENERGY), (1.0, EDP), (1.0, LATENCY),
            )
        )
    )  # fmt: skip
    large = len(network.order) > MANY_LAYERS
    for share, sought in ways[:1] if large else ways:
        candidates = fetching.candidates.on(replace(network, keep_share=share))
        search = Search(candidates, sought, fetching.ratios)
        try:
            plan, state = search.first(uniform=share == 1.0 and not large)
        except NoRoomError:
            continue
        yield plan, state.kept if math.isfinite(share) else _resident(fetching, plan)


def _resident(search: Search, plan: Plan) -> Resident:
    """Return the weights that stay on chip: as many as make the expected cost less."""
    try:
        state = simulate(search.network, plan)
    except NoRoomError:
        return {}
    reached = [sum(search.ratios[stage:]) for stage in range(len(search.ratios))]
    order = list(resident_weights(search.network, plan, finished(state), dict(enumerate(reached))).items())
    best: Resident = {}
    value = search.value(state)
    for count in (len(order), len(order) // 2, len(order) // 4):
        # What is kept leaves less room to fetch the rest ahead of time, so fewer may be better.
        resident = dict(order[:count])
        try:
            kept = search.value(simulate(search.network, plan, resident))
        except NoRoomError:
            kept = math.inf
        if kept < value:
            best, value = resident, kept
    return best


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
