"""The conformance kit: what every target must keep, as tests a third party inherits.

A test file of a target holds ``class TestMine(TargetConformance)`` with a ``target``; pytest does the rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from importlib.resources import files
from typing import ClassVar

from passes.errors import InputError
from passes.operator_sets import GLOBAL_POOLS, WINDOW_POOLS
from passes.registry import parse_pipeline
from targets.contract.placement import Placement, Refusal
from targets.contract.support import support_table
from targets.contract.target import NOT_VALIDATED, Target, sentence
from targets.contract.validation import NONE, Quantity
from targets.evaluation.intervals import ErrorBars
from targets.evaluation.layers import layer_reports
from targets.evaluation.scheduling import Wishes, schedule_workload
from targets.network.layer import Layer, LoopDims, Operand
from targets.network.workload import ExitPath, Workload
from targets.objective import EDP, LATENCY, OBJECTIVES, Objective
from targets.schedule.check.checker import problems
from targets.schedule.freedom import LAYERS, MODES

MIN_SENTENCE_WORDS = 3
QUANTITIES: tuple[Quantity, ...] = ("latency", "energy")
# The worst of all networks lies on the bound of its interval.
_ROUNDING = 1e-9


def sample_layer(op_type: str, channels: int = 16, size: int = 8, weight_bits: int = 8) -> Layer:
    """Return a small, ordinary layer of ``op_type``: ``channels`` x ``size`` x ``size``, int8."""
    shape = (1, channels, size, size)
    tensor = Operand("x", shape, 8)
    plain = Layer("sample", op_type, ("sample",), 0, None, (tensor,), (replace(tensor, name="y"),))
    if op_type == "Conv":
        dims = LoopDims(1, 1, channels, channels, size, size, 3, 3, size, size, 1, 1, 1, 1, 1, 1, 1, 1)
        return _linear(plain, dims, (channels, channels, 3, 3), weight_bits)
    if op_type in ("Gemm", "MatMul"):
        features = channels * size * size
        flat = Operand("x", (1, features), 8)
        dims = LoopDims(1, 1, channels, features, 1, 1, 1, 1, 1, 1)
        row = replace(plain, inputs=(flat,), outputs=(Operand("y", (1, channels), 8),))
        return _linear(row, dims, (channels, features), weight_bits)
    if op_type in WINDOW_POOLS:
        half = Operand("y", (1, channels, size // 2, size // 2), 8)
        dims = LoopDims(1, channels, 1, 1, size // 2, size // 2, 2, 2, size, size, 2, 2)
        return replace(plain, dims=dims, outputs=(half,))
    if op_type in GLOBAL_POOLS:
        dims = LoopDims(1, channels, 1, 1, 1, 1, size, size, size, size, size, size)
        return replace(plain, dims=dims, outputs=(Operand("y", (1, channels, 1, 1), 8),))
    if op_type in ("Add", "Sub", "Mul", "Div"):
        return replace(plain, inputs=(tensor, replace(tensor, name="x2")))
    return plain


def sample_workload(op_types: Sequence[str]) -> Workload:
    """Return one ordinary layer per operator in two chains side by side, with an exit half way.

    A layer reads what its chain has made last where that has its shape, a second input what the other chain
    has made; all else comes from outside. What nobody reads is an output.
    """
    layers: list[Layer] = []
    chains = [Operand("image_0", (), 8), Operand("image_1", (), 8)]
    for index, op in enumerate(op_types):
        layer = sample_layer(op)
        sources = (chains[index % 2], chains[1 - index % 2])
        inputs = tuple(
            replace(operand, name=source.name if source.shape == operand.shape else f"in_{index}_{number}")
            for number, (operand, source) in enumerate(zip(layer.inputs, sources, strict=False))
        )
        output = replace(layer.outputs[0], name=f"out_{index}")
        made_by = {made.outputs[0].name: number for number, made in enumerate(layers)}
        producers = tuple(sorted({made_by[operand.name] for operand in inputs if operand.name in made_by}))
        layers.append(
            replace(layer, name=f"sample_{index}", inputs=inputs, outputs=(output,), producers=producers)
        )
        if output.shape == sample_layer("Relu").outputs[0].shape:
            chains[index % 2] = output
    paths = [
        ExitPath(name, "", tuple(range(end)), sum(layer.macs for layer in layers[:end]), name != "final")
        for name, end in (("exit_0", len(layers) // 2), ("final", len(layers)))
    ]
    read = {operand.name for layer in layers for operand in layer.inputs}
    outputs = frozenset(layer.outputs[0].name for layer in layers) - read
    return Workload(tuple(layers), tuple(paths), (), outputs)


def _linear(layer: Layer, dims: LoopDims, weight_shape: tuple[int, ...], weight_bits: int) -> Layer:
    weight = Operand("w", weight_shape, weight_bits)
    bias = Operand("b", (dims.k,), 32)
    return replace(layer, dims=dims, macs=dims.iterations, weight=weight, bias=bias)


class TargetConformance:
    """Tests of the Target contract; a subclass sets ``target``."""

    target: ClassVar[Target]

    def _placed(self, layer: Layer, objective: Objective = EDP) -> Placement:
        result = self.target.place(layer, objective)
        assert isinstance(result, Placement), f"an ordinary {layer.op_type} is refused: {result}"
        return result

    def _operators(self) -> list[str]:
        return sorted({row.op_type for row in support_table(self.target)})

    def test_every_constraint_has_a_sentence(self) -> None:
        """Users read the docstring of a constraint as the reason of a refusal."""
        for core in self.target.arch.cores:
            for rule in self.target.constraints(core.name):
                text = sentence(rule)
                assert len(text.split()) >= MIN_SENTENCE_WORDS, (
                    f"{core.name}: {rule} needs a docstring users can read"
                )

    def test_every_figure_has_provenance(self) -> None:
        """Every figure of the description says where it comes from."""
        figures = self.target.arch.figures()
        assert figures, "the accelerator description has no figures"
        for path, figure in figures.items():
            assert figure.source.strip(), f"{path} has no source"

    def test_every_cost_model_tells_source_and_error(self) -> None:
        """A cost model names its source and its known error."""
        assert self.target.cost_model in self.target.cost_models
        for name, model in self.target.cost_models.items():
            assert model.source and model.known_error, f"cost model '{name}' hides its source or its error"

    def test_validation_is_of_this_target(self) -> None:
        """``validation.yaml`` names points and models of the target; intervals hold what was measured."""
        known = self.target.validation
        if known is None:
            return
        points = {point.name for point in self.target.arch.operating_points}
        for entry in known.networks:
            where = f"{entry.network} at {entry.point or 'no point'}"
            assert entry.cost_model in self.target.cost_models, f"{where}: no cost model '{entry.cost_model}'"
            assert entry.point in points or (not entry.point and len(points) < 2), f"{where}: no such point"
            assert entry.source.strip(), f"{where} has no source"
            for quantity in QUANTITIES:
                bar, found = known.error_bar(quantity, entry.cost_model), entry.of(quantity)
                if found is None:
                    continue
                assert bar is not None, f"{where}: its {quantity} makes no interval"
                low, high = bar.around(found.honest)
                held = low * (1 - _ROUNDING) <= found.measured <= high * (1 + _ROUNDING)
                assert held, f"{where}: the {quantity} measured is outside of the interval"

    def test_what_is_not_validated_says_so(self) -> None:
        """A model without measurements behind it says that it is not validated, and no other does."""
        for name in self.target.cost_models:
            target = replace(self.target, cost_model=name)
            document = ErrorBars.of(target).to_json()
            without = target.error_bar("latency") is None and target.error_bar("energy") is None
            assert (document["validation"] == NONE) is without, f"cost model '{name}' claims what it has not"
            must = "must" if without else "must not"
            told = f"the known error of cost model '{name}' {must} say '{NOT_VALIDATED}'"
            assert (NOT_VALIDATED in target.known_error) is without, told

    def test_alternatives_are_models_of_the_same_chip(self) -> None:
        """Other models have names and causes, differ, and run what the target runs, at its point."""
        found = self.target.alternatives()
        assert len({item.name for item in found}) == len(found), "two alternatives have one name"
        cores = [core.name for core in self.target.arch.cores]
        for item in found:
            assert item.name and item.cause, "an alternative needs a name and a cause"
            assert item.target != self.target, f"{item.name} is the target itself"
            assert [core.name for core in item.target.arch.cores] == cores, f"{item.name} is another chip"
            points = [target.operating_point for target in (item.target, self.target)]
            clocks = [None if point is None else (point.name, point.clock_hz.value) for point in points]
            assert clocks[0] == clocks[1], f"{item.name}: another point"
            for op in self._operators():
                assert isinstance(item.target.place(sample_layer(op)), Placement), (
                    f"{item.name} does not run {op}"
                )

    def test_every_core_has_a_scheme_or_none_has(self) -> None:
        """What a core computes with is known of all cores, or nothing is quantized for the target."""
        assert self.target.schemes.keys() in (set(), {core.name for core in self.target.arch.cores})
        for core, names in self.target.schemes.items():
            found = self.target.schemes_of(core)
            assert tuple(scheme.name for scheme in found) == names
            assert len({*names}) == len(names), f"{core} names a scheme twice"

    def test_schedules_have_names_users_know(self) -> None:
        """Its modes of a schedule are known ones; whole layers are among them, and no other is taken."""
        taken = self.target.schedules
        assert LAYERS in taken and taken.keys() <= MODES.keys()
        assert self.target.freedom() == next(iter(taken.values())), "the first is the default"
        for mode in MODES.keys() - taken.keys():
            told = ""
            try:
                self.target.freedom(mode)
            except InputError as error:
                told = error.hint
            assert told, f"it is scheduled by mode '{mode}', which it does not take"
            assert all(name in told for name in taken), "a refusal says what is taken"

    def test_every_schedule_it_takes_adds_up(self) -> None:
        """In every mode exits come in their order, and layers take the energy of the whole together."""
        workload = sample_workload(self._operators())
        for mode in self.target.schedules:
            planned = schedule_workload(workload, self.target, LATENCY, wishes=Wishes(mode))
            ends = planned.schedule.stage_end_cycles
            assert list(ends) == sorted(ends) and ends[0] > 0
            layers = layer_reports(planned, self.target)
            assert math.isclose(sum(one.energy_pj for one in layers), planned.schedule.energy_pj)

    def test_pipelines_parse(self) -> None:
        """The pass pipelines parse, quantize only when asked, and end with layers."""
        for quantized in (False, True):
            names = [step.name for step in parse_pipeline(self.target.pipeline(quantized)).steps]
            assert names[-1] == "fuse-layers", "the cost reads the layers fuse-layers makes"
            assert ("quantize" in names) is quantized

    def test_every_supported_operator_is_placed(self) -> None:
        """An ordinary layer of every supported operator finds a core."""
        for op in self._operators():
            assert self._placed(sample_layer(op)).core in {core.name for core in self.target.arch.cores}

    def test_placement_is_legal_and_cheapest(self) -> None:
        """Candidates meet all rules of their core and come cheapest first."""
        for op in self._operators():
            for objective in OBJECTIVES:
                placement = replace(self.target, host_scale=1.0).place(sample_layer(op), objective)
                assert isinstance(placement, Placement)
                costs = [candidate.cost.value(objective) for candidate in placement.candidates]
                assert costs == sorted(costs), f"{op}: candidates are not sorted by {objective}"
                for candidate in placement.candidates:
                    rules = self.target.support(candidate.core)[op]
                    assert all(rule(sample_layer(op), self.target.arch) for rule in rules)

    def test_no_layer_costs_zero(self) -> None:
        """Even a tiny layer costs time and energy."""
        for op in self._operators():
            cost = self._placed(sample_layer(op, channels=4, size=2)).cost
            assert cost.latency_cycles > 0 and cost.energy_pj > 0, f"{op} is free by accident"

    def test_costs_are_consistent(self) -> None:
        """No cost beats its own bound."""
        for op in self._operators():
            for candidate in self._placed(sample_layer(op)).candidates:
                cost = candidate.cost
                assert math.isfinite(cost.energy_pj)
                assert 0 <= cost.utilization <= 1, f"{op} on {candidate.core}: utilization {cost.utilization}"
                assert 0 < cost.bound_cycles <= cost.latency_cycles, (
                    f"{op} on {candidate.core} beats its bound"
                )

    def test_cost_grows_with_size(self) -> None:
        """More work on the same core never costs less."""
        for op in self._operators():
            small, large = sample_layer(op), sample_layer(op, channels=32, size=16)
            for candidate in self._placed(small).candidates:
                bigger = self.target.cost(large, candidate.core)
                where = f"{op} on {candidate.core}"
                assert bigger.latency_cycles >= candidate.cost.latency_cycles, (
                    f"{where}: more work takes less time"
                )
                assert bigger.energy_pj >= candidate.cost.energy_pj, f"{where}: more work takes less energy"

    def test_points_change_no_cost_of_a_layer(self) -> None:
        """Costs are those at the first operating point at every point: reports scale them."""
        for point in self.target.arch.operating_points:
            there = self.target.at_point(point.name)
            assert there.operating_point == point
            for op in self._operators():
                assert there.place(sample_layer(op)) == self.target.place(sample_layer(op)), point.name

    def test_placement_repeats(self) -> None:
        """A target with the same options decides the same."""
        again = replace(self.target)
        for op in self._operators():
            assert again.place(sample_layer(op)) == self.target.place(sample_layer(op))

    def test_schedules_are_valid(self) -> None:
        """A workload of all operators is scheduled, and the checker finds nothing wrong."""
        workload = sample_workload(self._operators())
        for objective in OBJECTIVES:
            target = self.target.for_objective(objective)
            planned = schedule_workload(workload, target, objective, wishes=Wishes(speculate=True))
            assert not planned.refusals
            assert planned.speculative is not None
            for schedule in (planned.schedule, planned.speculative):
                found = problems(planned.network, schedule)
                assert not found, f"{objective}: no valid schedule: {'; '.join(found)}"

    def test_host_scale_scales_host_work_only(self) -> None:
        """The factor on placeholder host costs leaves compute and transfers alone."""
        free, plain = replace(self.target, host_scale=0.0), replace(self.target, host_scale=1.0)
        for op in self._operators():
            for candidate in self._placed(sample_layer(op)).candidates:
                without = free.cost(sample_layer(op), candidate.core)
                with_host = plain.cost(sample_layer(op), candidate.core)
                assert without.host_cycles == without.job_cycles == 0
                assert without.compute_cycles == with_host.compute_cycles
                assert without.dma_cycles == with_host.dma_cycles

    def test_rules_are_judged_one_by_one(self) -> None:
        """Every broken rule is told, so none may need another to hold."""
        for core in self.target.arch.cores:
            for op, rules in self.target.support(core.name).items():
                layer = sample_layer(op)
                for bare in (replace(layer, dims=None), replace(layer, weight=None, bias=None)):
                    for rule in rules:
                        assert isinstance(rule(bare, self.target.arch), bool), (
                            f"{rule.__name__} of {core.name}"
                        )

    def test_an_unknown_operator_is_refused_with_reasons(self) -> None:
        """What no core runs is refused, never free."""
        refusal = self.target.place(sample_layer("NoSuchOperator"))
        assert isinstance(refusal, Refusal)
        assert refusal.reasons and "NoSuchOperator" in str(refusal)

    def test_readme_and_description_stand_beside_the_target(self) -> None:
        """A target folder holds README.md and hardware.yaml."""
        module = import_module(type(self.target).__module__)
        folder = module.__spec__.parent if module.__spec__ is not None else ""
        assert folder, "a target is a package with target.py, hardware.yaml and README.md"
        names = {entry.name for entry in files(folder).iterdir()}
        assert {"hardware.yaml", "README.md"} <= names, f"{folder} lacks hardware.yaml or README.md"
