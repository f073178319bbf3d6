"""From a workload to a schedule: what is refused, what does not fit, and what changes nothing."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest

from passes.errors import InputError, NoSolutionError
from targets.contract.target import Shortage
from targets.described.target import EngineTarget
from targets.description.mapping import MappingRule
from targets.diana.target import DianaTarget
from targets.evaluation.scheduling import Planned, Wishes, schedule_workload
from targets.network.layer import Layer, Operand
from targets.network.workload import ExitPath, Workload
from targets.objective import EDP, ENERGY, LATENCY, Objective
from targets.schedule.check.checker import problems
from targets.schedule.machine import OUTER
from targets.testing.conformance import sample_layer, sample_workload
from tests.targets.small_arch import small_arch

DIANA = DianaTarget()
# Unrolled as the rule says, so that little is left to search.
RULE = MappingRule("default", {"D1": {"K": 4}, "D2": {"C": 4}})
PAIR = EngineTarget(architecture=small_arch(kinds=("mac_array", "mac_array")), rules=(RULE,), lpf_limit=5)
NETWORK = sample_workload(("Conv", "Add", "MaxPool", "Conv"))


@pytest.fixture(scope="module")
def kept() -> Planned:
    return schedule_workload(NETWORK, PAIR, EDP)


def chain(*layers: Layer) -> Workload:
    """Return layers side by side that do not read one another."""
    named = tuple(
        replace(
            layer,
            name=f"layer_{i}",
            inputs=tuple(replace(t, name=f"{t.name}_{i}") for t in layer.inputs),
            outputs=tuple(replace(t, name=f"{t.name}_{i}") for t in layer.outputs),
        )
        for i, layer in enumerate(layers)
    )
    path = ExitPath("final", "", tuple(range(len(layers))), 0, False)
    return Workload(named, (path,), (), frozenset(t.name for layer in named for t in layer.outputs))


def test_a_schedule_is_valid_and_weights_that_stay_are_not_fetched(kept: Planned) -> None:
    assert problems(kept.network, kept.schedule) == []
    assert kept.resident and kept.schedule.resident == kept.resident.keys()
    fetched = {
        move.tensor for move in kept.schedule.moves if (move.purpose, move.source) == ("weights", OUTER)
    }
    assert not fetched & kept.resident.keys()
    assert (kept.refusals, kept.speculative, kept.exact) == ((), None, None)


def test_wishes_are_followed(kept: Planned) -> None:
    wishes = Wishes("layers", keep_weights=False, speculate=True)
    plain = schedule_workload(NETWORK, PAIR, EDP, wishes=wishes)
    assert all(len(segment.layers) == 1 for segment in plain.plan)
    assert all(choice.cut.parts == 1 for segment in plain.plan for choice in segment.choices)
    assert plain.resident == {} and plain.speculative is not None
    assert plain.schedule.energy_pj > kept.schedule.energy_pj, "all weights are fetched"


def test_what_is_asked_for_is_what_is_least(kept: Planned) -> None:
    found = {o: schedule_workload(NETWORK, PAIR.for_objective(o), o) for o in (LATENCY, ENERGY)} | {EDP: kept}

    def value(planned: Planned, objective: Objective) -> float:
        ends, stages = planned.schedule.stage_end_cycles, range(len(NETWORK.exits))
        energies = [planned.schedule.energy_until(stage) for stage in stages]
        return objective.expected((0.5, 0.5), ends, energies)

    for objective, best in found.items():
        assert all(value(best, objective) <= value(other, objective) for other in found.values()), objective
        assert best.network.thrifty is (objective == ENERGY), "time is no reason to move data the dear way"
    assert len({planned.schedule.latency_cycles for planned in found.values()}) > 1


def test_layers_no_core_takes_are_told_and_the_others_scheduled() -> None:
    odd = replace(sample_layer("Relu"), op_type="LSTM")
    workload = chain(sample_layer("Relu"), odd, sample_layer("MaxPool"))
    with pytest.raises(NoSolutionError, match="1 of 3 layers cannot be placed on diana") as caught:
        schedule_workload(workload, DIANA, EDP)
    assert "layer 'layer_1' (LSTM" in caught.value.hint
    planned = schedule_workload(workload, DIANA, EDP, allow_refused=True)
    assert [refusal.layer for refusal in planned.refusals] == ["layer_1"]
    assert {run.layer for run in planned.schedule.runs} == {0, 2}
    assert planned.network.workload is workload, "reports still know it"
    assert schedule_workload(chain(sample_layer("Relu")), DIANA, EDP).refusals == ()


def test_the_scale_of_host_work_moves_nothing() -> None:
    workload = sample_workload(("Conv", "Softmax", "Add", "MaxPool", "Relu", "Gemm"))
    plain, dear, free = (
        schedule_workload(workload, DianaTarget(host_scale=scale), EDP) for scale in (1.0, 50.0, 0.0)
    )
    assert plain.plan == dear.plan == free.plan and plain.resident == dear.resident == free.resident
    assert free.schedule.latency_cycles < plain.schedule.latency_cycles < dear.schedule.latency_cycles
    host = {scale: sum(r.cost.host_cycles for r in p.schedule.runs) for scale, p in ((1, plain), (50, dear))}
    assert host[50] == 50 * host[1] > 0
    assert problems(dear.network, dear.schedule) == []


def test_the_exact_solver_does_not_scale_host_work() -> None:
    wishes, workload = Wishes(exact_seconds=1.0), chain(sample_layer("Relu"))
    with pytest.raises(InputError, match="nominal cost of host work") as caught:
        schedule_workload(workload, DianaTarget(host_scale=2.0), EDP, wishes=wishes)
    assert "`host_scale`" in caught.value.hint
    # One layer is as good as its bound: nothing is left to solve.
    planned = schedule_workload(workload, DIANA, EDP, wishes=wishes)
    assert planned.exact is not None and planned.exact.proven
    assert planned.schedule is planned.exact.schedule


def test_tensors_that_do_not_fit_are_no_solution_and_leave_the_collector_on() -> None:
    shape = (1, 64, 64, 64)
    inputs = (Operand("a", shape, 8), Operand("b", shape, 8))
    add = replace(sample_layer("Add"), inputs=inputs, outputs=(Operand("y", shape, 8),))
    with pytest.raises(NoSolutionError, match=r"needs 786,432 bytes in l2 at once.*there are 524,288"):
        schedule_workload(chain(add), DIANA, EDP)
    assert gc.isenabled()


@pytest.mark.parametrize("running", [True, False])
def test_the_collector_is_left_as_it_was(running: bool) -> None:
    was = gc.isenabled()
    try:
        (gc.enable if running else gc.disable)()
        schedule_workload(chain(sample_layer("Relu")), DIANA, EDP)
        assert gc.isenabled() is running
    finally:
        (gc.enable if was else gc.disable)()


def test_energies_scale_with_speculation_and_without(kept: Planned) -> None:
    half = replace(kept, speculative=kept.schedule).at_energy(0.5)
    assert half.schedule.energy_pj == pytest.approx(kept.schedule.energy_pj / 2)
    assert half.speculative is not None and half.speculative.energy_pj == half.schedule.energy_pj
    assert kept.at_energy(0.5).speculative is None
    assert half.schedule.stage_end_cycles == kept.schedule.stage_end_cycles


class _Short(DianaTarget):
    """DIANA with too little of two things for any network."""

    def shortages(self, workload: Workload) -> tuple[Shortage, ...]:
        found = (f"it has {len(workload.layers)} layers", "there is no room for any")
        return tuple(Shortage(sentence, "take another chip") for sentence in found)


def test_what_a_network_has_too_little_of_is_told_once_every_layer_has_a_core() -> None:
    with pytest.raises(NoSolutionError) as caught:
        schedule_workload(NETWORK, _Short(), EDP)
    expected = "the network does not fit diana: it has 4 layers; there is no room for any"
    assert (caught.value.message, caught.value.hint) == (expected, "take another chip")
    assert DIANA.shortages(NETWORK) == ()
    unknown = sample_workload(("Conv", "NoSuchOperator"))
    with pytest.raises(NoSolutionError, match="1 of 2 layers cannot be placed"):
        schedule_workload(unknown, _Short(), EDP)
    assert len(schedule_workload(unknown, _Short(), EDP, allow_refused=True).refusals) == 1
