"""Any accelerator with arrays as a target: what runs where, rules, refusals, what stays on chip."""

from __future__ import annotations

from dataclasses import replace

import pytest

from passes.errors import InputError
from targets.contract.placement import Placement, Refusal
from targets.contract.registry import load_target
from targets.described.target import EngineTarget
from targets.description.mapping import MappingRule
from targets.evaluation.report import evaluate
from targets.evaluation.scheduling import Wishes
from targets.network.layer import Bits, Layer
from targets.objective import EDP, ENERGY, LATENCY, OBJECTIVES, Objective
from targets.schedule.machine import OUTER
from targets.testing.conformance import TargetConformance, sample_layer
from tests.targets.graphs import graph_of, residual
from tests.targets.small_arch import small_arch

CHAIN = """
n (float[1,4,8,8] x) => (float[1,8,8,8] z) <float[8,4,3,3] v, float[8,8,3,3] w> {
  y = Conv<pads=[1,1,1,1]>(x, v)
  z = Conv<pads=[1,1,1,1]>(y, w)
}
"""
RULE = MappingRule("default", {"D1": {"K": 4}, "D2": {"C": 4}})
LAYERS = Wishes("layers")
ONE = EngineTarget(architecture=small_arch(), rules=(RULE,))
KINDS = ("mac_array", "mac_array", "pooling", "simd")
MANY = EngineTarget(architecture=small_arch(kinds=KINDS), rules=(RULE,))


class TestOneCore(TargetConformance):
    target = ONE

    def test_readme_and_description_stand_beside_the_target(self) -> None:
        """A file of a user has no folder here."""


class TestManyCores(TestOneCore):
    target = MANY


def placed(target: EngineTarget, layer: Layer, objective: Objective = EDP) -> Placement:
    result = target.place(layer, objective)
    assert isinstance(result, Placement), str(result)
    return result


def refused(target: EngineTarget, layer: Layer) -> Refusal:
    result = target.place(layer)
    assert isinstance(result, Refusal)
    return result


@pytest.mark.parametrize(
    ("op_type", "alone", "among"),
    [
        ("Conv", "mac_array_0", "mac_array_0"),
        ("MaxPool", "mac_array_0", "pooling_2"),
        ("Add", "mac_array_0", "simd_3"),
        ("Softmax", "mac_array_0", "simd_3"),
    ],
)
def test_work_runs_on_its_own_kind_of_core_else_on_the_arrays(op_type: str, alone: str, among: str) -> None:
    assert placed(ONE, sample_layer(op_type)).core == alone
    assert placed(MANY, sample_layer(op_type)).core == among


def test_what_has_no_loop_nest_is_refused_with_a_reason() -> None:
    cube = replace(sample_layer("Conv"), dims=None)
    assert refused(ONE, cube).reasons[0].rule == "It has one or two spatial axes"
    assert "2-D" in refused(ONE, cube).hint
    transposed = refused(ONE, sample_layer("ConvTranspose"))
    assert transposed.reasons[0].rule == "It does not run ConvTranspose"
    assert "Resize" in transposed.hint


def test_a_layer_that_fits_no_memory_is_refused() -> None:
    arch = small_arch()
    dram = arch.offchip["dram"].model_copy(update={"size_bits": 40_000})
    tiny = EngineTarget(architecture=arch.model_copy(update={"offchip": {"dram": dram}}), rules=(RULE,))
    assert placed(tiny, sample_layer("Conv", channels=8)).core == "mac_array_0"
    big = refused(tiny, sample_layer("Conv", channels=64))
    assert big.reasons[0].rule.startswith("No mapping of ")
    assert "larger memories" in big.hint
    assert "replace it" in refused(tiny, sample_layer("GridSample")).hint


