"""The typed results of a run: what ``summary.json`` holds. Keys are only ever added."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError

from eecompile.exits.removed import RemovedExit
from eecompile.run_files.versions import check_version
from passes.errors import InputError
from targets.contract.validation import NONE
from targets.objective import Objective, objective_named
from targets.residence import Residence

SCHEMA_VERSION = 1


def _objective(value: object) -> object:
    """Return the objective of a name in a file; pydantic tells its errors with the place they are at."""
    try:
        return objective_named(value) if isinstance(value, str) else value
    except InputError as error:
        raise ValueError(str(error)) from None


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class DatasetInfo(_Frozen):
    """Name and number of images of each split."""

    name: str
    train: int
    val: int
    test: int


class Costs(_Frozen):
    """Cost of one exit path, or an expectation over exits; ``None`` where the target has no clock.

    ``latency_interval`` (cycles) and ``energy_interval`` (pJ) hold the figure of the chip if the model is as
    far off as it was on networks that were measured; ``None`` where ``validation`` is ``none``.
    """

    macs: int | float
    latency_cycles: int | float
    latency_s: float | None
    energy_pj: float
    edp_js: float | None
    edp_j_cycles: float
    latency_interval: tuple[float, float] | None = None
    energy_interval: tuple[float, float] | None = None
    validation: str = NONE


class StaticResult(Costs):
    """The same backbone with its own final head and no exits: as given, or as trained with its exits."""

    accuracy_float: float | None = None
    accuracy_quant: float | None = None
    accuracy_quant_ci95: tuple[float, float] | None = None


class SpeculativeResult(_Frozen):
    """Cost of an exit path where the next stage may start while a head decides.

    ``wasted_pj`` is what later stages had begun when the input left; ``pays`` says whether the next stage
    starts early at this exit.
    """

    latency_cycles: int
    latency_s: float | None
    energy_pj: float
    edp_js: float | None
    edp_j_cycles: float
    wasted_pj: float
    pays: bool


class ExitResult(Costs):
    """One exit of the files; accuracies are ``None`` without data.

    ``accuracy`` is that of the test images that leave here (``None`` when none do); ``accuracy_float``,
    ``accuracy_quant`` and ``accuracy_lowered`` are over all test images. Costs are without speculation;
    ``speculative`` holds those with it, where it was asked for. ``confidence`` is the rule its threshold is
    compared by, with the parameters that are single numbers; all of them stand in ``run.json``.
    """

    name: str
    mount: str
    mount_name: str = ""
    head: str = ""
    threshold: float | None = None
    ratio: float | None = None
    accuracy: float | None = None
    accuracy_float: float | None = None
    accuracy_quant: float | None = None
    accuracy_lowered: float | None = None
    accuracy_quant_ci95: tuple[float, float] | None = None
    speculative: SpeculativeResult | None = None
    confidence: str = ""


class Expected(Costs):
    """Expectation over test images: sum of ratio times the value at each exit.

    Where ``speculation`` is set, the values are those with speculation.
    """

    accuracy: float
    accuracy_ci95: tuple[float, float]
    edp_of_means_js: float | None = None
    speculation: bool = False


class Drop(_Frozen):
    """Static quantized minus early-exit accuracy on test, paired, in points."""

    points: float
    ci95: tuple[float, float]


class Saving(_Frozen):
    """One minus expected over static."""

    macs: float
    latency: float
    energy: float
    edp: float

    def of(self, objective: Objective) -> float:
        """Return what is saved of what was minimised."""
        return float(getattr(self, objective.name))


class SavingInterval(_Frozen):
    """The least and the most that is saved by any model of the chip."""

    macs: tuple[float, float]
    latency: tuple[float, float]
    energy: tuple[float, float]
    edp: tuple[float, float]

    def of(self, objective: Objective) -> tuple[float, float]:
        """Return that of what was minimised."""
        low, high = getattr(self, objective.name)
        return float(low), float(high)


class AlternativeSaving(_Frozen):
    """What is saved by another model of the chip; ``None`` where it cannot cost the network, for a reason."""

    name: str
    saving: Saving | None
    reason: str | None = None


class SavingCause(_Frozen):
    """Models of the chip that differ from the one in use for the same cause; it is in the interval too."""

    cause: str
    interval: SavingInterval | None
    alternatives: tuple[AlternativeSaving, ...]


class ErrorBarInfo(_Frozen):
    """Factors around a predicted figure, which share of networks they hold, and what they were made from."""

    low: float
    high: float
    nominal_coverage: float | None
    basis: str


class IntervalInfo(_Frozen):
    """What stands behind the intervals of absolute figures."""

    latency: ErrorBarInfo | None
    energy: ErrorBarInfo | None
    command: str
    note: str


class PointCosts(_Frozen):
    """What an exit path costs at an operating point; cycles are the same at all."""

    name: str
    latency_s: float
    energy_pj: float
    edp_js: float
    latency_interval: tuple[float, float] | None = None
    energy_interval: tuple[float, float] | None = None
    validation: str = NONE


class PointResult(_Frozen):
    """The exit paths at an operating point; ``total`` is the deepest."""

    name: str
    clock_hz: float
    voltage_v: float | None
    energy_scale: float
    energy_scale_source: str | None
    exits: tuple[PointCosts, ...]
    total: PointCosts


class HostSensitivity(_Frozen):
    """Savings when the placeholder cost of host work is scaled."""

    host_scale: float
    static_latency_cycles: int | float
    saving: Saving


class CurvePoint(_Frozen):
    """One operating point of the threshold choice: chosen on val for ``max_drop``, measured on both."""

    max_drop: float
    val_drop: float
    test_drop: float
    saving_edp_val: float
    saving_edp_test: float
    ratios: tuple[float, ...]
    thresholds: tuple[float | None, ...]


class GuaranteeInfo(_Frozen):
    """What was promised of the drop, and how that was tested on one half of val.

    ``level``: the drop exceeds ``max_drop`` points with probability at most this. ``test`` is the form of
    the p-values. Exits, heads, preprocessing and a path of ``path`` thresholds from safe to bold were chosen
    on ``chosen_on`` images; the first ``accepted`` of the path passed on the ``images`` others. ``p_value``,
    ``lost`` and ``gained`` are those of the thresholds of the files there; ``None`` where none passed.
    ``seed`` split val.
    """

    level: float
    max_drop: float
    test: str
    chosen_on: int
    images: int
    path: int
    accepted: int
    p_value: float | None
    lost: int | None
    gained: int | None
    seed: int


class BreakEvenInfo(_Frozen):
    """Share of images (0 to 1) that must leave early for the mean of what is minimised to be that of static.

    ``early`` is that share with as many at each early exit, ``exits`` holds it for each early exit alone,
    where none leaves at the others: what pays for all heads in the files. 0 where the deepest path costs no
    more than static, ``None`` where no share is enough.
    """

    early: float | None
    exits: tuple[float | None, ...]


class ProxyInfo(_Frozen):
    """What a proxy of cost had chosen on val, and what that saves and loses on test by the cost model.

    ``exits`` names mounts and heads; ``drop`` is in points.
    """

    proxy: str
    exits: tuple[str, ...]
    saving: Saving
    drop: float


class ExitInForm(_Frozen):
    """One exit of the files in one form of the network, over all images of a split.

    ``form`` is ``float``, ``ptq`` or ``qat``. ``ratio`` is the share of images that leave here at the
    thresholds of the files, which were chosen for the form of the files. ``confidence`` is the mean,
    ``confidence_shift`` the mean size of its change against float, image by image, and ``answers_changed``
    the share of images that this exit answers otherwise than in float. The final exit has no confidence.
    """

    split: str
    exit: str
    form: str
    accuracy: float
    confidence: float | None
    confidence_shift: float | None
    answers_changed: float
    ratio: float


class QuantizationInfo(_Frozen):
    """How the network got its integers, and what that does to its exits.

    ``method`` is ``ptq`` or ``qat``; ``epochs`` are those of training for integers (``None`` where there was
    none). ``calibration_images`` are training images, ``calibration`` is the calibrator.
    """

    method: str
    schemes: tuple[str, ...]
    calibration_images: int
    calibration: str = "least-squares"
    epochs: int | None
    exits: tuple[ExitInForm, ...]


class StudyFigures(_Frozen):
    """Accuracies as fractions, costs expected over val; ``worst_latency_cycles`` of the deepest path."""

    accuracy_val: float
    accuracy: float
    edp_j_cycles: float
    energy_pj: float
    latency_cycles: float
    macs: float
    worst_latency_cycles: float


class StudyPoint(_Frozen):
    """The point of a search that a run delivers: what its ``front.json`` told, and what was found again."""

    study: str
    trial: int
    point: int
    design: str
    told: StudyFigures
    found: StudyFigures


class Summary(_Frozen):
    """``summary.json``; without data only costs are present.

    ``static`` is the network as it was given or, from scratch, trained alone: every drop and saving is
    against it. ``static_trained`` is the network that was trained together with its exits, without them
    (``None`` where the backbone was not trained), and ``trainer`` what was trained: ``frozen`` (heads),
    ``joint``,
    ``scratch``, or ``None`` for nothing. ``quantize`` says how integers were found: ``ptq`` or ``qat``,
    ``quantization`` what that did to the exits (``None`` without data).
    ``placement`` (``None`` where it was not told) and ``bits`` (part -> bits of its weights) say what was
    wished of the numbers of layers.
    ``min_gain`` is what an exit more had to save to be kept, in points of static (``None`` where all exits
    were asked for), ``never_taken`` names exits that were asked for and that no threshold makes acceptable.
    ``pruned`` is the network that was pruned before exits were put in, without them (``None`` where none
    was); ``static`` is then the one before.
    ``guarantee`` says what was promised of the drop (``None`` where nothing was).
    ``proxies`` tells what had been chosen by MACs.
    ``break_even`` says how many images must leave early for the heads to pay (``None`` without early exits).
    ``rules`` says how latency counts what unrollings leave over (``None`` where no mappings are searched).
    ``schedule`` is the mode of all schedules (``None`` in files from before there was a choice).
    ``validation`` says what stands behind absolute figures (``measured``, ``spread``, both, or ``none``), and
    ``intervals`` by how much they may be off. ``saving_interval`` is that of the saving: a common error
    cancels in a ratio, so it spans what is saved by all ``saving_causes``, models of the chip that are
    allowed; ``None`` where there is no other.
    ``point`` is the operating point of all figures but those of ``operating_points`` (``None`` where no clock
    is known).
    ``kept_thresholds``: thresholds are those the network brought; nothing was chosen within ``max_drop``.
    ``target_description`` is the SHA-256 of what the file of an accelerator says (``None``: no file).
    ``study`` is the point of a search whose network this is (``None`` where there was no search).
    ``residence`` and ``static_residence`` tell what the network, with exits and without, leaves in the
    memories between inferences and stages (``None`` in files from before that was counted).
    ``caution`` says why the savings of this run mean nothing, and stands before them; usually ``None``.
    """

    schema_version: int = SCHEMA_VERSION
    model: str
    target: str
    objective: Annotated[Objective, BeforeValidator(_objective), PlainSerializer(str)]
    cost_model: str
    known_error: str
    max_drop: float
    optimistic: bool
    seed: int
    dataset: DatasetInfo | None
    static: StaticResult
    exits: tuple[ExitResult, ...]
    expected: Expected | None
    drop: Drop | None
    saving: Saving | None
    static_trained: StaticResult | None = None
    pruned: StaticResult | None = None
    trainer: str | None = None
    quantize: str | None = None
    placement: str | None = None
    bits: dict[str, int] = {}
    quantization: QuantizationInfo | None = None
    host_sensitivity: tuple[HostSensitivity, ...] = ()
    validation: str = NONE
    intervals: IntervalInfo | None = None
    break_even: BreakEvenInfo | None = None
    saving_interval: SavingInterval | None = None
    saving_causes: tuple[SavingCause, ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    min_gain: float | None = None
    removed_exits: tuple[RemovedExit, ...] = ()
    never_taken: tuple[str, ...] = ()
    guarantee: GuaranteeInfo | None = None
    proxies: tuple[ProxyInfo, ...] = ()
    kept_thresholds: bool = False
    study: StudyPoint | None = None
    target_description: str | None = None
    caution: str | None = None
    rules: str | None = None
    schedule: str | None = None
    point: str | None = None
    operating_points: tuple[PointResult, ...] = ()
    residence: Residence | None = None
    static_residence: Residence | None = None
    warnings: tuple[str, ...] = ()

    def to_text(self) -> str:
        """Return the JSON text, the same bytes for the same run."""
        return json.dumps(self.model_dump(mode="json"), indent=1) + "\n"


def load_summary(run_dir: Path) -> Summary:
    """Read ``summary.json`` of a run directory (or the file itself).

    Raises:
        InputError: Not a run directory, a file that does not fit the schema, or one of a later version.
    """
    path = run_dir / "summary.json" if run_dir.is_dir() else run_dir
    try:
        text = path.read_bytes()
        with suppress(ValueError):  # what is no JSON is told below
            check_version(json.loads(text), path)
        return Summary.model_validate_json(text)
    except FileNotFoundError:
        raise InputError(
            f"{run_dir} is not a run directory: no summary.json", "give the folder that a run was written to"
        ) from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{path}: {where}: {first['msg']}", "the file is damaged or from another tool"
        ) from None
