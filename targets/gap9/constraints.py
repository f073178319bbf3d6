"""What GAP9's cores take: one function per rule, its docstring is the sentence users read.

Sources: the modes of NE16 in PLiNIO, pulp-nnx and the GAP SDK; L1 and L2 of hardware.yaml. All that NE16 does
not take runs on the cluster.
"""

from __future__ import annotations

from targets.contract.target import Constraint
from targets.cost.elementwise import EXPONENTIAL, SIMPLE
from targets.description.architecture import Architecture
from targets.gap9.transfers import linear_transfers
from targets.network.layer import Layer

MIN_WEIGHT_BITS, MAX_WEIGHT_BITS = 2, 8
INPUT_BITS = 8
DEPTHWISE_KERNEL = (3, 3)
DEPTHWISE_STRIDES = ((1, 1), (2, 2))


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


def has_one_group_or_is_depthwise(layer: Layer, _arch: Architecture) -> bool:
    """The convolution has one group, or is depthwise with as many outputs as inputs."""
    return layer.dims is None or (layer.dims.g == 1 or layer.dims.depthwise)


def has_3x3_if_depthwise(layer: Layer, _arch: Architecture) -> bool:
    """A depthwise kernel is 3 x 3, its stride 1 or 2 along both axes."""
    dims = layer.dims
    return dims is None or (
        not dims.depthwise
        or ((dims.fy, dims.fx) == DEPTHWISE_KERNEL and (dims.stride_y, dims.stride_x) in DEPTHWISE_STRIDES)
    )


def has_no_dilation(layer: Layer, _arch: Architecture) -> bool:
    """Dilation is 1."""
    return layer.dims is None or layer.dims.dilation_y == layer.dims.dilation_x == 1


def has_one_group(layer: Layer, _arch: Architecture) -> bool:
    """The product is one matrix, not a batch of them."""
    return layer.dims is None or layer.dims.g == 1


def row_fits_l1(layer: Layer, arch: Architecture) -> bool:
    """L1 holds one output row and the inputs it needs twice, beside weights."""
    if layer.dims is None or not has_one_group_or_is_depthwise(layer, arch):
        return True  # no tiling is known of what NE16 does not take
    return bool(linear_transfers(layer, arch.size_bytes("l1")))


def tensors_fit_l2(layer: Layer, arch: Architecture) -> bool:
    """Every tensor fits L2."""
    return largest_tensor_bytes(layer) <= arch.size_bytes("l2")


def largest_tensor_bytes(layer: Layer) -> int:
    """Return the size of the largest tensor the layer reads or writes, in bytes."""
    return max((t.size_bytes for t in (*layer.inputs, *layer.outputs)), default=0)


_PRODUCT: tuple[Constraint, ...] = (has_loops, has_constant_weights, has_narrow_weights)
_MEMORY: tuple[Constraint, ...] = (tensors_fit_l2, row_fits_l1)
_CONV = (*_PRODUCT, has_one_group_or_is_depthwise, has_3x3_if_depthwise, has_no_dilation, *_MEMORY)
_MATRIX = (*_PRODUCT, has_one_group, *_MEMORY)
_LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul")

_NE16: dict[str, tuple[Constraint, ...]] = {"Conv": _CONV, "Gemm": _MATRIX, "MatMul": _MATRIX}


def is_not_for_ne16(layer: Layer, arch: Architecture) -> bool:
    """NE16 does not take it; what it takes runs there, as in the public flows."""
    rules = _NE16.get(layer.op_type)
    return rules is None or not all(rule(layer, arch) for rule in rules)


SUPPORT: dict[str, dict[str, tuple[Constraint, ...]]] = {
    "ne16": _NE16,
    "cluster": dict.fromkeys(_LINEAR, (is_not_for_ne16, tensors_fit_l2))
    | dict.fromkeys(sorted(SIMPLE | EXPONENTIAL), (tensors_fit_l2,)),
}

HINTS: dict[Constraint, str] = {
    tensors_fit_l2: "use a smaller input image or fewer channels in the first layers",
}
