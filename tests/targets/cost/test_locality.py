"""What stays on chip, and what that does to the cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from targets.cost.locality import operand_tensors, plan_residency
from targets.cost.mapping import MappingRule
from targets.cost.residency import Residency
from targets.engine_target import EngineTarget
from targets.layer import Layer, Operand
from targets.report import CostReport, evaluate
from targets.workload import Workload, build_workload
from tests.targets.graphs import residual
from tests.targets.small_arch import small_arch

KIB = 8192
# Given unrollings, so that nothing is searched that these tests are not about.
RULE = MappingRule("default", {"D1": {"K": 4}, "D2": {"C": 4}})
SRAM = {"I": (("sram", 64 * KIB),), "O": (("sram", 64 * KIB),)}


def workload() -> Workload:
    """Return the residual network with one exit: stem, body, add, pool, early head, average, head."""
    return build_workload(residual(), EngineTarget(architecture=small_arch()).precision)


def plan(size_bits: int, core: str = "a", fits: int = 1 << 60) -> dict[str, Residency]:
    """Return the plan on one core whose layers run where at most ``fits`` bits are taken."""
    work = workload()
    stores = dict.fromkeys(("I", "O"), (("sram", size_bits),))

    def can_run(_: Layer, around: Residency) -> bool:
        used = sum(bits for _, _, bits in around.operands) + sum(bits for _, bits in around.reserved)
        return used <= fits

    return plan_residency(work, {x.name: core for x in work.layers}, lambda _layer, _core: stores, can_run)


def offchip_pj(report: CostReport) -> float:
    details = [layer.detail for layer in report.layers if layer.detail is not None]
    return sum(a.energy_pj for d in details for a in d.accesses if a.memory == "dram")


def test_inputs_outputs_and_weights_stay_off_chip() -> None:
    work, planned = workload(), plan(1 << 30)
    first = next(layer for layer in work.layers if layer.inputs[0].name == "image")
    assert [op for op, _, _ in planned[first.name].operands] == ["O"]
    for layer in work.layers:
        around = planned.get(layer.name, Residency("a"))
        resident = {op for op, _, _ in around.operands}
        for operand, names in operand_tensors(layer).items():
            assert operand not in resident or not set(names) & work.outputs, f"{layer.name} keeps {names}"


def test_a_second_input_needs_a_memory_of_its_chain() -> None:
    planned = plan(1 << 30)
    (add,) = [layer for layer in workload().layers if layer.op_type == "Add"]
    assert "W" not in {op for op, _, _ in planned[add.name].operands}, "no memory holds W here"


@pytest.mark.parametrize("size_bits", [1, 600, 4096, 5000, 9000, 40_000])
def test_tensors_fit_at_all_times(size_bits: int) -> None:
    for name, around in plan(size_bits).items():
        used = sum(bits for _, _, bits in around.operands) + sum(bits for _, bits in around.reserved)
        assert used <= size_bits, f"{name} has {used} bits around it"


def test_a_tiny_memory_keeps_nothing() -> None:
    assert plan(1) == {}


def test_tensors_stay_only_between_layers_on_one_core() -> None:
    work = workload()
    core_of = {layer.name: f"core_{index}" for index, layer in enumerate(work.layers)}
    assert plan_residency(work, core_of, lambda _layer, _core: SRAM, lambda _layer, _around: True) == {}


def test_a_layer_without_a_core_keeps_its_tensors_off_chip() -> None:
    work = workload()
    first = work.layers[0].name
    core_of = {layer.name: "a" for layer in work.layers if layer.name != first}
    planned = plan_residency(work, core_of, lambda _layer, _core: SRAM, lambda _layer, _around: True)
    reads = [layer.name for layer in work.layers if 0 in layer.producers]
    assert all("I" not in {op for op, _, _ in planned.get(n, Residency("a")).operands} for n in reads)


def test_where_no_mapping_fits_the_largest_tensor_goes() -> None:
    everything, less = plan(1 << 30), plan(1 << 30, fits=3000)
    assert set(less) <= set(everything)
    for name, around in less.items():
        used = sum(bits for _, _, bits in around.operands) + sum(bits for _, bits in around.reserved)
        assert used <= 3000, f"{name} still has {used} bits around it"


def test_parts_of_one_operand_stay_together_or_not_at_all() -> None:
    a, b, big = (
        Operand("a", (1, 4, 4, 4), 8),
        Operand("b", (1, 4, 4, 4), 8),
        Operand("big", (1, 4, 64, 64), 8),
    )
    plain = Layer("x", "Relu", (), 0, None, (Operand("in", (1, 4, 4, 4), 8),), (a,))
    layers = (
        plain,
        replace(plain, name="y", outputs=(b,), producers=(0,)),
        replace(plain, name="z", outputs=(big,), producers=(0,)),
        replace(plain, name="cat", op_type="Concat", inputs=(a, b, big), outputs=(Operand("out", (9,), 8),),
                producers=(0, 1, 2)),
    )  # fmt: skip
    base = workload()
    path = replace(base.exits[-1], layers=(0, 1, 2, 3))
    work = Workload(layers, (path,), (), frozenset({"out"}))
    stores = dict.fromkeys(("I", "O"), (("sram", 2048),))
    core_of = {layer.name: "a" for layer in layers}
    assert plan_residency(work, core_of, lambda _l, _c: stores, lambda _l, _r: True) == {}, "big does not fit"


@pytest.mark.parametrize("objective", ["latency", "energy", "edp"])
@pytest.mark.parametrize("sram_bits", [2048, 8192, 1 << 14, 1 << 20])
def test_locality_never_costs_more_energy_off_chip(objective: str, sram_bits: int) -> None:
    on = EngineTarget(architecture=small_arch(sram_bits), rules=(RULE,))
    with_locality = evaluate(residual(), on, objective)
    without = evaluate(residual(), replace(on, locality=False), objective)
    assert offchip_pj(with_locality) <= offchip_pj(without)
    if sram_bits == 1 << 20:
        assert offchip_pj(with_locality) < 0.8 * offchip_pj(without)


def test_plans_repeat() -> None:
    target = EngineTarget(architecture=small_arch(1 << 14), rules=(RULE,))
    first, second = (target.for_workload(workload(), "edp").resident for _ in range(2))
    assert first == second and list(first) == list(second)
