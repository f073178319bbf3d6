"""MAX78002: MAX78000 with more memory and channels, and depthwise convolutions."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from targets.contract.target import CostModel, Support
from targets.description.architecture import Architecture, load_architecture
from targets.description.figure import Known
from targets.max78000 import constraints
from targets.max78000.target import Max78000Target

_KNOWN_ERROR = (
    "not validated: the vendor's tools have a closed form for MAX78000 alone; here it stands for MAX78002 "
    "without its pipeline, at 50 MHz. Depthwise layers, power, host work and what it takes to go on with the "
    "next stage are placeholders"
)


@functools.cache
def _architecture() -> Architecture:
    return load_architecture(Path(__file__).parent / "hardware.yaml")


@dataclass(frozen=True)
class Max78002Target(Max78000Target):
    """MAX78002 with the accelerator at 50 MHz, not pipelined; layers follow one another."""

    name: ClassVar[str] = "max78002"
    cost_models: ClassVar[Mapping[str, CostModel]] = {
        "izer": CostModel("closed form of the vendor's tools for MAX78000 (ai8x-synthesis)", _KNOWN_ERROR),
    }
    rules: ClassVar[Mapping[str, Support]] = constraints.MAX78002

    @property
    def arch(self) -> Architecture:
        """The description in ``hardware.yaml``."""
        return self.changed or _architecture()

    @property
    def known(self) -> Known:
        """How the cycles of the accelerator are known: taken over from another chip."""
        return "placeholder"
