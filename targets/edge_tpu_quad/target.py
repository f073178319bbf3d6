"""The quad-core accelerator of arXiv 2512.04705: four equal arrays, a pooling core and SIMD lanes."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from targets.contract.target import CostModel
from targets.described.target import ENGINE_MODEL, EngineTarget
from targets.description.architecture import Architecture, load_architecture
from targets.description.mapping import MappingRule

# What the registers share says what each array dimension is for: accumulators add along D2, weights are
# shared along D3 and D4. Searching all loops on all dimensions takes long and finds little more.
_HINT = {"D1": ("K", "G"), "D2": ("C", "FX", "FY"), "D3": ("OX", "K"), "D4": ("OY", "K")}
_CORES = (0, 1, 2, 3)


@functools.cache
def _architecture() -> Architecture:
    return load_architecture(Path(__file__).parent / "hardware.yaml")


@dataclass(frozen=True)
class EdgeTpuQuadTarget(EngineTarget):
    """Quad-core Edge-TPU-like accelerator of arXiv 2512.04705; no clock, costs are in cycles."""

    name: ClassVar[str] = "edge_tpu_quad"
    cost_models: ClassVar[Mapping[str, CostModel]] = {"engine": ENGINE_MODEL}
    schemes: ClassVar[Mapping[str, tuple[str, ...]]] = dict.fromkeys(
        (*(f"core_{i}" for i in _CORES), "pooling", "simd"), ("uint8-channel",)
    )

    own_rules: ClassVar[tuple[MappingRule, ...]] = tuple(
        MappingRule(op, hint=_HINT, cores=_CORES) for op in ("Conv", "Gemm", "MatMul")
    )

    architecture: Architecture | None = field(default_factory=_architecture)