def test_parts_add_up_to_the_latency_of_the_mapping() -> None:
    cost = ONE.cost(sample_layer("Conv"), "mac_array_0")
    assert cost.detail is not None
    assert cost.latency_cycles == -(-cost.detail.latency_cycles // 1)
    assert cost.energy_pj == cost.detail.energy_pj
    assert cost.known == "placeholder", "as the description says of its array"


def test_the_objective_chooses_the_mapping() -> None:
    layer = sample_layer("Conv", channels=24)
    costs = {o: placed(ONE, layer, o).cost for o in (LATENCY, ENERGY, EDP)}
    assert costs[LATENCY].latency_cycles <= min(c.latency_cycles for c in costs.values())
    assert costs[ENERGY].energy_pj <= min(c.energy_pj for c in costs.values())


def test_a_rule_restricts_the_cores() -> None:
    target = replace(MANY, rules=(replace(RULE, name="Conv", cores=(1,)),))
    placement = placed(target, sample_layer("Conv"))
    assert placement.core == "mac_array_1"
    assert [r.rule for r in placement.declined] == ["The mapping file allows mac_array_1"]
    nowhere = refused(replace(MANY, rules=(MappingRule("Add", cores=(0,)),)), sample_layer("Add"))
    assert nowhere.reasons[0].rule == "The mapping file allows mac_array_0"
    general = replace(MANY, rules=(replace(RULE, cores=(0, 1)),))
    assert placed(general, sample_layer("Add")).core == "simd_3", "a default binds what its cores can run"


def test_a_rule_that_cannot_be_is_the_users_to_mend() -> None:
    rule = MappingRule("default", {"D1": {"K": 4}, "D2": {"C": 4}}, order=(("OX", 7),))
    with pytest.raises(InputError, match=r"layer 'sample' on core 'mac_array_0': .*factor 7"):
        replace(ONE, rules=(rule,)).place(sample_layer("Conv"))


def test_rules_nobody_follows_are_said() -> None:
    report = evaluate(residual(), replace(ONE, rules=(RULE, MappingRule("LSTM"))))
    assert report.warnings == ("no layer follows the mapping of: LSTM",)


def test_a_fixed_mapping_gives_the_same_cost_and_residency() -> None:
    first = evaluate(residual(), ONE, wishes=LAYERS)
    index = {core.name: i for i, core in enumerate(ONE.arch.cores)}
    rules = tuple(
        MappingRule(layer.name, cores=(index[layer.core],), fixed=layer.cost.detail.mapping)
        for layer in first.layers
        if layer.cost.detail is not None
    )
    again = evaluate(residual(), replace(ONE, rules=rules, engines=None), wishes=LAYERS)
    assert (again.total, [x.energy_pj for x in again.layers]) == (
        first.total,
        [x.energy_pj for x in first.layers],
    )
    assert all(layer.cost.detail is not None and layer.cost.detail.considered == 1 for layer in again.layers)


def test_what_lies_between_two_layers_stays_on_chip() -> None:
    kept, apart = (
        evaluate(graph_of(CHAIN), replace(MANY, locality=locality), wishes=LAYERS).planned
        for locality in (True, False)
    )
    assert [m.tensor for m in kept.schedule.moves if m.destination == OUTER] == ["z"]
    assert not apart.schedule.moves, "without locality, layers read and write off chip by themselves"
    assert all(not run.held for run in apart.schedule.runs)
    assert kept.schedule.energy_pj < apart.schedule.energy_pj


def test_more_freedom_is_never_worse() -> None:
    for objective in OBJECTIVES:
        split, whole = (
            getattr(evaluate(residual(exits=False), MANY, objective, wishes=wishes).total, objective.key)
            for wishes in (Wishes(), LAYERS)
        )
        assert split <= whole
    kept, fetched = (evaluate(residual(), MANY, wishes=Wishes(keep_weights=keep)) for keep in (True, False))
    assert kept.schedule.resident and not fetched.schedule.resident
    assert (kept.schedule.weights, fetched.schedule.weights) == ("keep", "fetch")
    assert kept.total.edp_j_cycles < fetched.total.edp_j_cycles


def test_foreign_files_are_costed_at_8_bits_with_16_bit_sums() -> None:
    assert ONE.precision == Bits(8, 8, 16, logits=8)
    document = evaluate(residual(), ONE).to_json()
    assert document["bits"] == {"weight": 8, "activation": 8, "partial_sum": 16, "logits": 8}
    assert (document["locality"], document["lpf_limit"]) == ("on", 6)
    assert document["target"] == "small", "a file is called by the name it gives itself"


def test_reports_tell_mapping_latency_and_energy_of_every_layer() -> None:
    for layer in evaluate(residual(), ONE, wishes=LAYERS).to_json()["layers"]:
        parts, energy = layer["latency"], layer["energy"]
        cycles = parts["compute"] + parts["stall"] + parts["onload"] + parts["offload"]
        assert layer["latency_cycles"] == -(-cycles // 1)
        total = energy["operations_pj"] + sum(a["energy_pj"] for a in energy["accesses"])
        assert layer["energy_pj"] == pytest.approx(total + layer["move_energy_pj"])
        assert set(energy["accesses"][0]) == {"operand", "memory", "direction", "words", "energy_pj"}
        assert set(layer["mapping"]) == {"spatial", "loops", "levels"}
        assert "gap" in layer and (parts["stalling_port"] is None) == (parts["stall"] == 0)


def test_an_accelerator_without_arrays_is_no_target() -> None:
    cores = small_arch().cores
    bare = small_arch().model_copy(
        update={"cores": (cores[0].model_copy(update={"array": None, "memories": {}}),)}
    )
    with pytest.raises(InputError, match="no core of small has an array"):
        EngineTarget(architecture=bare)
    with pytest.raises(InputError, match="at least 1"):
        EngineTarget(architecture=small_arch(), lpf_limit=0)


def test_latency_is_counted_in_full_unless_the_rules_of_zigzag_are_asked_for() -> None:
    theirs = ONE.counted_by("zigzag")
    assert ONE.search.rules == "exact" and theirs.search.rules == "zigzag"
    assert evaluate(residual(), theirs).to_json()["rules"] == "zigzag"
    odd = sample_layer("Gemm", channels=10, size=7)
    exact, rounded = (target.cost(odd, "mac_array_0") for target in (ONE, theirs))
    assert exact.latency_cycles >= exact.bound_cycles > rounded.latency_cycles, "10 over 4 units leave 2"
    assert ONE.cost(odd, "mac_array_0") == exact, "what was found out is kept apart"
    with pytest.raises(InputError, match="`rules` exakt: there are exact and zigzag"):
        ONE.counted_by("exakt")


def test_cores_compute_by_the_schemes_of_the_file_else_of_the_target() -> None:
    assert ONE.scheme_names("mac_array_0") == ("int8-channel",)
    core = ONE.arch.cores[0].model_copy(update={"schemes": ("int8-pow2", "int4-channel")})
    told = ONE.with_architecture(ONE.arch.model_copy(update={"cores": (core,)}))
    assert [scheme.name for scheme in told.schemes_of("mac_array_0")] == ["int8-pow2", "int4-channel"]
    quad = load_target("edge_tpu_quad")
    assert quad.scheme_names("simd") == ("uint8-channel",), "as its class says"
