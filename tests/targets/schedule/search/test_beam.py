"""Which plans a beam finds: what it looks at next, what it keeps, and what it says where nothing fits."""

from __future__ import annotations

import itertools
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targets.network.layer import Layer
from targets.objective import ENERGY, LATENCY, OBJECTIVES, Objective, uniform
from targets.schedule.freedom import Freedom
from targets.schedule.network import Held, Network
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import Plan, ended, finished, simulate
from targets.schedule.search.beam import Beam
from targets.schedule.search.candidates import Candidates
from targets.schedule.search.estimate import Estimate
from targets.schedule.state import State
from targets.schedule.tiles import WHOLE, Cut
from tests.targets.schedule.hand_networks import TableCosts, bus_machine, conv, network, one_by_one, pointwise
from tests.targets.schedule.random_networks import random_network
from tests.targets.schedule.small_schedule import gemm


def beam_of(
    made: Network, objective: Objective = LATENCY, split: bool = False, only: Cut | None = None
) -> Beam:
    candidates = Candidates(made, Freedom())
    return Beam(candidates, Estimate(candidates, objective, uniform(len(made.stage_names))), split, only)


def planned(
    made: Network, objective: Objective = LATENCY, split: bool = False, only: Cut | None = None
) -> Plan:
    return beam_of(made, objective, split, only).plan(State(made))[0]


def cores_of(plan: Plan) -> list[str]:
    return ["".join(segment.choices[0].cores) for segment in plan]


def cuts_of(plan: Plan) -> list[Cut]:
    return [segment.choices[0].cut for segment in plan]


def test_what_looks_worse_at_first_is_kept_until_it_is_better() -> None:
    # The first layer takes 5 cycles on a or 10 on b, which alone can run the second: moving takes 8.
    costs = TableCosts({"l0": 5, "l1": 50}, ("a", "b"), {"b": 2}, only={"l1": ("b",)})
    made = network([pointwise("l0", "x"), pointwise("l1", "l0.out")], costs)
    assert cores_of(planned(made)) == ["b", "b"]


@pytest.mark.parametrize(("objective", "cores"), [(LATENCY, ["a", "b"]), (ENERGY, ["a", "a"])])
@pytest.mark.parametrize("names", ["ab", "abc"])
def test_of_alike_cores_the_first_free_and_the_nearest_are_tried(
    objective: Objective, cores: list[str], names: str
) -> None:
    # The second layer reads what lies beside the first: there it waits, elsewhere it costs a move.
    made = network(
        [pointwise("l0", "x"), pointwise("l1", "x")], TableCosts({"l0": 100, "l1": 100}, tuple(names))
    )
    assert cores_of(planned(made, objective)) == cores


def test_layers_are_cut_where_that_is_allowed_and_shorter() -> None:
    made = network([pointwise("l0", "x")], TableCosts({"l0": 100}), outputs=["l0.out"])
    assert cuts_of(planned(made)) == [WHOLE]
    # By rows half of the image is there after 4 cycles; by channels too, and channels come first by name.
    plan, state = beam_of(made, split=True).plan(State(made))
    assert cuts_of(plan) == [Cut("K", 2)] and cores_of(plan) == ["ab"]
    assert ended(state).end == 4 + 4 + 50 + 4


def test_what_cannot_run_whole_is_cut_all_the_same() -> None:
    def whole(tile: Layer, core: str, held: Held) -> bool:  # noqa: ARG001
        return tile.outputs[0].shape == (1, 4, 8, 2) and tile.name == "l0"

    layers = [pointwise("l0", "x"), pointwise("l1", "l0.out")]
    made = network(layers, TableCosts({"l0": 100, "l1": 100}, refuses=whole))
    first, second = cuts_of(planned(made))
    assert first.parts > 1 and second == WHOLE


@pytest.mark.parametrize(("cut", "last"), [(Cut("OY", 2), WHOLE), (Cut("K", 2), Cut("K", 2))])
def test_one_cut_is_taken_wherever_a_layer_has_it_and_no_other(cut: Cut, last: Cut) -> None:
    # The second is not cut; the third is short, and by channels moving its image takes longer than is gained;
    # the last has channels alone.
    layers = [pointwise("l0", "x"), pointwise("l1", "l0.out", op="Softmax"), conv("l2", "l1.out")]
    layers.append(gemm("l3", layers[2].outputs[0], 64, ()))
    made = network(layers, TableCosts({"l0": 100, "l1": 100, "l2": 10, "l3": 100}))
    assert cuts_of(planned(made, split=True, only=cut)) == [cut, WHOLE, cut, last]


