"""What GAP9's cores take: one function per rule, its docstring is the sentence users read.

Sources: the modes of NE16 in PLiNIO, pulp-nnx and the GAP SDK; L1 and L2 of hardware.yaml. All that NE16 does
not take runs on the cluster, and so may what leaves most of NE16 idle.
"""

from __future__ import annotations

from targets.contract.target import Constraint, Demand
from targets.cost.elementwise import EXPONENTIAL, SIMPLE
from targets.description.architecture import Architecture
from targets.gap9.ne16 import INPUT_CHANNELS, taps
from targets.gap9.transfers import linear_cuts
from targets.network.layer import Layer

MIN_WEIGHT_BITS, MAX_WEIGHT_BITS = 2, 8
INPUT_BITS = 8
DEPTHWISE_KERNEL = (3, 3)
MODE_STRIDES = ((1, 1), (2, 2))


def has_loops(layer: Layer, _arch: Architecture) -> bool:
    """It has one or two spatial axes."""
    return layer.dims is not None


def has_constant_weights(layer: Layer, _arch: Architecture) -> bool:
    """Its weights are constants."""
    return layer.weight is not None


def has_narrow_weights(layer: Layer, _arch: Architecture) -> bool:
    """Weights have 2 to 8 bits and inputs 8."""
    weight_fits = layer.weight is None or MIN_WEIGHT_BITS <= layer.weight.bits <= MAX_WEIGHT_BITS
    return weight_fits and all(t.bits == INPUT_BITS for t in layer.inputs)


def has_whole_bytes(layer: Layer, _arch: Architecture) -> bool:
    """Weights have 8 bits or more: narrower ones are packed for NE16 alone."""
    return layer.weight is None or layer.weight.bits >= MAX_WEIGHT_BITS


def has_one_group_or_is_depthwise(layer: Layer, _arch: Architecture) -> bool:
    """The convolution has one group, or is depthwise with as many outputs as inputs."""
    return layer.dims is None or (layer.dims.g == 1 or layer.dims.depthwise)


def has_3x3_if_depthwise(layer: Layer, _arch: Architecture) -> bool:
    """A depthwise kernel is 3 x 3, its stride 1 or 2 along both axes."""
    dims = layer.dims
    return dims is None or (
        not dims.depthwise
        or ((dims.fy, dims.fx) == DEPTHWISE_KERNEL and (dims.stride_y, dims.stride_x) in MODE_STRIDES)
    )


def has_mode_stride(layer: Layer, _arch: Architecture) -> bool:
    """Kernels that are not 1 x 1 have stride 1 or 2, the same along both axes."""
    dims = layer.dims
    return dims is None or (not taps(dims)[0] or (dims.stride_y, dims.stride_x) in MODE_STRIDES)


def has_no_dilation(layer: Layer, _arch: Architecture) -> bool:
    """Dilation is 1."""
    return layer.dims is None or layer.dims.dilation_y == layer.dims.dilation_x == 1


def has_one_group(layer: Layer, _arch: Architecture) -> bool:
    """The product is one matrix, not a batch of them."""
    return layer.dims is None or layer.dims.g == 1


def row_fits_l1(layer: Layer, arch: Architecture) -> bool:
    """L1 holds a block of output rows with inputs and weights, twice where they are cut."""
    if layer.dims is None or not has_one_group_or_is_depthwise(layer, arch):
        return True  # no tiling is known of what NE16 does not take
    return bool(linear_cuts(layer, tile_bytes(arch)))


def tensors_fit_l2(layer: Layer, arch: Architecture) -> bool:
    """Every tensor fits L2."""
    return largest_tensor_bytes(layer) <= arch.size_bytes("l2")


def tile_bytes(arch: Architecture) -> int:
    """Return the bytes of L1 that tiles may take."""
    return int(arch.core("ne16").rate("l1_tile_bytes"))


def largest_tensor_bytes(layer: Layer) -> int:
    """Return the size of the largest tensor the layer reads or writes, in bytes."""
    return max((t.size_bytes for t in (*layer.inputs, *layer.outputs)), default=0)


_PRODUCT: tuple[Constraint, ...] = (has_loops, has_constant_weights, has_narrow_weights)
_MEMORY: tuple[Constraint, ...] = (tensors_fit_l2, row_fits_l1)
_CONV = (
    *_PRODUCT,
    has_one_group_or_is_depthwise,
    has_3x3_if_depthwise,
    has_mode_stride,
    has_no_dilation,
    *_MEMORY,
)
_MATRIX = (*_PRODUCT, has_one_group, *_MEMORY)
_LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul")

_NE16: dict[str, tuple[Constraint, ...]] = {"Conv": _CONV, "Gemm": _MATRIX, "MatMul": _MATRIX}


def is_not_for_ne16(layer: Layer, arch: Architecture) -> bool:
    """NE16 does not take it, or has fewer than 16 input channels of a larger kernel to work on at once."""
    dims = layer.dims
    few = dims is not None and not dims.depthwise and dims.c < INPUT_CHANNELS and dims.fy * dims.fx > 1
    return few or not _within_l2("ne16", layer, arch)


def _within_l2(core: str, layer: Layer, arch: Architecture) -> bool:
    rules = {"ne16": _NE16, "cluster": _CLUSTER}[core].get(layer.op_type)
    return rules is not None and all(rule(layer, arch) for rule in rules if rule is not tensors_fit_l2)


def cores_within_l2(layer: Layer, arch: Architecture) -> tuple[str, ...]:
    """Return the cores that take ``layer`` if its tensors may lie in external memory."""
    return tuple(core for core in SUPPORT if _within_l2(core, layer, arch))


_CLUSTER: dict[str, tuple[Constraint, ...]] = dict.fromkeys(
    _LINEAR, (is_not_for_ne16, has_whole_bytes, tensors_fit_l2)
) | dict.fromkeys(sorted(SIMPLE | EXPONENTIAL), (tensors_fit_l2,))
SUPPORT: dict[str, dict[str, tuple[Constraint, ...]]] = {"ne16": _NE16, "cluster": _CLUSTER}

HINTS: dict[Constraint, str] = {
    has_whole_bytes: "give its weights 8 bits",
    tensors_fit_l2: "use a smaller input image or fewer channels in the first layers",
}
DEMANDS: dict[Constraint, Demand] = {
    tensors_fit_l2: lambda layer, arch: (largest_tensor_bytes(layer), arch.size_bytes("l2"), "bytes"),
}
