"""The Target contract: what an accelerator offers, from which placement, schedule and cost follow."""

from __future__ import annotations

import functools
import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from passes.errors import InputError, did_you_mean
from passes.integers.schemes import Scheme, scheme
from targets.contract.operator_help import OPERATOR_HELP
from targets.contract.placement import CandidateCore, Placement, Reason, Refusal
from targets.contract.validation import (
    FILE_NAME,
    NONE,
    ErrorBar,
    Quantity,
    Validation,
    kind_of,
    load_validation,
)
from targets.cost.layer_cost import LayerCost
from targets.cost.model.unrolling import Rules
from targets.description.architecture import Architecture, OperatingPoint
from targets.description.mapping import NoMappingError
from targets.network.layer import Bits, Layer
from targets.network.workload import Workload
from targets.objective import EDP, Objective
from targets.schedule.freedom import LAYERS, MODES, Freedom
from targets.schedule.machine import Machine
from targets.schedule.network import CoreCosts
from targets.schedule.search.rows import RowModel

# What a target says of figures that no measurement stands behind.
NOT_VALIDATED = "not validated"
# Factors at which host work whose cost is a placeholder is costed.
HOST_SCALES = (0.0, 1.0, 4.0)
# Why models of one chip differ; targets may have causes of their own.
HOST_SCALE, COST_MODEL, FITTED_PARAMETERS = "host scale", "cost model", "fitted parameters"
# A rule of a core. Its docstring is the sentence shown to users and printed in the support table. All rules
# that a layer breaks are told, so each is judged by itself: it holds for a layer that it says nothing about.
Constraint = Callable[[Layer, Architecture], bool]
# What a layer needs of the capacity that a rule is about, how much of it there is, and the unit of both.
Demand = Callable[[Layer, Architecture], tuple[int, float, str]]
Support = Mapping[str, tuple[Constraint, ...]]


@dataclass(frozen=True)
class CostModel:
    """A named way to compute cycles.

    Attributes:
        source: Where the formulas are published.
        known_error: How far it is from the chip, or that nobody can tell.
    """

    source: str
    known_error: str


@dataclass(frozen=True)
class Shortage:
    """What a whole network has too little of on a target.

    Attributes:
        sentence: What is needed and what there is.
        hint: What would help.
    """

    sentence: str
    hint: str


@dataclass(frozen=True)
class MappingSearch:
    """How a target searches mappings.

    Attributes:
        lpf_limit: Most temporal factors per layer; ``None`` takes all prime factors.
        locality: Tensors may stay on chip between layers.
        rules: How latency counts unrollings that leave a remainder.
    """

    lpf_limit: int | None
    locality: bool
    rules: Rules


@dataclass(frozen=True)
class Survey:
    """Which cores take a layer.

    Attributes:
        cores: By their order in the description.
        declined: Every rule that the layer breaks, of the cores that run such operators but not this layer.
        absent: Cores that do not run such operators.
        hint: What would help.
    """

    cores: tuple[str, ...]
    declined: tuple[Reason, ...]
    absent: tuple[Reason, ...]
    hint: str


