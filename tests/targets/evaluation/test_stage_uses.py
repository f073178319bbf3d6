"""What stages take of the machine: all that the schedule has there, and nothing else."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

from targets.evaluation.residence import residence
from targets.evaluation.stage_uses import stage_uses
from tests.targets.evaluation.test_residence import planned


def test_a_stage_uses_what_runs_and_moves_in_it() -> None:
    """Cycle by cycle: a core, link or port is in use where a run or a move has it, and nowhere else."""
    made = planned()
    schedule, begin = made.schedule, 0
    work = [(run.start, run.end, {run.core, *dict(run.uses)}) for run in schedule.runs]
    work += [(move.start, move.end, set(dict(move.uses))) for move in schedule.moves]
    for use, end in zip(stage_uses(made), schedule.stage_end_cycles, strict=True):
        assert use.cycles == end - begin
        for name in made.network.machine.capacities:
            told = {c for first, last in use.busy.get(name, ()) for c in range(first, last)}
            true = {c for first, last, names in work if name in names for c in range(first, last)}
            assert told == {c - begin for c in true if begin <= c < end}
            assert all(one[1] < other[0] for one, other in pairwise(use.busy.get(name, ())))
        begin = end


def test_a_store_holds_the_most_of_the_stage() -> None:
    made = planned()
    uses, stores = stage_uses(made), residence(made).stores
    for store in stores:
        most = max(use.bits[store.name] for use in uses)
        assert most == store.peak_bits - store.kept_bits
    (behind,) = residence(made).boundaries
    assert uses[1].bits["b.sram"] >= behind.bits["b.sram"], "what a stage finds there is counted in it"


def test_a_stage_whose_begin_is_no_cut_takes_all_of_the_machine() -> None:
    made = planned()
    early = min(run.start for run in made.schedule.runs if run.stage == 1)
    ends = (early + 1, made.schedule.stage_end_cycles[1])
    crossing = dataclasses.replace(made, schedule=dataclasses.replace(made.schedule, stage_end_cycles=ends))
    for use in stage_uses(crossing):
        assert use.busy == dict.fromkeys(made.network.machine.capacities, ((0, use.cycles),))


def test_where_paths_skip_what_others_run_a_stage_takes_all_and_the_most_of_any() -> None:
    made = planned()
    ways = (dataclasses.replace(made.schedule, stays=made.schedule.stays[:1]), made.schedule)
    apart = dataclasses.replace(made, ways=ways)
    for use in stage_uses(apart):
        assert use.busy == dict.fromkeys(made.network.machine.capacities, ((0, use.cycles),))
        assert use.bits == {one.name: one.peak_bits - one.kept_bits for one in residence(apart).stores}
