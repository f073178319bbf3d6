"""Whether a schedule is valid, from the schedule alone: nothing of what made it is used."""

from __future__ import annotations

import math
from collections.abc import Iterator

from targets.schedule.check.capacity import capacity_problems, work_of
from targets.schedule.check.data import data_problems
from targets.schedule.check.layers import layer_problems, missing_uses
from targets.schedule.machine import Machine
from targets.schedule.network import Network
from targets.schedule.result import Move, Run, Schedule


def problems(network: Network, schedule: Schedule) -> list[str]:
    """Return what is wrong with ``schedule`` as a schedule of ``network``; empty if it is valid.

    1. It names only what there is, and nothing happens before cycle 0 or ends before it starts.
    2. The tiles of each layer compute its output once, read all it depends on, and run on a core that may
       run it, at its cost, with the resources and the room for buffers it says.
    3. What runs read and moves take has arrived there before they start and stays until they end; what
       they write has room in its store from their start on.
    4. Moves take a route of the machine, at its speed and energy.
    5. No resource and no store is taken beyond its capacity.
    6. A stage starts when the stage before is over, or behind a speculative exit when its backbone is; it
       ends with the last of its runs and moves, and never before the stage before.
    7. The outputs of the network are in the outer store when their stage ends.
    """
    found = list(_unknown(network, schedule))
    if found:
        return found
    return [
        *layer_problems(network, schedule),
        *_move_problems(network, schedule),
        *data_problems(network, schedule),
        *capacity_problems(network, schedule),
        *_stage_problems(network, schedule),
    ]


def _unknown(network: Network, schedule: Schedule) -> Iterator[str]:
    """Yield what is named but is not there, and impossible times."""
    machine, stages = network.machine, range(len(network.stage_names))
    if schedule.stage_names != network.stage_names or len(schedule.stage_end_cycles) != len(stages):
        yield f"stages are {schedule.stage_names} with {len(schedule.stage_end_cycles)} ends"
    for work in work_of(schedule):
        if work.layer not in network.stage_of or work.stage not in stages:
            yield f"{_name(work)} is for layer {work.layer} in stage {work.stage}, which no exit has"
        if not 0 <= work.start <= work.end:
            yield f"{_name(work)} lasts from {work.start} to {work.end}"
        for resource, _ in work.uses:
            if resource not in machine.capacities:
                yield f"there is no resource {resource}"
    for move in schedule.moves:
        if move.tensor not in network.extents:
            yield f"'{move.tensor}' is moved but is no tensor"
    ends = [place for move in schedule.moves for place in (move.source, move.destination)]
    for store in {*ends, *(stay.store for stay in schedule.stays)} - set(machine.stores):
        yield f"there is no store {store}"


def _name(work: Run | Move) -> str:
    return f"'{work.name}'" if isinstance(work, Run) else f"the move of '{work.tensor}' to {work.destination}"


def _move_problems(network: Network, schedule: Schedule) -> Iterator[str]:
    machine = network.machine
    for move in schedule.moves:
        extent = network.extents[move.tensor]
        name = _name(move)
        if not move.region.within(extent.whole):
            yield f"{name} takes {move.region}, where there is only {extent.whole}"
        bits = extent.bits_of(move.region)
        if move.bits != bits:
            yield f"{name} is of {move.bits} bits, not {bits}"
        ends = (
            machine.stores[move.source].read.energy_of(bits),
            machine.stores[move.destination].write.energy_of(bits),
        )
        if not _close(move.read_pj, ends[0]) or not _close(move.write_pj, ends[1]):
            said = f"{move.read_pj:g} and {move.write_pj:g} pJ"
            yield f"{name} takes {said} at its ends, not {ends[0]:g} and {ends[1]:g}"
        yield from _route_problems(machine, move)


def _route_problems(machine: Machine, move: Move) -> Iterator[str]:
    """Yield why no route explains the move; of several, what is wrong with the first."""
    routes = machine.routes.get((move.source, move.destination), ())
    if not routes:
        yield f"nothing leads '{move.tensor}' from {move.source} to {move.destination}"
    found: list[list[str]] = []
    for route in routes:
        wrong = list(missing_uses(_name(move), move.uses, (*route.uses, *machine.moves_take)))
        if move.end - move.start != route.cycles(move.bits):
            wrong.append(f"{_name(move)} takes {move.end - move.start} cycles, not {route.cycles(move.bits)}")
        if not _close(move.wire_pj, move.bits * route.energy_pj_per_bit):
            wrong.append(f"{_name(move)} takes {move.wire_pj:g} pJ on its way")
        found.append(wrong)
    if found and all(found):
        yield from found[0]


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)


def _stage_problems(network: Network, schedule: Schedule) -> Iterator[str]:
    ends = schedule.stage_end_cycles
    opens = [_opens(network, schedule, stage) for stage in range(len(ends))]
    work = work_of(schedule)
    for run in schedule.runs:
        if run.stage != network.stage_of[run.layer]:
            yield f"'{run.name}' is in stage {run.stage}, its layer in {network.stage_of[run.layer]}"
    for move in schedule.moves:
        if move.purpose != "spill" and move.stage != network.stage_of[move.layer]:
            yield f"{_name(move)} is in stage {move.stage}, its layer in {network.stage_of[move.layer]}"
    for one in work:
        if one.start < opens[one.stage]:
            yield f"{_name(one)} starts at {one.start}, stage {one.stage} at {opens[one.stage]}"
    for stage, end in enumerate(ends):
        last = max((one.end for one in work if one.stage <= stage), default=0)
        if end != last:
            yield f"stage {stage} ends at {last}, not {end}"


def _opens(network: Network, schedule: Schedule, stage: int) -> int:
    """Return when work of a stage may start.

    That is when the stage before is over. Behind a speculative exit it is when the layers of the stage
    before that later stages read are over; never before the exit ahead of that is decided.
    """
    ends = schedule.stage_end_cycles
    if stage == 0 or stage - 1 not in schedule.speculative:
        return ends[stage - 1] if stage else 0
    read_later = {
        network.producer[tensor]
        for tensor, readers in network.consumers.items()
        if tensor in network.producer and any(network.stage_of[reader] >= stage for reader in readers)
    }
    before = [run.end for run in schedule.runs if run.stage == stage - 1 and run.layer in read_later]
    return max(ends[stage - 2] if stage > 1 else 0, max(before, default=ends[stage - 1]))