@pytest.mark.parametrize(("layers", "width"), [(5, 3), (1000, 3), (1001, 2), (1500, 2), (1501, 1), (3001, 1)])
def test_three_are_kept_as_long_as_that_makes_no_more_than_3000_tiles(layers: int, width: int) -> None:
    chain = [pointwise(f"l{i}", f"l{i - 1}.out" if i else "x") for i in range(layers)]
    made = network(chain, TableCosts({layer.name: 8 for layer in chain}, ("a",)))
    assert beam_of(made).width == width


def test_of_one_cut_for_all_a_single_plan_is_kept() -> None:
    made = network([pointwise("l0", "x")], TableCosts({"l0": 100}))
    assert beam_of(made, split=True).width == 3
    assert beam_of(made, split=True, only=Cut("OY", 2)).width == 1


def cuts_tried(first: Layer, layers: int, cores: str) -> list[Cut]:
    """Return the cuts of the first layer of many in a row, of 8 cycles each."""
    chain = [first, *(pointwise(f"l{i}", f"l{i - 1}.out") for i in range(1, layers))]
    made = network(chain, TableCosts({layer.name: 8 for layer in chain}, tuple(cores)))
    return [choice.cut for choice in beam_of(made, split=True).splits[0]]


def test_large_networks_try_the_cuts_that_look_shortest() -> None:
    plain, weighted = pointwise("l0", "x"), conv("l0", "x")
    every = {Cut("OY", 2), Cut("OY", 3), Cut("K", 2), Cut("K", 3)}
    assert set(cuts_tried(plain, 5, "abc")) == set(cuts_tried(weighted, 5, "abc")) == every
    # From 1,500 parts three are left for each of 500 layers. Three parts by rows take 3 cycles; by channels
    # two and three take 4, as one of them has two channels.
    assert cuts_tried(plain, 500, "abc") == [Cut("OY", 3)]
    # But by rows weights of 2 cycles are fetched three times.
    assert cuts_tried(weighted, 500, "abc") == [Cut("K", 2)]
    # By channels they are fetched once, however many parts there are: four take 2 cycles.
    assert cuts_tried(weighted, 375, "abcd") == [Cut("K", 4)]


def test_where_nothing_fits_the_last_obstacle_is_told() -> None:
    layers = [pointwise("l0", "x"), pointwise("l1", "l0.out")]
    costs = TableCosts({"l0": 100, "l1": 100}, ("a",), buffers={"l1": (("a.sram", 4000),)})
    made = network(layers, costs, bus_machine("a", 3000))
    with pytest.raises(NoRoomError) as caught:
        planned(made)
    assert (caught.value.store, caught.value.bits, caught.value.layer) == ("a.sram", 4512, "l1")
    never = replace(costs, refuses=lambda tile, core, held: tile.name == "l1")  # noqa: ARG005
    with pytest.raises(NoRoomError):
        planned(network(layers, never))


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 40), min_size=2, max_size=2),
    st.sampled_from(["l0.out", "x", "y"]),
    st.sampled_from([0.25, 0.5, 1.0]),
    st.sampled_from(OBJECTIVES),
)
def test_of_two_layers_on_two_kinds_of_core_the_best_plan_is_found(
    cycles: list[int], source: str, energy_pj: float, objective: Objective
) -> None:
    costs = TableCosts(dict(zip(("l0", "l1"), cycles, strict=True)), ("a", "b"), {"b": 2}, {"b": energy_pj})
    layers = [pointwise("l0", "x"), pointwise("l1", source)]
    made = network(layers, costs, outputs=["l1.out"])

    def value(plan: Plan) -> float:
        state = simulate(made, plan)
        return objective.expected((1.0,), state.stage_ends, state.stage_energies)

    every = [value(one_by_one(made, cores)) for cores in itertools.product("ab", repeat=2)]
    assert value(planned(made, objective)) == min(every)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 24), st.sampled_from(OBJECTIVES), st.booleans())
def test_the_schedule_is_that_of_the_plan_with_the_last_stage_open(
    seed: int, objective: Objective, split: bool
) -> None:
    made = random_network(Random(seed))
    try:
        start = State(made)
        plan, state = beam_of(made, objective, split).plan(start)
    except NoRoomError:
        return
    assert [index for segment in plan for index in segment.layers] == list(made.order)
    assert len(state.stage_ends) == len(made.stage_names) - 1
    assert finished(ended(state)) == finished(simulate(made, plan))
    assert not list(start.runs), "what it starts from is left as it is"
