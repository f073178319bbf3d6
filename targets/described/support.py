"""Which operators a core runs by its kind, where nothing but the description is known."""

from __future__ import annotations

from passes.operator_sets import POOLS
from targets.contract.target import Constraint, Support
from targets.cost.elementwise import EXPONENTIAL, SIMPLE
from targets.description.architecture import Architecture, Core
from targets.network.layer import Layer

LANE_WORK = tuple(sorted((SIMPLE | EXPONENTIAL) - POOLS))
_ARRAYS = ("mac_array", "imc_array")


def has_loops(layer: Layer, _arch: Architecture) -> bool:
    """It has one or two spatial axes."""
    return layer.dims is not None


HINTS: dict[Constraint, str] = {
    has_loops: "3-D convolutions and poolings have no loop nest here; split them into 2-D ones",
}


def help_with(runs: bool) -> str:
    """Return what helps with a layer no core takes; ``runs`` tells that some core runs its operator."""
    if runs:
        return (
            "a register must hold one element and the outermost memory all operands: cost it at fewer bits, "
            "give the core larger memories, or let the mapping file allow another core"
        )
    return "replace it by convolutions, matrix products, poolings, element-wise work or layout changes"


def support(arch: Architecture, name: str) -> Support:
    """Return the operators of core ``name``.

    Arrays run convolutions and matrix products, pooling cores poolings, SIMD cores (and hosts with an
    array) the rest. Work that has no core of its own kind runs on the arrays.
    """
    core = arch.core(name)
    if core.array is None:
        return {}
    kinds: set[str] = {other.kind for other in arch.cores if other.array is not None}
    found: dict[str, tuple[Constraint, ...]] = {}
    if core.kind in _ARRAYS:
        found |= {"Conv": (has_loops,), "Gemm": (), "MatMul": ()}
    if _runs(core, kinds, "pooling"):
        found |= dict.fromkeys(sorted(POOLS), (has_loops,))
    if _runs(core, kinds, "simd", "host"):
        found |= dict.fromkeys(LANE_WORK, ())
    return found


def _runs(core: Core, kinds: set[str], *own: str) -> bool:
    return core.kind in own or (core.kind in _ARRAYS and not kinds & set(own))