@dataclass(frozen=True)
class Target(ABC):
    """An accelerator. Subclasses are frozen dataclasses whose fields are the options.

    Attributes:
        schemes: Core -> quantization schemes (:mod:`passes.integers.schemes`) of the numbers it can compute
            with, the usual one first, of all cores; empty where nothing is quantized for the target.
        channel_block: A convolution may be divided among cores in parts of so many output channels, which are
            put side by side without a copy; 0 where it may not.
        fusion: Text form of the pass that makes layers, the last of :meth:`pipeline`.
        cost_model: One of ``cost_models``; empty takes the first.
        host_scale: Factor on the placeholder cost of host work, at least 0.
        point: Operating point that reports are for; empty takes the first. Costs of layers are those at the
            first point whatever it is: there are as many cycles at every point, and all energies scale alike.
    """

    name: ClassVar[str]
    cost_models: ClassVar[Mapping[str, CostModel]]
    schemes: ClassVar[Mapping[str, tuple[str, ...]]]
    channel_block: ClassVar[int] = 0
    fusion: ClassVar[str] = "fuse-layers"

    cost_model: str = ""
    host_scale: float = 1.0
    point: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            InputError: Unknown cost model or operating point, or a negative or infinite ``host_scale``.
        """
        if not self.cost_model:
            object.__setattr__(self, "cost_model", next(iter(self.cost_models)))
        if self.cost_model not in self.cost_models:
            hint = did_you_mean(self.cost_model, self.cost_models)
            raise InputError(f"target '{self.title}' has no cost model '{self.cost_model}'", hint)
        if not (math.isfinite(self.host_scale) and self.host_scale >= 0):
            raise InputError(f"the host scale must be a number of at least 0, got {self.host_scale}")
        if self.point:
            self.arch.operating_point(self.point)

    @property
    @abstractmethod
    def arch(self) -> Architecture:
        """The accelerator description."""

    @abstractmethod
    def support(self, core: str) -> Support:
        """Return the operators ``core`` runs, each with the constraints a layer must meet."""

    @abstractmethod
    def cost(self, layer: Layer, core: str) -> LayerCost:
        """Return the cost of ``layer`` on ``core``, which must support it."""

    def with_architecture(self, arch: Architecture) -> Target:  # noqa: ARG002
        """Return this target with another description; what it costs follows from that.

        Raises:
            InputError: Its costs do not follow from a description.
        """
        raise InputError(
            f"the costs of {self.title} do not follow from a description that may be changed",
            "take another target",
        )

    def scheme_names(self, core: str) -> tuple[str, ...]:
        """Return the names of the schemes that ``core`` can compute in; empty where nothing is quantized."""
        return self.schemes.get(core, ())

    def schemes_of(self, core: str) -> tuple[Scheme, ...]:
        """Return the schemes that ``core`` can compute in, the usual one first.

        Raises:
            InputError: The target names none for it, an unknown one, or no tuple of names.
        """
        names = self.scheme_names(core)
        if not names or isinstance(names, str):
            raise InputError(
                f"target '{self.title}' does not say with which numbers its core '{core}' computes, so "
                "nothing can be quantized for it",
                "leave the images away, or give the core a tuple of schemes in `schemes` of its class",
            )
        return tuple(scheme(name) for name in names)

    def pipeline(self, quantized: bool) -> str:
        """Return the text form of the passes that make a user's graph ready for this target.

        Args:
            quantized: In integers; ``quantize`` needs calibrated ranges on the graph.
        """
        integer = "quantize,fold-qdq," if quantized else ""
        return f"canonicalize,fold-batchnorm,{integer}{self.fusion}"

    def hint(self, constraint: Constraint) -> str:  # noqa: ARG002
        """Return what a user can do about a broken constraint; empty if nothing is known."""
        return ""

    def demand(self, constraint: Constraint, layer: Layer) -> str:  # noqa: ARG002
        """Return demand and bound of a broken capacity constraint; empty for other constraints."""
        return ""

    @property
    def title(self) -> str:
        """Name of the accelerator in reports."""
        return self.name

    @property
    def model(self) -> CostModel:
        """The cost model in use."""
        return self.cost_models[self.cost_model]

    @property
    def operating_point(self) -> OperatingPoint | None:
        """The operating point that reports are for; ``None`` where none is known."""
        if self.point:
            return self.arch.operating_point(self.point)
        return next(iter(self.arch.operating_points), None)

    def at_point(self, name: str) -> Target:
        """Return this target at operating point ``name``; raises InputError for an unknown one."""
        return replace(self, point=name)

    @property
    def known_error(self) -> str:
        """How far the cost model in use is from the chip; it says so where no measurement tells."""
        told = self.model.known_error
        bars = (self.error_bar("latency"), self.error_bar("energy"))
        if kind_of(bars) != NONE or NOT_VALIDATED in told:
            return told
        return f"{NOT_VALIDATED}: {told}"

    @property
    def validation(self) -> Validation | None:
        """What was measured on silicon: ``validation.yaml`` beside the target; ``None`` where there is none.

        Raises:
            InputError: A file that says something wrong.
        """
        return _validation_beside(type(self).__module__)

    def error_bar(self, quantity: Quantity) -> ErrorBar | None:
        """Return the interval around a figure of this target as it is; ``None``: it is not validated.

        Measurements speak of the cost model they were compared with, at the nominal cost of host work.
        Cycles are the same at every operating point and all energies scale alike, so factors hold at all.
        """
        if self.validation is None or self.host_scale != 1.0:
            return None
        return self.validation.error_bar(quantity, self.cost_model)

    def alternatives(self) -> tuple[Alternative, ...]:
        """Return other models of the same chip that what is known of it allows.

        A saving that holds under all of them does not depend on which is right. By default the cost of host
        work is scaled, where there is a host.
        """
        return self.scaled_hosts()

    def scaled_hosts(self) -> tuple[Alternative, ...]:
        """Return this target with host work for nothing, at its placeholder, and at four times that."""
        if self.arch.host is None:
            return ()
        return tuple(
            Alternative(f"host x{scale:g}", HOST_SCALE, replace(self, host_scale=scale))
            for scale in HOST_SCALES
            if scale != self.host_scale
        )

    def other_models(self) -> tuple[Alternative, ...]:
        """Return this target by each other of its cost models, with host work as it is and scaled."""
        found = []
        for name in self.cost_models:
            if name != self.cost_model:
                other = replace(self, cost_model=name)
                found.append(Alternative(name, COST_MODEL, other))
                found += [
                    replace(scaled, name=f"{name}, {scaled.name}", cause=f"{COST_MODEL} and {HOST_SCALE}")
                    for scaled in other.scaled_hosts()
                ]
        return tuple(found)

    @property
    def search(self) -> MappingSearch | None:
        """How mappings are searched; ``None`` where the cost model has none."""
        return None

    def counted_by(self, rules: str) -> Target:
        """Return this target with latency counted by ``rules``, ``exact`` or ``zigzag``.

        Raises:
            InputError: No such rules, or a cost model that has none to choose from.
        """
        raise InputError(
            f"`rules` {rules} says how latency counts what unrollings leave over, and cost model "
            f"'{self.cost_model}' of {self.title} has no choice of that",
            "leave `rules` away, or give a target whose mappings are searched (`eecompile targets`)",
        )

    @property
    def precision(self) -> Bits:
        """Bits that float networks are costed at."""
        return Bits()

    @property
    def schedules(self) -> Mapping[str, Freedom]:
        """The modes of a schedule it takes (:data:`targets.schedule.freedom.MODES`), the default first.

        Each with what the scheduler may do in it; by default it chooses cores and order of whole layers. This
        is the one table of that: options, refusals and listings read it.
        """
        return {LAYERS: Freedom(split=False, fuse=False, hold=False)}

    def freedom(self, schedule: str = "") -> Freedom:
        """Return what the scheduler may do in mode ``schedule``; in the default one if empty.

        Raises:
            InputError: A mode this target does not take.
        """
        taken = self.schedules
        name = schedule or next(iter(taken))
        if name not in taken:
            *some, last = sorted(taken, key=tuple(MODES).index)
            known = f"{', '.join(some)} or {last}" if some else last
            raise InputError(
                f"`schedule` {name}: {self.title} with cost model '{self.cost_model}' takes {known}",
                f"say `schedule` {last if not some else known}",
            )
        return taken[name]

    def row_model(self) -> RowModel:
        """Return how groups of layers run row by row; only of targets that take such schedules."""
        raise ValueError(f"{self.title} runs no layers row by row")

    def offchip(self, core: str) -> frozenset[str]:  # noqa: ARG002
        """Return memories off chip whose accesses are told apart in the mappings of ``core``."""
        return frozenset()

    def for_objective(self, objective: Objective) -> Target:  # noqa: ARG002
        """Return this target with mappings searched for ``objective``."""
        return self

    def declines(self, layer: Layer, core: str) -> str:  # noqa: ARG002
        """Return why ``core`` does not take ``layer`` though it meets all constraints; empty if it does."""
        return ""

    def beyond(self, workload: Workload) -> Mapping[str, int]:  # noqa: ARG002
        """Return the weights of ``workload`` that come from beyond the outer store: by default none.

        By their names in the schedule, with the bits they take in that store while their layer runs. What
        fetching them takes is part of what the layer costs.
        """
        return {}

    def warnings(self, workload: Workload) -> tuple[str, ...]:  # noqa: ARG002
        """Return what the cost of ``workload`` leaves out, as sentences."""
        return ()

    def shortages(self, workload: Workload) -> tuple[Shortage, ...]:  # noqa: ARG002
        """Return what all layers of ``workload`` together have too little of, though each has a core."""
        return ()

    @abstractmethod
    def machine(self) -> Machine:
        """Return stores, routes and resources."""

    @abstractmethod
    def costs(self, machine: Machine, workload: Workload) -> CoreCosts:
        """Return what tiles of ``workload`` cost on the cores of ``machine``."""

    def constraints(self, core: str) -> tuple[Constraint, ...]:
        """Return all constraints of ``core``, each once, in declared order."""
        return tuple(dict.fromkeys(c for rules in self.support(core).values() for c in rules))

    def place(self, layer: Layer, objective: Objective = EDP) -> Placement | Refusal:
        """Put ``layer`` on the cheapest core that takes it, ties by core name.

        Cores are compared at the nominal host cost, so that scaling it changes costs but moves nothing.

        Args:
            layer: The layer.
            objective: What is minimised, of the layer alone.
        """
        nominal = replace(self, host_scale=1.0)
        survey = self.survey(layer)
        candidates, unfit = [], []
        for core in survey.cores:
            try:
                candidates.append(CandidateCore(core, self.cost(layer, core)))
            except NoMappingError as error:
                unfit.append(Reason(core, error.message[:1].upper() + error.message[1:]))
        if candidates:
            candidates.sort(key=lambda c: (nominal.cost(layer, c.core).value(objective), c.core))
            return Placement(layer.name, tuple(candidates), (*survey.declined, *unfit))
        reasons = (*survey.declined, *unfit) or survey.absent
        hint = survey.hint or ("" if survey.declined else OPERATOR_HELP.get(layer.op_type, ""))
        return Refusal(layer.name, layer.op_type, layer.origin, reasons, hint)

    def survey(self, layer: Layer) -> Survey:
        """Return which cores take ``layer`` by their rules, and why the others do not."""
        cores, declined, absent = [], [], []
        hints: dict[str, None] = {}
        for core in self.arch.cores:
            rules = self.support(core.name).get(layer.op_type)
            if rules is None:
                absent.append(Reason(core.name, f"It does not run {layer.op_type}"))
                continue
            broken = [rule for rule in rules if not rule(layer, self.arch)]
            declined += [Reason(core.name, sentence(rule) + self.demand(rule, layer)) for rule in broken]
            hints |= dict.fromkeys(hint for rule in broken if (hint := self.hint(rule)))
            reason = self.declines(layer, core.name)
            if reason:
                declined.append(Reason(core.name, reason))
            if not broken and not reason:
                cores.append(core.name)
        return Survey(tuple(cores), tuple(declined), tuple(absent), "; or ".join(hints))


@dataclass(frozen=True)
class Alternative:
    """Another model of the same chip.

    Attributes:
        name: What tells it from the others, such as ``odimo`` or ``host x4``.
        cause: Why it differs, the same for all that differ alike: ``cost model``, ``host scale``,
            ``fitted parameters``, ``rules`` …
        target: The target with that model; it runs the same networks at the same point.
        mode: Mode of schedules that it differs in; empty if in all.
    """

    name: str
    cause: str
    target: Target
    mode: str = ""


@functools.cache
def _validation_beside(module: str) -> Validation | None:
    """Return the validation in the folder of a module; ``None`` where there is no such file."""
    file = getattr(sys.modules.get(module), "__file__", None)
    path = None if file is None else Path(file).parent / FILE_NAME
    return None if path is None or not path.is_file() else load_validation(path)


def sentence(constraint: Constraint) -> str:
    """Return the sentence of a constraint: its docstring without the full stop."""
    return " ".join((constraint.__doc__ or "").split()).removesuffix(".")
