"""The options of a run, checked where they are made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eecompile.data.in_memory import ImagesInMemory, ImageSource
from eecompile.pruning.goal import PruningGoal
from eecompile.quantization.calibration_names import LEAST_SQUARES, check_calibration
from eecompile.quantization.placements import AUTO, MIXED, PLACEMENTS
from eecompile.quantization.wishes import SchemeWish
from eecompile.training.recipe import FROZEN, NONE, PTQ, QAT, QUANTIZERS, SCRATCH, TRAINERS
from passes.confidence import confidence_rule
from passes.errors import InputError, did_you_mean
from passes.heads.designs import parse_heads
from passes.model.in_memory import ModelInMemory, Network, recorded
from targets.objective import EDP, Objective, objective_named

MAX_DROP = 1.0
_PATHS = ("model", "out", "cache", "from_study")
_CHOOSE_THRESHOLDS = (
    "max_drop", "optimistic", "guarantee", "max_latency_p95", "max_worst_latency", "max_final_ratio",
    "max_cost_ratio", "min_gain", "confidence",
)  # fmt: skip


@dataclass(frozen=True)
class RunOptions:
    """The options of ``eecompile run``; names as on the command line.

    Attributes:
        told: Those that were told, not left at their default.

    Raises:
        InputError: A value outside its range, on construction.
    """

    model: Network
    target: str = "diana"
    data: ImageSource | None = None
    out: Path | None = None
    exits: int | tuple[str, ...] | None = None
    head: str | tuple[str, ...] = "auto"
    objective: Objective = EDP
    max_drop: float = MAX_DROP
    optimistic: bool = False
    preprocess: str = "auto"
    cost_model: str | None = None
    seed: int = 0
    point: str | None = None
    speculate: bool = False
    min_gain: float | None = None
    rules: str | None = None
    schedule: str | None = None
    told: frozenset[str] = frozenset()
    max_latency: float | None = None
    guarantee: float | None = None
    max_latency_p95: float | None = None
    max_worst_latency: float | None = None
    max_final_ratio: float | None = None
    max_cost_ratio: float | None = None
    train: str = FROZEN
    epochs: int | None = None
    confidence: str | None = None
    recycle: bool | None = None
    quantize: str = PTQ
    qat_epochs: int | None = None
    placement: str | None = None
    bits: Mapping[str, int] = field(default_factory=dict)
    prune: PruningGoal | None = None
    prune_epochs: int | None = None
    calibration: str = LEAST_SQUARES
    requantize: bool = False
    keep_thresholds: bool = False
    cache: Path | None = None
    from_study: Path | None = None
    trial: int | None = None
    front_point: int | None = None

    def __post_init__(self) -> None:
        parse_heads(self.head)
        if self.confidence is not None:
            confidence_rule(self.confidence)
        if not math.isfinite(self.max_drop) or not 0 <= self.max_drop <= 100:
            raise InputError(
                f"`max_drop` {self.max_drop} is not a number of points between 0 and 100",
                "it is how much accuracy may be lost, in points: 1.0 allows 87.0 % to become 86.0 %",
            )
        if self.min_gain is not None and not (math.isfinite(self.min_gain) and 0 <= self.min_gain <= 100):
            raise InputError(
                f"`min_gain` {self.min_gain} is not a number of points between 0 and 100",
                "it is what an exit more must save, in points of static: 2.0 is the default",
            )
        self._check_guarantee()
        self._check_constraints()
        if self.train not in TRAINERS:
            raise InputError(f"`train` cannot be '{self.train}'", did_you_mean(self.train, TRAINERS))
        if self.epochs is not None and self.epochs < 1:
            raise InputError(
                f"`epochs` is at least 1, not {self.epochs}", "it is how often each image is seen"
            )
        self._check_quantization()
        _ = self.wish
        self._check_pruning()
        self._check_kept_thresholds()
        check_seed(self.seed)

    def _check_quantization(self) -> None:
        check_calibration(self.calibration)
        check_quantizer(self.quantize, self.qat_epochs, (*QUANTIZERS, NONE))
        self._check_float()

    def _check_float(self) -> None:
        """Refuse what says which integers there shall be, where there are none."""
        asked = {
            "placement": self.placement is not None,
            "bits": bool(self.bits),
            "calibration": self.calibration != LEAST_SQUARES,
        }
        for name in (name for name, told in asked.items() if told and self.quantize == NONE):
            raise InputError(
                f"`{name}` is for integers, and with `quantize` none there are none",
                f"leave `{name}` away, or say `quantize` ptq",
            )

    def _check_pruning(self) -> None:
        if self.prune_epochs is not None and self.prune_epochs < 1:
            raise InputError(
                f"`prune_epochs` is at least 1, not {self.prune_epochs}", "it is how often each image is seen"
            )
        if self.prune is None:
            if self.prune_epochs is not None:
                raise InputError(
                    "`prune_epochs` says how long is trained behind pruning, and without `prune` nothing is",
                    "say what `prune` shall save, or leave `prune_epochs` away",
                )
            return
        if self.train == SCRATCH:
            raise InputError(
                "`prune` takes what trained weights hardly need, and `train` scratch draws new ones",
                "say `train` joint, or leave `prune` away",
            )

    def _check_kept_thresholds(self) -> None:
        """Refuse what chooses other thresholds, or changes what the kept ones are compared with."""
        if not self.keep_thresholds:
            return
        chooses = {*_CHOOSE_THRESHOLDS} - ({"max_drop"} if self.placement == MIXED else set())
        if told := sorted(self.told & chooses):
            raise InputError(
                f"`keep_thresholds` keeps what the network brings, and `{told[0]}` chooses anew",
                "leave one of them away",
            )
        changes = {"train": self.train != FROZEN, "recycle": bool(self.recycle)}
        for name in (name for name, told in changes.items() if told):
            raise InputError(
                f"`{name}` changes the logits that thresholds are compared with, and `keep_thresholds` keeps "
                "these",
                f"leave `{name}` away, or let thresholds be chosen",
            )

    @property
    def wish(self) -> SchemeWish:
        """What is wished of the numbers of layers before a search; raises InputError for what is no wish."""
        if self.placement is not None and self.placement not in PLACEMENTS:
            raise InputError(
                f"`placement` cannot be '{self.placement}'", did_you_mean(self.placement, PLACEMENTS)
            )
        return SchemeWish(AUTO if self.placement in (None, MIXED) else self.placement, self.bits)

    @property
    def recycles(self) -> bool:
        """Whether exits add the answer of the exit before to theirs: as told, else where all is trained."""
        return self.train != FROZEN if self.recycle is None else self.recycle

    def _check_constraints(self) -> None:
        for name in ("max_latency_p95", "max_worst_latency"):
            seconds = getattr(self, name)
            if seconds is None:
                continue
            if not (math.isfinite(seconds) and seconds > 0):
                raise InputError(
                    f"`{name}` {seconds} is not a time in seconds", "give a number above 0: 0.001"
                )
            if self.max_latency is not None:
                raise InputError(
                    f"`max_latency` takes an operating point behind the thresholds, `{name}` needs it before",
                    "leave one of them away; `point` names an operating point",
                )
        for name in ("max_final_ratio", "max_cost_ratio"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                raise InputError(f"`{name}` {share} is not a share between 0 and 1", "the paper asks for 0.5")

    def _check_guarantee(self) -> None:
        if self.guarantee is None:
            return
        if not 0 < self.guarantee < 1:
            raise InputError(
                f"`guarantee` {self.guarantee} is not a probability between 0 and 1",
                "it is how probable a drop above `max_drop` may be: 0.1 is usual",
            )
        if self.optimistic:
            raise InputError(
                "`guarantee` and `optimistic` contradict: a promise cannot rest on the plain estimate",
                "leave one of them away",
            )
        if self.max_drop == 0:
            raise InputError(
                "no number of images can prove that nothing at all is lost",
                "with `guarantee`, allow a `max_drop` above 0",
            )


def to_record(options: RunOptions) -> dict[str, Any]:
    """Return options as files of a run have them, without which were told."""
    return {name: _plain(value) for name, value in vars(options).items() if name != "told"}


def _plain(value: Any) -> Any:
    if isinstance(value, ModelInMemory):
        return recorded(value)
    return str(value) if isinstance(value, Path | Objective | ImagesInMemory | PruningGoal) else value


def from_record(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as files of a run have them in the types of `RunOptions`."""
    found = dict(values)
    for name in _PATHS:
        found[name] = None if found[name] is None else Path(found[name])
    for name in ("exits", "head"):
        found[name] = tuple(found[name]) if isinstance(found[name], list) else found[name]
    found["objective"] = objective_named(found["objective"])
    found["prune"] = None if found["prune"] is None else PruningGoal.parse(found["prune"])
    return found


def check_quantizer(quantize: str, qat_epochs: int | None, known: Sequence[str] = QUANTIZERS) -> None:
    """Refuse a way to find integers that is none of ``known``, and a length of a training that is not done.

    Raises:
        InputError: With what to do.
    """
    if quantize not in known:
        raise InputError(f"`quantize` cannot be '{quantize}'", did_you_mean(quantize, known))
    if qat_epochs is None:
        return
    if qat_epochs < 1:
        raise InputError(
            f"`qat_epochs` is at least 1, not {qat_epochs}", "it is how often each image is seen"
        )
    if quantize != QAT:
        raise InputError(
            "`qat_epochs` says how long is trained for integers, and without `quantize` qat nothing is",
            "say `quantize` qat, or leave `qat_epochs` away",
        )


def check_seed(seed: int) -> int:
    """Return ``seed``; raises InputError for one that not every generator of random numbers takes."""
    if not 0 <= seed < 2**32:
        raise InputError(f"`seed` must be between 0 and 4294967295, not {seed}", "example: `seed` 0")
    return seed
