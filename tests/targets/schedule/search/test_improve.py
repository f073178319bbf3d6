"""Plans get better one decision at a time, never worse, and stop where nothing helps or the budget ends."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from targets.network.layer import Layer
from targets.objective import EDP, ENERGY, LATENCY, OBJECTIVES, Objective, uniform
from targets.schedule.freedom import Freedom
from targets.schedule.network import Held, Network
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import LayerChoice, NoOptionError, Plan, Segment, finished, simulate
from targets.schedule.search import improve
from targets.schedule.search.candidates import Candidates
from targets.schedule.search.estimate import Estimate
from targets.schedule.search.improve import Improver
from targets.schedule.state import State
from targets.schedule.tiles import Cut
from tests.targets.schedule.hand_networks import TableCosts, network, one_by_one, pointwise
from tests.targets.schedule.random_plans import random_problem

QUARTERS = Cut("OY", 4)


def improver(
    made: Network, plan: Plan, objective: Objective = LATENCY, freedom: Freedom | None = None
) -> Improver:
    candidates = Candidates(made, freedom or Freedom())
    estimate = Estimate(candidates, objective, uniform(len(made.stage_names)))
    return Improver(candidates, estimate, State(made), plan)


def side_by_side() -> Network:
    """Return two layers of 100 cycles that have nothing to do with each other."""
    return network([pointwise("l0", "x"), pointwise("l1", "y")], TableCosts({"l0": 100, "l1": 100}))


def in_a_row(cores: str = "ab", starting: int = 0) -> Network:
    """Return two layers of 64 cycles and those to start a tile."""
    layers = [pointwise("l0", "x"), pointwise("l1", "l0.out")]
    costs = TableCosts({"l0": 64, "l1": 64}, tuple(cores), starting=starting)
    return network(layers, costs, outputs=["l1.out"])


def value(made: Network, plan: Plan, objective: Objective) -> float:
    state = simulate(made, plan)
    return objective.expected(uniform(len(made.stage_names)), state.stage_ends, state.stage_energies)


def test_a_layer_goes_to_the_core_that_is_free() -> None:
    made = side_by_side()
    search = improver(made, one_by_one(made, "aa"), freedom=Freedom(split=False))
    assert search.best.end == 8 + 100 + 100
    search.improve()
    # Both have taken 100 cycles of the schedule; the first is moved, and its image comes first as before.
    assert [segment.choices[0].cores for segment in search.plan] == [("b",), ("a",)]
    assert search.best.end == 8 + 8 + 100


@pytest.mark.parametrize(("objective", "cores"), [(LATENCY, "ba"), (ENERGY, "aa")])
def test_a_change_that_makes_nothing_better_is_not_taken(objective: Objective, cores: str) -> None:
    made = side_by_side()
    # Wherever it runs, energy is the same.
    search = improver(made, one_by_one(made, "aa"), objective, Freedom(split=False))
    search.improve()
    assert "".join(segment.choices[0].cores[0] for segment in search.plan) == cores


@pytest.mark.parametrize("objective", [LATENCY, EDP])
def test_a_stage_that_gets_better_is_worth_it_though_it_costs_more_energy(objective: Objective) -> None:
    layers = [pointwise("l0", "x"), pointwise("l1", "y"), pointwise("l2", "z")]
    costs = TableCosts({"l0": 100, "l1": 100, "l2": 100}, energies_pj={"b": 1.5})
    made = network(layers, costs, stages=[["l0", "l1"], ["l2"]])
    search = improver(made, one_by_one(made, "aaa"), objective, Freedom(split=False))
    assert search.best.stage_ends == (208, 316)
    search.improve()
    # The first stage takes a little more than half; the second takes as long as before.
    assert search.best.stage_ends == (116, 224)
    assert {run.core for run in search.best.runs if run.stage == 0} == {"a", "b"}


def test_a_core_on_which_a_part_has_no_mapping_is_passed_over() -> None:
    def unfit(tile: Layer, core: str, held: Held) -> bool:  # noqa: ARG001
        return core == "b" and tile.outputs[0].shape[2] == 2

    made = in_a_row()
    costs = TableCosts({"l0": 64, "l1": 64}, factors={"b": 2}, refuses=unfit)
    # Of three parts of 8 rows the last has 2.
    choice = LayerChoice(("a",) * 3, Cut("OY", 3))
    plan = (Segment((0, 1), (choice, choice)),)
    search = improver(replace(made, costs=costs), plan)
    search.improve()
    assert search.plan == plan


def test_layers_are_cut_where_that_helps() -> None:
    made = network([pointwise("l0", "x")], TableCosts({"l0": 100}))
    search = improver(made, one_by_one(made, "a"))
    search.improve()
    ((choice,),) = (segment.choices for segment in search.plan)
    assert choice.cut.parts == 2 and set(choice.cores) == {"a", "b"}
    assert search.best.end == 4 + 4 + 50


def test_layers_are_fused_where_rows_can_flow_through_them() -> None:
    made = in_a_row()
    search = improver(made, one_by_one(made, "aa"))
    search.fuse()
    assert [segment.layers for segment in search.plan] == [(0, 1)]
    # Two cores share 128 cycles; layer by layer on one it takes 8 + 128 + 8.
    assert 64 < search.best.end < 144


# On one core a group of n tiles per layer gains but what is on the bus meanwhile: it takes 128 cycles, 8 / n
# on the bus before and after that, and n starts of each layer. Layer by layer it takes 144 and two starts.
@pytest.mark.parametrize(
    ("starting", "tiles", "cycles"),
    [(0, 8, 130), (1, 4, 132 + 8), (2, 2, 136 + 8), (3, 2, 136 + 12), (4, 1, 144 + 8)],
)
def test_coarser_tiles_are_tried_while_they_are_better_and_nothing_is_fused_for_no_gain(
    starting: int, tiles: int, cycles: int
) -> None:
    made = in_a_row("a", starting)
    plan = one_by_one(made, "aa")
    search = improver(made, plan)
    search.fuse()
    assert {choice.cut.parts for segment in search.plan for choice in segment.choices} == {tiles}
    assert (search.plan == plan) is (tiles == 1)
    assert search.best.end == cycles


def test_the_longest_group_is_tried_first() -> None:
    names = ["l0", "l1", "l2", "l3"]
    layers = [pointwise(name, f"l{i - 1}.out" if i else "x") for i, name in enumerate(names)]
    made = network(layers, TableCosts(dict.fromkeys(names, 64)))
    search = improver(made, one_by_one(made, "aaaa"))
    search.fuse()
    assert [segment.layers for segment in search.plan] == [(0, 1, 2, 3)]


@pytest.mark.parametrize(("small", "moved"), [(8, True), (7, False)])
def test_layers_of_a_group_of_few_tiles_are_moved_to_other_cores(
    small: int, moved: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(improve, "SMALL_GROUP", small)
    made = in_a_row()
    choice = LayerChoice(("a",) * 4, QUARTERS)
    plan = (Segment((0, 1), (choice, choice)),)
    search = improver(made, plan)
    search.improve()
    if not moved:
        assert search.plan == plan
        return
    (segment,) = search.plan
    assert {choice.cores for choice in segment.choices} == {("a",) * 4, ("b",) * 4}
    # Quarters of 16 cycles and of 2 on the bus: the second layer is one quarter behind the first.
    assert search.best.end == 2 + 16 * 4 + 2 + 16 + 2


@pytest.mark.parametrize("budget", ["IMPROVE_TILES", "FUSE_TILES"])
def test_without_a_budget_the_plan_is_left_as_it_is(budget: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(improve, budget, 0)
    made = in_a_row()
    plan = one_by_one(made, "aa")
    search = improver(made, plan)
    (search.improve if budget == "IMPROVE_TILES" else search.fuse)()
    assert search.plan == plan
    assert finished(search.best) == finished(simulate(made, plan))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 24), st.sampled_from(OBJECTIVES))
def test_plans_get_no_worse_and_their_schedule_is_what_they_make(seed: int, objective: Objective) -> None:
    made, plan, _ = random_problem(seed)
    try:
        before = value(made, plan, objective)
        search = improver(made, plan, objective)
    except (NoRoomError, NoOptionError):
        return
    for step in (search.fuse, search.improve):
        step()
        assert sorted(index for segment in search.plan for index in segment.layers) == sorted(made.order)
        after = value(made, search.plan, objective)
        assert after <= before * (1 + 1e-12)
        assert finished(search.best) == finished(simulate(made, search.plan))
        before = after


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 24), st.sampled_from(OBJECTIVES))
def test_in_the_end_no_other_core_or_cut_of_one_layer_is_better(seed: int, objective: Objective) -> None:
    made, plan, _ = random_problem(seed, 4)
    # Behind an exit that gets no better the search does not look on.
    assume(len(made.stage_names) == 1)
    try:
        search = improver(made, plan, objective)
    except (NoRoomError, NoOptionError):
        return
    search.improve()
    best = value(made, search.plan, objective)
    candidates = Candidates(made, Freedom())
    for position, segment in enumerate(search.plan):
        if len(segment.layers) > 1:
            continue
        (index,) = segment.layers
        alike = {core: group for group in candidates.groups(index) for core in group}
        whole = [
            choice._replace(cores=(core,))
            for choice in candidates.whole(index)
            for core in alike[choice.cores[0]]
        ]
        for choice in (*whole, *candidates.split(index)):
            trial = (*search.plan[:position], Segment((index,), (choice,)), *search.plan[position + 1 :])
            try:
                assert value(made, trial, objective) >= best * (1 - 1e-9)
            except (NoRoomError, NoOptionError):
                continue
