"""The conformance kit passes a sound target, and each of its checks finds what it is there for."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from targets.contract.closed_form import ClosedFormTarget
from targets.contract.placement import Placement, Refusal
from targets.contract.target import Alternative, CostModel, Support
from targets.contract.validation import Validation
from targets.cost.layer_cost import LayerCost
from targets.description.architecture import Architecture, parse_architecture
from targets.gap9.target import Gap9Target
from targets.network.layer import Layer
from targets.objective import EDP, Objective
from targets.testing.conformance import TargetConformance, sample_layer, sample_workload

HARDWARE = """
name: sound
cores:
  - {name: a, kind: simd, active_power_mw: {value: 1, known: placeholder, source: "test"}}
  - {name: b, kind: simd, active_power_mw: {value: 1, known: placeholder, source: "test"}}
operating_points:
  - {name: fast, clock_hz: {value: 2.0e+8, known: placeholder, source: "test"}}
  - {name: slow, clock_hz: {value: 1.0e+8, known: placeholder, source: "test"}}
"""
ARCH = parse_architecture(HARDWARE, "sound.yaml")
OPERATORS = ("Conv", "Gemm", "MaxPool", "GlobalAveragePool", "Add", "Relu")


def is_small(layer: Layer, _arch: Architecture) -> bool:
    """The result has at most 100,000 elements."""
    return layer.output_elements <= 100_000


def is_none(_layer: Layer, _arch: Architecture) -> bool:
    """It is never run here."""
    return False


def is_short(layer: Layer, _arch: Architecture) -> bool:
    """Is small."""
    return layer.output_elements <= 100_000


@dataclass(frozen=True)
class Sound(ClosedFormTarget):
    """Two cores, a cycle and a pJ for each element; the second is twice as dear."""

    name: ClassVar[str] = "sound"
    cost_models: ClassVar[Mapping[str, CostModel]] = {"flat": CostModel("this test", "all of it")}
    schemes: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    @property
    def arch(self) -> Architecture:
        return ARCH

    def support(self, core: str) -> Support:  # noqa: ARG002
        return dict.fromkeys(OPERATORS, (is_small,))

    def cost(self, layer: Layer, core: str) -> LayerCost:
        cycles = (1 if core == "a" else 2) * (layer.macs + layer.input_elements)
        jobs = int(10 * self.host_scale)
        return LayerCost(cycles, 0, 0, jobs, float(cycles + jobs), 1.0, cycles, "placeholder")

    def pipeline(self, quantized: bool) -> str:
        return "quantize,fuse-layers" if quantized else "fuse-layers"


class TestSound(TargetConformance):
    target = Sound()

    def test_readme_and_description_stand_beside_the_target(self) -> None:
        """A target of a test has no folder of its own."""


class ShortSentence(Sound):
    def support(self, core: str) -> Support:  # noqa: ARG002
        return {"Relu": (is_short,)}


class NoFigures(Sound):
    @property
    def arch(self) -> Architecture:
        return parse_architecture("name: sound\ncores: [{name: a, kind: simd}]\n", "sound.yaml")


class HiddenError(Sound):
    cost_models: ClassVar[Mapping[str, CostModel]] = {"flat": CostModel("this test", "")}


class SchemeOfOneCore(Sound):
    schemes: ClassVar[Mapping[str, tuple[str, ...]]] = {"a": ("int8-pow2",)}


class NoLayers(Sound):
    def pipeline(self, quantized: bool) -> str:  # noqa: ARG002
        return "canonicalize"


class AlwaysQuantized(Sound):
    def pipeline(self, quantized: bool) -> str:  # noqa: ARG002
        return "quantize,fuse-layers"


class RunsNothing(Sound):
    def support(self, core: str) -> Support:  # noqa: ARG002
        return {"Relu": (is_none,)}


class Unsorted(Sound):
    def place(self, layer: Layer, objective: Objective = EDP) -> Placement | Refusal:
        placed = super().place(layer, objective)
        assert isinstance(placed, Placement)
        return replace(placed, candidates=placed.candidates[::-1])


class Free(Sound):
    def cost(self, layer: Layer, core: str) -> LayerCost:
        return replace(super().cost(layer, core), energy_pj=0.0)


class BeatsItsBound(Sound):
    def cost(self, layer: Layer, core: str) -> LayerCost:
        cost = super().cost(layer, core)
        return replace(cost, bound_cycles=cost.latency_cycles + 1)


class OverFull(Sound):
    def cost(self, layer: Layer, core: str) -> LayerCost:
        return replace(super().cost(layer, core), utilization=1.5)


class FasterWhenLarger(Sound):
    def cost(self, layer: Layer, core: str) -> LayerCost:
        cycles = 10**7 // layer.input_elements
        return replace(super().cost(layer, core), compute_cycles=cycles, bound_cycles=1)


class CheaperWhenLarger(Sound):
    def cost(self, layer: Layer, core: str) -> LayerCost:
        return replace(super().cost(layer, core), energy_pj=1e9 / layer.input_elements)


class Moody(Sound):
    calls: ClassVar[itertools.count[int]] = itertools.count(1)

    def cost(self, layer: Layer, core: str) -> LayerCost:
        return replace(super().cost(layer, core), energy_pj=float(next(self.calls)))


class HostIsAll(Sound):
    def cost(self, layer: Layer, core: str) -> LayerCost:
        cost = super().cost(layer, core)
        return replace(cost, compute_cycles=cost.compute_cycles + cost.job_cycles)


class JobsStay(Sound):
    def cost(self, layer: Layer, core: str) -> LayerCost:
        return replace(super().cost(layer, core), job_cycles=10)


class RunsAnything(Sound):
    def support(self, core: str) -> Support:
        return {**super().support(core), "NoSuchOperator": ()}


def validated(**changes: object) -> Validation:
    """Return what one network says of the model of these targets."""
    entry: dict[str, object] = {
        "network": "a", "point": "fast", "cost_model": "flat", "source": "made up", "fitted": False,
        "latency_cycles": {"measured": 100, "predicted": 80}, **changes,
    }  # fmt: skip
    spread = entry.pop("spread", {})
    return Validation.model_validate({"command": "none", "networks": [entry], "spread": spread})


class Validated(Sound):
    validation = validated()


class TestValidated(TestSound):
    target = Validated()


class OtherPoint(Sound):
    validation = validated(point="0.8V")


class NoPoint(Sound):
    validation = validated(point="")


class OtherModel(Sound):
    validation = validated(cost_model="round")


class BlankSource(Sound):
    validation = validated(source=" ")


class NarrowSpread(Sound):
    """What was measured is 1.25 times what is predicted."""

    validation = validated(
        fitted=True, spread={"latency": {"low": 0.9, "high": 1.2, "reason": "it looks well"}}
    )


class SaysItIsNot(Validated):
    cost_models: ClassVar[Mapping[str, CostModel]] = {"flat": CostModel("this test", "not validated")}


class HidesThatItIsNot(Sound):
    known_error = "none whatever"


class Twice(Sound):
    def alternatives(self) -> tuple[Alternative, ...]:
        other = replace(self, host_scale=2.0)
        return (Alternative("a", "host scale", other), Alternative("a", "host scale", other))


class ItsOwnAlternative(Sound):
    def alternatives(self) -> tuple[Alternative, ...]:
        return (Alternative("a", "nothing", replace(self)),)


class OtherChip(Sound):
    def alternatives(self) -> tuple[Alternative, ...]:
        return (Alternative("a", "chip", Gap9Target()),)


class OtherClock(Sound):
    def alternatives(self) -> tuple[Alternative, ...]:
        return (Alternative("a", "clock", self.at_point("slow")),)


class Nameless(Sound):
    def alternatives(self) -> tuple[Alternative, ...]:
        return (Alternative("a", "", replace(self, host_scale=2.0)),)


@pytest.mark.parametrize(
    ("broken", "check", "message"),
    [
        (OtherPoint, "test_validation_is_of_this_target", "a at 0.8V: no such point"),
        (NoPoint, "test_validation_is_of_this_target", "a at no point: no such point"),
        (OtherModel, "test_validation_is_of_this_target", "no cost model 'round'"),
        (BlankSource, "test_validation_is_of_this_target", "has no source"),
        (NarrowSpread, "test_validation_is_of_this_target", "measured is outside of the interval"),
        (SaysItIsNot, "test_what_is_not_validated_says_so", "must not say 'not validated'"),
        (HidesThatItIsNot, "test_what_is_not_validated_says_so", "must say 'not validated'"),
        (Twice, "test_alternatives_are_models_of_the_same_chip", "have one name"),
        (ItsOwnAlternative, "test_alternatives_are_models_of_the_same_chip", "is the target itself"),
        (OtherChip, "test_alternatives_are_models_of_the_same_chip", "is another chip"),
        (OtherClock, "test_alternatives_are_models_of_the_same_chip", "another point"),
        (Nameless, "test_alternatives_are_models_of_the_same_chip", "needs a name and a cause"),
        (ShortSentence, "test_every_constraint_has_a_sentence", "needs a docstring users can read"),
        (NoFigures, "test_every_figure_has_provenance", "has no figures"),
        (HiddenError, "test_every_cost_model_tells_source_and_error", "'flat' hides its source or its error"),
        (SchemeOfOneCore, "test_every_core_has_a_scheme_or_none_has", None),
        (NoLayers, "test_pipelines_parse", "the cost reads the layers"),
        (AlwaysQuantized, "test_pipelines_parse", None),
        (RunsNothing, "test_every_supported_operator_is_placed", "an ordinary Relu is refused: no core"),
        (Unsorted, "test_placement_is_legal_and_cheapest", "candidates are not sorted by edp"),
        (Free, "test_no_layer_costs_zero", "is free by accident"),
        (BeatsItsBound, "test_costs_are_consistent", "beats its bound"),
        (OverFull, "test_costs_are_consistent", r"utilization 1\.5"),
        (FasterWhenLarger, "test_cost_grows_with_size", "more work takes less time"),
        (CheaperWhenLarger, "test_cost_grows_with_size", "more work takes less energy"),
        (Moody, "test_placement_repeats", None),
        (HostIsAll, "test_host_scale_scales_host_work_only", None),
        (JobsStay, "test_host_scale_scales_host_work_only", None),
        (RunsAnything, "test_an_unknown_operator_is_refused_with_reasons", None),
    ],
)
def test_each_check_finds_what_it_is_for(broken: type[Sound], check: str, message: str | None) -> None:
    kit = TargetConformance()
    kit.target = broken()  # type: ignore[misc]
    with pytest.raises(AssertionError, match=message):
        getattr(kit, check)()


@dataclass(frozen=True)
class _ScalesItself(Gap9Target):
    """Costs layers at its point, which reports do as well."""

    def cost(self, layer: Layer, core: str) -> LayerCost:
        return super().cost(layer, core).at_energy(0.5 if self.point == "0.65V" else 1.0)


def test_the_conformance_kit_finds_costs_that_are_scaled_twice() -> None:
    kit = TargetConformance()
    kit.target = _ScalesItself()  # type: ignore[misc]
    with pytest.raises(AssertionError, match=r"0\.65V"):
        kit.test_points_change_no_cost_of_a_layer()


@pytest.mark.parametrize("op_type", [*OPERATORS, "MatMul", "AveragePool", "Div", "Softmax"])
def test_samples_are_ordinary_layers(op_type: str) -> None:
    layer = sample_layer(op_type, channels=6, size=4, weight_bits=4)
    (output,) = layer.outputs
    if op_type in ("Conv", "Gemm", "MatMul"):
        assert layer.dims is not None and layer.weight is not None
        assert (
            layer.macs
            == layer.dims.iterations
            == 6 * layer.weight.elements // 6 * (16 if op_type == "Conv" else 1)
        )
        assert (layer.weight.bits, layer.bias is not None) == (4, True)
    else:
        assert layer.macs == 0 and layer.weight is None and layer.bias is None
    assert len(layer.inputs) == (2 if op_type in ("Add", "Div") else 1)
    sizes = {"MaxPool": (1, 6, 2, 2), "AveragePool": (1, 6, 2, 2), "GlobalAveragePool": (1, 6, 1, 1)}
    assert output.shape == sizes.get(op_type, (1, 6) if op_type in ("Gemm", "MatMul") else (1, 6, 4, 4))
    if layer.dims is not None and op_type.endswith("Pool"):
        assert layer.dims.g * layer.dims.oy * layer.dims.ox == output.elements


def test_a_sample_workload_is_two_chains_and_an_exit_half_way() -> None:
    ops = ("Relu", "Conv", "Add", "Gemm", "MaxPool", "Clip")
    workload = sample_workload(ops)
    assert [layer.op_type for layer in workload.layers] == list(ops)
    made = {layer.outputs[0].name: index for index, layer in enumerate(workload.layers)}
    for index, layer in enumerate(workload.layers):
        read = {made[operand.name] for operand in layer.inputs if operand.name in made}
        assert layer.producers == tuple(sorted(read)) and all(i < index for i in read)
        for operand in layer.inputs:
            if operand.name in made:
                assert operand.shape == workload.layers[made[operand.name]].outputs[0].shape
    assert workload.layers[2].producers == (0, 1), "the addition joins both chains"
    assert workload.layers[5].producers == (1,) and workload.layers[3].producers == ()
    early, final = workload.exits
    assert (early.layers, final.layers) == ((0, 1, 2), tuple(range(6)))
    assert (early.decides, final.decides) == (True, False)
    assert early.macs == workload.layers[1].macs and final.macs == early.macs + workload.layers[3].macs
    read_by_some = {operand.name for layer in workload.layers for operand in layer.inputs}
    assert workload.outputs == made.keys() - read_by_some
