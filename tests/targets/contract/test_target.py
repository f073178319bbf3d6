"""A third party's target: two equal cores, no clock."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest

from targets.contract.closed_form import ClosedFormTarget
from targets.contract.placement import Placement, Refusal
from targets.contract.target import Constraint, CostModel, Support, sentence
from targets.cost.layer_cost import LayerCost
from targets.description.architecture import Architecture, parse_architecture
from targets.evaluation.report import evaluate
from targets.network.layer import Layer
from targets.testing.conformance import TargetConformance, sample_layer
from tests.targets.graphs import graph_of

HARDWARE = """
name: twins
cores:
  - {name: right, kind: simd, active_power_mw: {value: 1, known: placeholder, source: "test"}}
  - {name: left, kind: simd, active_power_mw: {value: 1, known: placeholder, source: "test"}}
"""


def is_small(layer: Layer, _arch: Architecture) -> bool:
    """The result has at most 2,000 elements."""
    return layer.output_elements <= 2000


@dataclass(frozen=True)
class Twins(ClosedFormTarget):
    name: ClassVar[str] = "twins"
    cost_models: ClassVar[Mapping[str, CostModel]] = {"flat": CostModel("none", "all of it")}
    schemes: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    cycles_per_element: int = 1
    dma_cycles: int = 0

    @property
    def arch(self) -> Architecture:
        return parse_architecture(HARDWARE, "twins.yaml")

    def support(self, core: str) -> Support:
        return {"Relu": (is_small,)} if core == "left" else {"Relu": (is_small,), "Tanh": ()}

    def cost(self, layer: Layer, core: str) -> LayerCost:
        self.arch.core(core)
        cycles = self.cycles_per_element * layer.output_elements
        return LayerCost(cycles, self.dma_cycles, 0, 0, float(cycles), 1.0, cycles, "placeholder")

    def pipeline(self, quantized: bool) -> str:
        return "quantize,fuse-layers" if quantized else "fuse-layers"


def test_the_first_cost_model_is_the_default() -> None:
    assert Twins().cost_model == "flat"


def test_ties_are_broken_by_name() -> None:
    placement = Twins().place(sample_layer("Relu"))
    assert isinstance(placement, Placement)
    assert placement.core == "left" and [c.core for c in placement.candidates] == ["left", "right"]


def test_refusals_list_broken_rules_or_missing_operators() -> None:
    large = Twins().place(sample_layer("Relu", channels=64))
    assert isinstance(large, Refusal)
    assert {(r.core, r.rule) for r in large.reasons} == {
        ("left", "The result has at most 2,000 elements"),
        ("right", "The result has at most 2,000 elements"),
    }
    unknown = Twins().place(sample_layer("Gelu"))
    assert isinstance(unknown, Refusal)
    assert {r.rule for r in unknown.reasons} == {"It does not run Gelu"}
    assert str(unknown).startswith("no core takes layer 'sample' (Gelu, from sample). Broken rules:\n")


def test_all_rules_that_a_layer_breaks_are_told_and_that_it_is_kept_off() -> None:
    def at_most_one(layer: Layer, _arch: Architecture) -> bool:
        """The result has one element."""
        return layer.output_elements == 1

    class Strict(Twins):
        def support(self, core: str) -> Support:
            return {op: (*rules, at_most_one) for op, rules in super().support(core).items()}

        def hint(self, constraint: Constraint) -> str:
            return "pool it" if constraint is at_most_one else "make it smaller"

        def declines(self, layer: Layer, core: str) -> str:  # noqa: ARG002
            return "Its name is wrong" if core == "left" else ""

    found = Strict().place(sample_layer("Relu", channels=64))
    assert isinstance(found, Refusal)
    both = ["The result has at most 2,000 elements", "The result has one element"]
    assert [r.rule for r in found.reasons if r.core == "right"] == both
    assert [r.rule for r in found.reasons if r.core == "left"] == [*both, "Its name is wrong"]
    assert found.hint == "make it smaller; or pool it"


def test_each_constraint_is_listed_once_with_its_sentence() -> None:
    assert [sentence(rule) for rule in Twins().constraints("right")] == [
        "The result has at most 2,000 elements"
    ]


def test_without_a_clock_costs_are_in_cycles_and_cores_run_side_by_side() -> None:
    text = "n (float[1,8] x) => (float[1,8] y, float[1,8] z) { y = Relu(x) z = Tanh(x) }"
    total = evaluate(graph_of(text), Twins()).total
    assert total.latency_s is None and total.edp_js is None
    assert total.latency_cycles == 8 and total.energy_pj == 16
    assert total.edp_j_cycles == 8 * 16e-12


def test_the_conformance_kit_finds_free_layers_broken_schedules_and_missing_files() -> None:
    kit = TargetConformance()
    kit.target = Twins(cycles_per_element=0)  # type: ignore[misc]
    with pytest.raises(AssertionError, match="Relu is free by accident"):
        kit.test_no_layer_costs_zero()
    kit.target = Twins(dma_cycles=-2000)  # type: ignore[misc]
    with pytest.raises(AssertionError, match=r"no valid schedule: 'sample_\d' lasts from 0 to -"):
        kit.test_schedules_are_valid()
    with pytest.raises(AssertionError, match=r"lacks hardware\.yaml or README\.md"):
        kit.test_readme_and_description_stand_beside_the_target()


MODULE = """
from dataclasses import dataclass, replace
from pathlib import Path
from tests.targets.contract.test_target import Twins

@dataclass(frozen=True)
class Beside(Twins):
    pass
"""
VALIDATION = """
command: "python -m test"
networks:
  - {network: a, cost_model: flat, source: t, fitted: false, latency_cycles: {measured: 100, predicted: 80}}
"""


@pytest.mark.parametrize("written", [True, False])
def test_validation_is_the_file_beside_the_target(
    written: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = f"beside_{written}".lower()
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "target.py").write_text(MODULE)
    if written:
        (tmp_path / folder / "validation.yaml").write_text(VALIDATION)
    monkeypatch.syspath_prepend(tmp_path)
    target = importlib.import_module(f"{folder}.target").Beside()
    if not written:
        assert target.validation is None and target.error_bar("latency") is None
        return
    bar = target.error_bar("latency")
    assert bar is not None and bar.around(80) == pytest.approx((64, 100))
    assert target.error_bar("energy") is None
    assert replace(target, host_scale=2.0).error_bar("latency") is None, "that is another model"


def test_a_target_of_nothing_but_a_class_has_neither_validation_nor_alternatives() -> None:
    assert Twins().validation is None
    assert Twins().alternatives() == ()
