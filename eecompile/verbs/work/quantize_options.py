"""What ``quantize`` is asked, and the command line that asks for it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from eecompile.data.in_memory import ImageSource
from eecompile.quantization.calibration_names import LEAST_SQUARES, check_calibration
from eecompile.quantization.placements import MIXED
from eecompile.quantization.wishes import SchemeWish
from eecompile.run.options import check_quantizer, check_seed
from eecompile.run.provenance import option_words
from eecompile.training.recipe import PTQ
from passes.errors import InputError
from passes.model.in_memory import Network, recorded
from targets.objective import EDP, Objective

AUTO = "auto"


@dataclass(frozen=True)
class QuantizeOptions:
    """The options of ``eecompile quantize``; names as on the command line.

    Attributes:
        keep_float: Layers that stay in float; ``auto``: the fewest that keep the drop on val within
            ``max_drop``.

    Raises:
        InputError: A value outside its range, on construction.
    """

    model: Network
    data: ImageSource
    target: str = "diana"
    out: Path | None = None
    objective: Objective = EDP
    preprocess: str = AUTO
    seed: int = 0
    calibration: str = LEAST_SQUARES
    keep_float: str | tuple[str, ...] = ()
    max_drop: float | None = None
    placement: str | None = None
    bits: Mapping[str, int] = field(default_factory=dict)
    frontier: bool = False
    quantize: str = PTQ
    qat_epochs: int | None = None
    requantize: bool = False

    def __post_init__(self) -> None:
        check_calibration(self.calibration)
        check_quantizer(self.quantize, self.qat_epochs)
        check_seed(self.seed)
        if self.placement == MIXED:
            raise InputError(
                "`placement` mixed chooses a mapping for a network with exits, which is what `run` makes",
                "say `frontier`: it shows all mappings that are worth having",
            )
        _ = self.wish
        if self.max_drop is None:
            return
        if not math.isfinite(self.max_drop) or not 0 <= self.max_drop <= 100:
            raise InputError(
                f"`max_drop` {self.max_drop} is not a number of points between 0 and 100",
                "it is how much accuracy may be lost, in points: 1.0 allows 87.0 % to become 86.0 %",
            )
        if self.keep_float != AUTO:
            raise InputError(
                "`max_drop` says how many layers `keep_float` auto keeps, and these layers are named",
                "say `keep_float` auto, or leave `max_drop` away",
            )

    @property
    def wish(self) -> SchemeWish:
        """What is wished of the numbers of layers; raises InputError for what is no wish."""
        return SchemeWish(AUTO if self.placement is None else self.placement, self.bits)

    @property
    def command(self) -> str:
        """The command line: the target, and what is not as usual."""
        words = ["eecompile", "quantize", recorded(self.model)]
        usual = vars(QuantizeOptions(self.model, self.data))
        for name, value in vars(self).items():
            if name in ("data", "target") or (name != "model" and value != usual[name]):
                words += option_words(name, value, switch=usual[name] is False)
        return shlex.join(words)
