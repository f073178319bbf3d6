"""What an input runs where exits compute apart: the plan without the layers that its path skips."""

from __future__ import annotations

from targets.schedule.network import Network
from targets.schedule.plan import Plan, Resident, Segment, finished, simulate
from targets.schedule.result import Schedule


def way_schedules(
    network: Network, plan: Plan, resident: Resident, schedule: Schedule
) -> tuple[Schedule, ...]:
    """Return for each exit path the schedule of an input that takes it; empty if ``schedule`` is that of all.

    Every decision of ``plan`` holds in each. Layers behind the end of a path stay in its schedule.

    Args:
        network: What is scheduled.
        plan: The decisions for all layers, one behind the other.
        resident: Weights that are on chip before the first cycle.
        schedule: What follows from the plan.

    Raises:
        NoOptionError: No mapping of a tile fits its core.
        NoRoomError: A store cannot hold what a tile needs at once.
    """
    skipped = [network.workload.skipped(number) for number in range(len(network.workload.exits))]
    if not any(skipped):
        return ()
    found = []
    for left_out in skipped:
        kept = [segment for s in plan if (segment := _without(s, left_out)).layers]
        state = simulate(network.without(set(left_out)), kept, resident) if left_out else None
        found.append(schedule if state is None else finished(state, resident))
    return tuple(found)


def _without(segment: Segment, left_out: frozenset[int]) -> Segment:
    kept = [pair for pair in zip(segment.layers, segment.choices, strict=True) if pair[0] not in left_out]
    return Segment(tuple(index for index, _ in kept), tuple(choice for _, choice in kept))
