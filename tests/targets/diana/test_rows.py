"""The mode of rows: valid schedules that are never worse than whole layers, and figures that add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from passes.errors import NoSolutionError
from targets.diana.fused import L1, RowAssumptions, RowCost
from targets.diana.rows import DianaRows
from targets.diana.target import DianaTarget
from targets.evaluation.layers import layer_reports
from targets.evaluation.rows import expected
from targets.evaluation.scheduling import Planned, Wishes, schedule_workload
from targets.network.layer import Layer, Operand
from targets.network.workload import ExitPath, Workload
from targets.objective import EDP, LATENCY, OBJECTIVES, Objective
from targets.schedule.check.checker import problems
from targets.schedule.network import ALL_HELD
from targets.schedule.plan import LayerChoice, Plan, Segment, finished, simulate
from targets.schedule.result import Schedule
from targets.schedule.tiles import WHOLE, Cut
from tests.targets.networks import linear_layer, square

DIANA = DianaTarget()


def conv(name: str, source: str, channels: int = 16, size: int = 16, bits: int = 8, groups: int = 1) -> Layer:
    layer = linear_layer(square(channels // groups, channels // groups, size, 3))
    assert layer.dims is not None and layer.weight is not None
    dims = replace(layer.dims, pad_top=1, pad_left=1, pad_bottom=1, pad_right=1, g=groups)
    shape = (1, channels, size, size)
    return replace(
        layer,
        name=name,
        dims=dims,
        macs=dims.iterations,
        weight=replace(layer.weight, shape=(channels, channels // groups, 3, 3), bits=bits),
        inputs=(Operand(source, shape, 8),),
        outputs=(Operand(f"{name}.out", shape, 8),),
    )


def add(name: str, first: str, second: str, channels: int = 16, size: int = 16) -> Layer:
    shape = (1, channels, size, size)
    inputs = (Operand(first, shape, 8), Operand(second, shape, 8))
    return Layer(name, "Add", (), 0, None, inputs, (Operand(f"{name}.out", shape, 8),))


def network(*layers: Layer, exits: Sequence[int] = ()) -> Workload:
    maker = {layer.outputs[0].name: i for i, layer in enumerate(layers)}
    made = tuple(
        replace(one, producers=tuple(sorted({maker[t.name] for t in one.inputs if t.name in maker})))
        for one in layers
    )
    ends = [*exits, len(made)]
    paths = [
        ExitPath(f"exit_{i}", "", tuple(range(end)), sum(one.macs for one in made[:end]), False)
        for i, end in enumerate(ends)
    ]
    return Workload(made, tuple(paths), (), frozenset({made[-1].outputs[0].name}))


def block(bits: int = 8, **shape: int) -> Workload:
    layers = (conv("one", "x", **shape), conv("two", "one.out", bits=bits, **shape))
    return network(*layers, add("sum", "two.out", "one.out", **shape))


def planned(workload: Workload, mode: str = "rows", objective: Objective = EDP, **options: object) -> Planned:
    target = DianaTarget(**options)  # type: ignore[arg-type]
    return schedule_workload(workload, target, objective, wishes=Wishes(mode))


CASES = {
    "one core": block(),
    "two cores": block(bits=2),
    "exits": network(conv("a", "x"), conv("b", "a.out"), conv("c", "b.out"), conv("d", "c.out"), exits=[2]),
    "channel by channel": network(conv("a", "x"), conv("b", "a.out", groups=16), conv("c", "b.out")),
    "odd channels": network(conv("a", "x", channels=20), conv("b", "a.out", channels=20)),
    "more than L1": block(channels=64, size=48),
    "more weights than fit": network(conv("a", "x", 128, 8), conv("b", "a.out", 128, 8)),
}


@pytest.mark.parametrize("workload", CASES.values(), ids=CASES)
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("model", ["match", "odimo"])
def test_rows_are_never_worse_than_whole_layers(workload: Workload, objective: Objective, model: str) -> None:
    whole, rows = (planned(workload, mode, objective, cost_model=model) for mode in ("layers", "rows"))
    shares = [1 / len(workload.exits)] * len(workload.exits)
    assert expected(rows.schedule, objective, shares) <= expected(whole.schedule, objective, shares)
    if not rows.rows:
        assert rows.schedule == whole.schedule, "where they gain nothing, it is as it was"


@pytest.mark.parametrize("workload", CASES.values(), ids=CASES)
def test_a_schedule_with_rows_is_valid(workload: Workload) -> None:
    found = planned(workload)
    if found.rows:
        assert problems(found.network, finished(simulate(found.network, found.plan))) == []


def test_where_rows_gain_and_where_they_cannot_run() -> None:
    gaining = {name for name, workload in CASES.items() if planned(workload).rows}
    assert gaining == {"one core", "two cores", "exits", "odd channels", "more than L1"}


def test_groups_do_not_cross_an_exit_and_layers_add_up_to_each() -> None:
    found = planned(CASES["exits"])
    assert [segment.layers for segment in found.plan] == [(0, 1), (2, 3)]
    reports = layer_reports(found, DIANA)
    for stage, end in enumerate(found.schedule.stage_end_cycles):
        mine = [one for i, one in enumerate(reports) if found.network.stage_of[i] <= stage]
        assert sum(one.cost.latency_cycles for one in mine) == end
        assert sum(one.energy_pj for one in mine) == pytest.approx(found.schedule.energy_until(stage))


@pytest.mark.parametrize("workload", CASES.values(), ids=CASES)
def test_parts_of_a_layer_are_its_latency_and_its_bound_is_none_beyond(workload: Workload) -> None:
    found = planned(workload)
    reports = layer_reports(found, DIANA)
    assert sum(one.cost.latency_cycles for one in reports) == found.schedule.latency_cycles
    for one in reports:
        cost = one.cost
        parts = cost.compute_cycles + cost.job_cycles + cost.stall_cycles + cost.dma_cycles
        assert parts - cost.overlapped_cycles == cost.latency_cycles >= cost.bound_cycles >= 0


def test_two_cores_at_work_at_once_take_the_published_power_of_both() -> None:
    found = planned(CASES["two cores"], objective=LATENCY)
    schedule = found.schedule
    plain = finished(simulate(found.network, found.plan))
    assert plain.energy_pj != pytest.approx(schedule.energy_pj), "powers at once do not add up"
    mean_mw = schedule.energy_pj / schedule.latency_cycles * 260e6 / 1e9
    assert 24.96 < mean_mw < 42.39
    alone = planned(CASES["one core"], objective=LATENCY).schedule
    assert alone.energy_pj / alone.latency_cycles * 260e6 / 1e9 == pytest.approx(24.96)


def by_hand(model: DianaRows, workload: Workload, plan: Plan) -> Schedule:
    network_ = model.network(workload)
    schedule = finished(simulate(network_, plan))
    assert problems(network_, schedule) == []
    return schedule


def whole(index: int, core: str = "digital") -> Segment:
    return Segment((index,), (LayerChoice((core,), WHOLE, frozenset()),))


def test_layers_that_run_alone_cost_what_they_do_without_rows() -> None:
    workload = network(conv("a", "x"), conv("b", "a.out"))
    alone = by_hand(DIANA.row_model(), workload, (whole(0), whole(1)))
    as_before = planned(workload, "layers").schedule
    assert alone.latency_cycles == as_before.latency_cycles
    assert [run.cost for run in alone.runs] == [run.cost for run in as_before.runs]


def test_nothing_runs_or_moves_beside_a_whole_layer() -> None:
    """A second branch that could: the host waits for whole layers, and they have L1 to themselves."""
    workload = network(
        conv("a", "x"), conv("b", "a.out"), conv("c", "y"), add("d", "b.out", "c.out"),
    )  # fmt: skip
    group = Segment((0, 1), (LayerChoice(("digital",) * 4, Cut("OY", 4)),) * 2)
    schedule = by_hand(DIANA.row_model(), workload, (group, whole(2), whole(3, "simd")))
    alone = [run for run in schedule.runs if not isinstance(run.cost, RowCost)]
    others = [(run.start, run.end) for run in schedule.runs if isinstance(run.cost, RowCost)]
    others += [(move.start, move.end) for move in schedule.moves]
    assert len(alone) == 2 and others
    for run in alone:
        assert all(end <= run.start or run.end <= start for start, end in others)
        inside = [s for s in schedule.stays if s.store == L1 and s.tensor != f"{run.name}.buffers"]
        assert all(s.end is not None and (s.end <= run.start or run.end <= s.start) for s in inside)


@pytest.mark.parametrize(
    ("assumed", "slower"), [(RowAssumptions(columns=1), True), (RowAssumptions(columns=64), False)]
)
def test_what_is_assumed_of_the_array_is_followed(assumed: RowAssumptions, slower: bool) -> None:
    workload = network(conv("a", "x", 64, 32, 2), conv("b", "a.out", 64, 32, 2))
    group: Plan = (Segment((0, 1), (LayerChoice(("analog",) * 32, Cut("OY", 32)),) * 2),)
    usual = by_hand(DIANA.row_model(), workload, group).latency_cycles
    other = by_hand(DianaTarget(assumed=assumed).row_model(), workload, group).latency_cycles
    assert other > usual if slower else other == usual, "no more columns than leave room for all"


def test_words_per_row_count_where_windows_have_a_stride() -> None:
    layer = linear_layer(square(16, 16, 16, 3, stride=2))
    for counts, per_row in ((True, 3), (False, 2)):
        model = DianaTarget(assumed=RowAssumptions(counts_stride=counts)).row_model()
        option = model.network(network(layer)).costs.option(layer, "digital", ALL_HELD)
        assert option is not None
        assert option.cost.compute_cycles == 16 * (16 * 9 + per_row * 16 * 3 + 23)


def test_what_does_not_lie_in_the_array_at_once_is_no_group() -> None:
    model = DIANA.row_model()
    layers = [conv(f"l{i}", f"l{i - 1}.out" if i else "x", 256, 8, 2) for i in range(2)]
    model.network(network(*layers))
    assert model.together(layers[:1]) is False, "2,304 rows are twice what there is"
    small = [conv(f"l{i}", f"l{i - 1}.out" if i else "x", 64, 8, 2) for i in range(3)]
    model.network(network(*small))
    assert model.together(small)


def test_a_network_that_fits_l2_only_as_rows_runs() -> None:
    """Tensors between the layers of a group are never whole anywhere."""
    layers = [conv("a", "x", 16, 192), conv("b", "a.out", 16, 192)]
    pooled = replace(
        layers[1],
        name="c",
        op_type="MaxPool",
        macs=0,
        weight=None,
        bias=None,
        inputs=(layers[1].outputs[0],),
        outputs=(Operand("c.out", (1, 16, 16, 16), 8),),
        dims=replace(
            layers[1].dims,  # type: ignore[type-var]
            g=16, k=1, c=1, oy=16, ox=16, fy=12, fx=12, stride_y=12, stride_x=12,
            pad_top=0, pad_left=0, pad_bottom=0, pad_right=0,
        ),
    )  # fmt: skip
    first = replace(layers[0], inputs=(Operand("x", (1, 1, 192, 192), 8),))
    assert first.dims is not None and first.weight is not None
    dims = replace(first.dims, c=1)
    first = replace(first, dims=dims, macs=dims.iterations, weight=replace(first.weight, shape=(16, 1, 3, 3)))
    workload = network(first, layers[1], pooled)
    with pytest.raises(NoSolutionError, match="cannot be placed on diana"):
        planned(workload, "layers")
    found = planned(workload)
    assert found.rows and [len(segment.layers) for segment in found.plan] == [3]
    assert problems(found.network, finished(simulate(found.network, found.plan))) == []


def test_the_scale_of_host_work_moves_nothing() -> None:
    plain, dear = (planned(CASES["one core"], host_scale=scale) for scale in (1.0, 4.0))
    assert plain.plan == dear.plan and plain.rows and dear.rows
    jobs = [sum(run.cost.job_cycles for run in one.schedule.runs) for one in (plain, dear)]
    assert jobs[1] == 4 * jobs[0] > 0
    assert dear.schedule.latency_cycles == plain.schedule.latency_cycles + jobs[1] - jobs[0]
