"""Which layers run row by row: what pays, what fits, and never across an exit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from targets.network.layer import Layer
from targets.network.workload import Workload
from targets.objective import LATENCY, OBJECTIVES, Objective
from targets.schedule.network import Held, Network, Option
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import LayerChoice, Plan, Segment, finished, simulate
from targets.schedule.result import Move, Run, Schedule
from targets.schedule.search.candidates import single
from targets.schedule.search.rows import RowSearch
from targets.schedule.tiles import WHOLE, Cut
from tests.targets.schedule.hand_networks import TableCosts, bus_machine, network, pointwise

CORE_OF = {"l0": ("a",), "l1": ("b",), "l2": ("a",)}


@dataclass(frozen=True)
class RowsOrWhole(TableCosts):
    """Layers take ``cycles`` as rows, where all is held, and ``alone`` cycles whole, where nothing is."""

    alone: Mapping[str, int] = field(default_factory=dict)

    def option(self, tile: Layer, core: str, held: Held) -> Option | None:
        """Return the cost of rows or of the whole; ``None`` for what has no figure."""
        if held:
            return super().option(tile, core, held) if tile.name in self.cycles else None
        whole = TableCosts(self.alone, only=self.only)
        return whole.option(tile, core, held) if tile.name in self.alone else None


@dataclass(frozen=True)
class Model:
    """A row model whose energies are those of the runs and moves."""

    made: Network
    apart: bool = False
    caution: str = ""

    def network(self, workload: Workload) -> Network:
        assert workload is self.made.workload
        return self.made

    def together(self, layers: Sequence[Layer]) -> bool:
        return not (self.apart and len(layers) > 2)

    def energy_pj(self, runs: Sequence[Run], moves: Sequence[Move]) -> float:
        return sum(run.cost.energy_pj for run in runs) + sum(move.energy_pj for move in moves)

    def settled(self, schedule: Schedule) -> Schedule:
        return schedule


def chain(
    rows: Mapping[str, int],
    alone: Mapping[str, int],
    starting: int = 0,
    stages: Sequence[Sequence[str]] | None = None,
    size_bits: int | None = None,
) -> Network:
    names = sorted({*rows, *alone})
    layers = [pointwise(name, f"l{i - 1}.out" if i else "x") for i, name in enumerate(names)]
    costs = RowsOrWhole(rows, only=CORE_OF, starting=starting, alone=alone)
    return network(layers, costs, bus_machine(size_bits=size_bits), stages)


def best(made: Network, objective: Objective = LATENCY, apart: bool = False) -> Plan | None:
    shares = [1 / len(made.stage_names)] * len(made.stage_names)
    return RowSearch(Model(made, apart), made, objective, shares).best()


def groups(plan: Plan | None) -> list[int]:
    assert plan is not None
    return [len(segment.layers) for segment in plan]


ALONE = {"l0": 64, "l1": 64, "l2": 64}


def test_layers_that_are_faster_as_rows_run_as_rows() -> None:
    assert groups(best(chain(dict.fromkeys(ALONE, 32), ALONE))) == [3]
    assert groups(best(chain(dict.fromkeys(ALONE, 640), ALONE))) == [1, 1, 1]
    assert groups(best(chain({"l0": 640, "l1": 32, "l2": 32}, ALONE))) == [1, 2]


def test_tiles_are_as_fine_as_pays() -> None:
    """Two cores are at work at once with finer tiles, each of which has to be started."""
    for starting, parts in ((0, 8), (60, 1)):
        plan = best(chain({"l0": 64, "l1": 64}, {"l0": 640, "l1": 640}, starting))
        assert plan is not None and [choice.cut.parts for choice in plan[0].choices] == [parts, parts]


def test_a_group_ends_at_an_exit() -> None:
    made = chain(dict.fromkeys(ALONE, 8), ALONE, stages=[["l0"], ["l1", "l2"]])
    assert groups(best(made)) == [1, 2]


def test_what_does_not_run_alone_runs_in_a_group() -> None:
    plan = best(chain(dict.fromkeys(ALONE, 640), {"l0": 64, "l2": 64}))
    assert plan is not None and all(s.layers != (1,) for s in plan), "though it is dearer there"


def test_without_a_way_for_each_layer_there_is_no_plan() -> None:
    made = chain({"l0": 8, "l1": 8}, {"l0": 64, "l1": 64, "l2": 64})
    nowhere = replace(made, costs=RowsOrWhole({"l0": 8, "l1": 8}, only=CORE_OF, alone={"l0": 64, "l1": 64}))
    assert best(made) is not None and best(nowhere) is None


def test_what_does_not_fit_together_is_no_group() -> None:
    rows = dict.fromkeys(ALONE, 8)
    assert groups(best(chain(rows, ALONE))) == [3]
    assert max(groups(best(chain(rows, ALONE), apart=True))) == 2
    # Not even one row of an image, which is 64 bits, has room beside another.
    assert groups(best(chain(rows, ALONE, size_bits=64))) == [1, 1, 1]


def ways(made: Network) -> Iterator[Plan]:
    """Yield all plans of a chain of three: every split into steps, groups cut into 1, 2, 4 and 8."""
    for bounds in ((1, 2, 3), (1, 3), (2, 3), (3,)):
        plans: list[Plan] = [()]
        for begin, end in zip((0, *bounds[:-1]), bounds, strict=True):
            indices = made.order[begin:end]
            steps = []
            for parts in (1, 2, 4, 8):
                cut = Cut("OY", parts) if parts > 1 else WHOLE
                choices = tuple(LayerChoice(CORE_OF[f"l{i}"] * parts, cut) for i in indices)
                steps.append(Segment(indices, choices))
            if end - begin == 1:
                steps = [single(indices[0], LayerChoice(CORE_OF[f"l{indices[0]}"], WHOLE, frozenset()))]
            plans = [(*plan, step) for plan in plans for step in steps]
        yield from plans


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    "rows",
    [{"l0": 64, "l1": 8, "l2": 16}, {"l0": 8, "l1": 128, "l2": 32}, {"l0": 256, "l1": 16, "l2": 16}],
    ids=str,
)
@pytest.mark.parametrize("starting", [0, 6])
def test_no_other_plan_is_better(objective: Objective, rows: Mapping[str, int], starting: int) -> None:
    made = chain(rows, ALONE, starting)

    def value(plan: Plan) -> float:
        schedule = finished(simulate(made, plan))
        return objective.value(schedule.energy_pj, float(schedule.latency_cycles))

    plan = best(made, objective)
    assert plan is not None
    assert value(plan) <= min(value(other) for other in ways(made)) * (1 + 1e-12)


def test_a_network_that_does_not_fit_the_outer_store_has_no_plan() -> None:
    made = chain(dict.fromkeys(ALONE, 8), ALONE)
    full = replace(made, machine=bus_machine(outer_bits=100))
    assert best(full) is None
    with pytest.raises(NoRoomError):
        simulate(full, [])
