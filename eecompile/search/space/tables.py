"""The tables of a space's file but for ``[backbone]``: exits, precision, pruning, goals, training."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, InstanceOf, model_validator
from pydantic_core import PydanticCustomError

from eecompile.pruning.goal import PruningGoal
from eecompile.quantization.placements import AUTO, PLAIN_PLACEMENTS
from eecompile.search.backbones.final_head import OWN, FinalHead
from eecompile.search.space.bits import USUAL, BitsByPart
from eecompile.search.space.choices import Table, by, choices, distinct, shown, text_of, told
from eecompile.training.recipe import QAT
from passes.confidence import MAX_SOFTMAX, ConfidenceRule, confidence_rule
from passes.errors import InputError, did_you_mean
from passes.heads.designs import RIVALS, HeadDesign, parse_head
from passes.heads.families import FAMILIES, NO_REUSE
from passes.option_text import print_named

ALL, NO_PRUNING = "all", "none"
GLOBAL, INDIVIDUAL = "global", "individual"
ACCURACY = "accuracy"
COSTS = ("edp", "latency", "energy", "macs", "memory", "worst_latency")
FRONTS = (ACCURACY, *COSTS)
IN_SECONDS = {
    "max_edp_js": "max_edp_j_cycles",
    "max_latency_s": "max_latency_cycles",
    "max_worst_latency_s": "max_worst_latency_cycles",
}
"""Constraints in seconds, and those in cycles that they are at a clock."""

Share = Annotated[float | None, Field(ge=0, le=1)]
Positive = Annotated[float | None, Field(gt=0)]


def _head(value: object) -> HeadDesign:
    return parse_head(text_of(value))


def _heads(value: object) -> tuple[HeadDesign, ...]:
    """Return the heads of a text, or of all values of a table ``{family = …, kernel = [3, 5]}``."""
    if not isinstance(value, dict):
        return (_head(value),)
    genes = {key: one if isinstance(one, list) else [one] for key, one in value.items()}
    family = genes.pop("family", [None])
    if len(family) != 1 or family[0] not in FAMILIES:
        said = "is missing" if family == [None] else f"cannot be {', '.join(map(shown, family))}"
        hint = did_you_mean(str(*family[:1]), FAMILIES)
        raise InputError(f"`family` of a head {said}", hint)
    for key, found in genes.items():
        if not found:
            raise InputError(f"`{key}` is empty: there is nothing to choose", "give one value or more")
    return tuple(
        _head(print_named(family[0], dict(zip(genes, values, strict=True))))
        for values in itertools.product(*genes.values())
    )


def _final_head(value: object) -> FinalHead:
    if value == OWN:
        return None
    design = _head(value)
    if design.reuse != NO_REUSE:
        raise InputError(
            f"head '{design.name}' reads the exit before it, and a network may have none but the final one",
            "leave `reuse` away",
        )
    return design


def _mount(value: object) -> str | int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InputError(f"expected a name or an index, not {shown(value)}")
    if isinstance(value, int) and value < 0:
        raise InputError(f"{value} is no index", "mounts count from 0, shallow to deep")
    return value


def _mounts(value: object) -> object:
    if value == ALL:
        return ()
    if isinstance(value, bool) or not isinstance(value, int | list):
        raise InputError(
            f"cannot be {shown(value)}",
            'say "all", how many (the best-ranked), or which: ["stage_1.block_0"], or [0, 2] by index',
        )
    if isinstance(value, int):
        if value < 1:
            raise InputError(f"cannot be {value}", "for no exits at all say at_most = 0")
        return value
    return distinct([_mount(item) for item in value])


def _goal(value: object) -> PruningGoal | None:
    if value == NO_PRUNING:
        return None
    try:
        return PruningGoal.parse(text_of(value))
    except InputError as error:
        hint = f'say "{NO_PRUNING}", or by how much networks shall cost less: "cycles=-30%", "energy=-20%"'
        raise InputError(f"cannot be {shown(value)}", hint) from error


def _bits(value: object) -> int | None:
    if value == USUAL:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 2 <= value <= 8:
        raise InputError(f"cannot be {shown(value)}", f'say 2 to 8 bits of weights, or "{USUAL}"')
    return value


def _backbone_bits(value: object) -> int | BitsByPart | None:
    if not isinstance(value, dict):
        return _bits(value)
    if not value:
        raise InputError("says nothing", "example: { stem = 8, stage_2 = 4 }")
    found = {}
    for part, width in value.items():
        try:
            bits = _bits(width)
        except InputError as error:
            raise InputError(f"'{part}' {error.message}", error.hint) from None
        if bits is None:
            raise InputError(f"'{part}' has the usual bits anyway", "leave it away")
        found[part] = bits
    return BitsByPart(tuple(sorted(found.items())))


def _rule(value: object) -> ConfidenceRule:
    return confidence_rule(text_of(value))


def _figure(value: object) -> str:
    found = text_of(value)
    if found not in FRONTS:
        raise InputError(f"unknown objective '{found}'", did_you_mean(found, FRONTS))
    return found


def _rung(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"cannot be {shown(value)}", "say numbers of epochs, 1 at least")
    return value


def _placement(value: object) -> str:
    found = text_of(value)
    if found not in PLAIN_PLACEMENTS:
        raise InputError(f"cannot be '{found}'", did_you_mean(found, PLAIN_PLACEMENTS))
    return found


class ExitsTable(Table):
    """``[exits]``: where exits may be and what they are.

    Attributes:
        mounts: All (empty), so many of the best rank, or some by name or index.
        heads: What each exit chooses among.
        final_heads: What may close the network; ``None`` is its own classifier.
        at_most: Exits of a network, but for the final one; ``None``: as many as there are mounts.
        confidence: Rules that are tried.
        thresholds: One for all exits of a network (``global``), or one for each (``individual``).
    """

    mounts: Annotated[int | tuple[str | int, ...], BeforeValidator(by(_mounts))] = ()
    heads: Annotated[tuple[InstanceOf[HeadDesign], ...], choices(_heads)] = RIVALS
    final_heads: Annotated[tuple[InstanceOf[HeadDesign] | None, ...], choices(_final_head)] = (None,)
    at_most: Annotated[int | None, Field(ge=0)] = None
    confidence: Annotated[tuple[InstanceOf[ConfidenceRule], ...], choices(_rule)] = (MAX_SOFTMAX,)
    thresholds: Literal["global", "individual"] = "individual"

    @property
    def reads_before(self) -> bool:
        """Whether any head reads the exit before it."""
        return any(design.reuse != NO_REUSE for design in self.heads)

    @model_validator(mode="after")
    def _used(self) -> ExitsTable:
        idle = sorted(self.model_fields_set - {"at_most", "final_heads"})
        if self.at_most == 0 and idle:
            raise _idle(idle[0], "without exits (at_most = 0)")
        reading = [design for design in self.heads if design.reuse != NO_REUSE]
        if reading and self.at_most == 1:
            raise told(
                InputError(
                    f"head '{reading[0].name}' reads the exit before it, and with at_most = 1 there is none",
                    "say at_most = 2 or more, or leave `reuse` away",
                )
            )
        if len(reading) == len(self.heads):
            raise told(
                InputError(
                    f"no head is for the first exit: '{reading[0].name}' reads the exit before it",
                    f"add one without `reuse` to `heads`: '{reading[0].alone().name}'",
                )
            )
        return self


class PrecisionTable(Table):
    """``[precision]``: with which numbers the network is computed.

    Attributes:
        backbone: Bits of the weights of the backbone, all alike or by part; ``None``: those that are usual
            where a layer runs.
        heads: Likewise of the heads of early exits.
        placement: Whether layers run in an analog array: ``auto``, ``analog`` or ``digital``.
    """

    backbone: Annotated[tuple[int | InstanceOf[BitsByPart] | None, ...], choices(_backbone_bits)] = (None,)
    heads: Annotated[tuple[int | None, ...], choices(_bits)] = (None,)
    placement: Annotated[tuple[str, ...], choices(_placement)] = (AUTO,)


class PruningTable(Table):
    """``[pruning]``: how much less the backbone shall cost on the schedule; ``None``: it stays whole."""

    goal: Annotated[tuple[InstanceOf[PruningGoal] | None, ...], choices(_goal)] = (None,)


class MappingTable(Table):
    """``[mapping]``: how networks are scheduled.

    Attributes:
        points: Operating points of the target that are tried; empty: its first.
        objective: What schedules minimise; ``None``: what the objectives of the front ask for.
    """

    points: Annotated[tuple[str, ...], choices(text_of)] = ()
    objective: Literal["edp", "latency", "energy"] | None = None


class ObjectivesTable(Table):
    """``[objectives]``: the two or three figures whose front is sought; accuracy grows, all others fall."""

    front: Annotated[tuple[str, ...], Field(min_length=2, max_length=3), choices(_figure)] = (ACCURACY, "edp")


class ConstraintsTable(Table):
    """``[constraints]``: what each network must keep; ``None``: nothing.

    Attributes:
        min_accuracy: Accuracy on val, as a fraction.
        max_drop: Accuracy lost on val against the backbone without exits, in points.
        max_edp_j_cycles: Expected energy times latency.
        max_latency_cycles: Expected.
        max_energy_pj: Expected.
        max_macs: Expected.
        max_memory_bytes: The most that is held at once.
        max_worst_latency_cycles: What an input takes that leaves last.
        max_edp_js: Expected energy times latency, in J·s.
        max_latency_s: Expected.
        max_worst_latency_s: What an input takes that leaves last.
        max_final_ratio: Share of images that reach the final exit (arXiv 2512.04705 asks for 0.5).
        max_cost_ratio: Expected cost as a share of the backbone without exits (likewise 0.5).
    """

    min_accuracy: Share = None
    max_drop: Annotated[float | None, Field(ge=0, le=100)] = None
    max_edp_j_cycles: Positive = None
    max_latency_cycles: Positive = None
    max_energy_pj: Positive = None
    max_macs: Positive = None
    max_memory_bytes: Positive = None
    max_worst_latency_cycles: Positive = None
    max_edp_js: Positive = None
    max_latency_s: Positive = None
    max_worst_latency_s: Positive = None
    max_final_ratio: Share = None
    max_cost_ratio: Share = None


class TrainingTable(Table):
    """``[training]``: how long is trained, and for which integers.

    Attributes:
        epochs: Of each design; ``None``: what the recipe says.
        rungs: Epochs after which only the best go on (successive halving), rising and less than ``epochs``.
        keep: Share of the designs that goes on at a rung.
        inherit: A design starts from the weights of the nearest trained sibling.
        share: All designs are slices of one network that is trained once.
        finalists: So many points of the front are trained on, evenly along it, and measured on test.
        final_epochs: Of fine-tuning each of them; 0: none.
        quantize: How finalists get their integers: ``ptq`` or ``qat``.
        qat_epochs: Of that training; ``None``: what the recipe says.
    """

    epochs: Annotated[int | None, Field(ge=1)] = None
    rungs: Annotated[tuple[int, ...], choices(_rung)] = ()
    keep: Annotated[float, Field(gt=0, lt=1)] = 0.5
    inherit: bool = False
    share: bool = False
    finalists: Annotated[int, Field(ge=1)] = 8
    final_epochs: Annotated[int | None, Field(ge=0)] = None
    quantize: Literal["ptq", "qat"] = "qat"
    qat_epochs: Annotated[int | None, Field(ge=1)] = None

    @model_validator(mode="after")
    def _used(self) -> TrainingTable:
        if "keep" in self.model_fields_set and not self.rungs:
            raise _idle("keep", "without `rungs`")
        if self.qat_epochs is not None and self.quantize != QAT:
            raise _idle("qat_epochs", f'with quantize = "{self.quantize}"')
        if self.share and self.rungs:
            raise _idle("rungs", "with `share` no design is trained by itself before it is a finalist, and")
        if self.share and self.inherit:
            raise _idle("inherit", "with `share` all designs have their weights from one network, and")
        if self.rungs and list(self.rungs) != sorted(self.rungs):
            raise told(InputError("`rungs` must rise", "example: rungs = [2, 4], epochs = 8"))
        if self.rungs and (self.epochs is None or self.rungs[-1] >= self.epochs):
            raise told(
                InputError(
                    f"the last of `rungs` ({self.rungs[-1]}) is not less than `epochs` "
                    f"({self.epochs or 'absent'})",
                    "say how many `epochs` the best are trained: rungs = [2, 4], epochs = 8",
                )
            )
        return self


class SamplerTable(Table):
    """``[sampler]``: what proposes designs.

    Attributes:
        name: ``nsga2``, ``tpe`` or ``random``.
        population: Of ``nsga2``.
        startup: Designs that ``tpe`` draws at random first.
        predictor: Of several proposals the one is trained that is predicted to be worth most.
    """

    name: Literal["nsga2", "tpe", "random"] = "nsga2"
    population: Annotated[int, Field(ge=2)] = 20
    startup: Annotated[int, Field(ge=1)] = 10
    predictor: bool = False

    @model_validator(mode="after")
    def _used(self) -> SamplerTable:
        for key, name in (("population", "nsga2"), ("startup", "tpe")):
            if key in self.model_fields_set and self.name != name:
                raise _idle(key, f'with name = "{self.name}"')
        return self


def _idle(key: str, when: str) -> PydanticCustomError:
    return told(InputError(f"{when} `{key}` would change nothing", f"leave `{key}` away"))
