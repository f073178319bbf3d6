"""What DIANA's cores take: one function per rule, its docstring is the sentence users read.

Sources: KU Leuven's and MATCH's public compiler checks; L1, L2 and weight memory of hardware.yaml.
"""

from __future__ import annotations

from targets.contract.target import Constraint, Demand
from targets.cost.elementwise import EXPONENTIAL, SIMPLE
from targets.cost.layer_cost import ceil_div
from targets.description.architecture import Architecture
from targets.diana.tiling import linear_traffic, stored_bytes
from targets.network.layer import Layer

KERNELS = (1, 3, 5, 7)
TERNARY_BITS = 2
INT8_BITS = 8


def has_loops(layer: Layer, _arch: Architecture) -> bool:
    """It has one or two spatial axes."""
    return layer.dims is not None


def has_constant_weights(layer: Layer, _arch: Architecture) -> bool:
    """Its weights are constants."""
    return layer.weight is not None


def has_int8_weights(layer: Layer, _arch: Architecture) -> bool:
    """Weights and inputs are int8."""
    weight_fits = layer.weight is None or layer.weight.bits == INT8_BITS
    return weight_fits and all(t.bits == INT8_BITS for t in layer.inputs)


def has_ternary_weights(layer: Layer, _arch: Architecture) -> bool:
    """Weights are ternary."""
    return layer.weight is None or layer.weight.bits == TERNARY_BITS


def has_one_group(layer: Layer, _arch: Architecture) -> bool:
    """The convolution has one group."""
    return layer.dims is None or layer.dims.g == 1


def has_one_group_or_is_depthwise(layer: Layer, _arch: Architecture) -> bool:
    """The convolution has one group, or is depthwise with as many outputs as inputs."""
    return layer.dims is None or (layer.dims.g == 1 or layer.dims.depthwise)


def has_small_odd_kernel(layer: Layer, _arch: Architecture) -> bool:
    """Kernels are 1, 3, 5 or 7 along each axis."""
    return layer.dims is None or (layer.dims.fy in KERNELS and layer.dims.fx in KERNELS)


def has_stride_1_or_2(layer: Layer, _arch: Architecture) -> bool:
    """Strides are 1 or 2."""
    return layer.dims is None or {layer.dims.stride_y, layer.dims.stride_x} <= {1, 2}


def has_no_dilation(layer: Layer, _arch: Architecture) -> bool:
    """Dilation is 1."""
    return layer.dims is None or layer.dims.dilation_y == layer.dims.dilation_x == 1


def has_same_padding(layer: Layer, _arch: Architecture) -> bool:
    """Padding is SAME: the output is as large as the input divided by the stride, rounded up."""
    dims = layer.dims
    return dims is None or (
        dims.oy == ceil_div(dims.iy, dims.stride_y) and dims.ox == ceil_div(dims.ix, dims.stride_x)
    )


def has_one_row(layer: Layer, _arch: Architecture) -> bool:
    """The product has one row of inputs."""
    return layer.dims is None or (layer.dims.b == 1 and layer.dims.g == 1)


def adds_equal_shapes(layer: Layer, _arch: Architecture) -> bool:
    """It adds two computed tensors of equal shape."""
    return len(layer.inputs) == 2 and layer.inputs[0].shape == layer.inputs[1].shape


def is_in_place(layer: Layer, _arch: Architecture) -> bool:
    """It puts parts of one convolution side by side, which are written there already."""
    return layer.in_place


def row_fits_l1(layer: Layer, arch: Architecture) -> bool:
    """One output row and the inputs it needs fit L1."""
    if layer.dims is None or not has_one_group_or_is_depthwise(layer, arch):
        return True  # no tiling is known of what no core takes
    return linear_traffic(layer, arch.size_bytes("l1"), arch.size_bytes("digital_weights")) is not None


def tensors_fit_l2(layer: Layer, arch: Architecture) -> bool:
    """Every tensor fits L2."""
    return largest_tensor_bytes(layer) <= arch.size_bytes("l2")


def largest_tensor_bytes(layer: Layer) -> int:
    """Return the size of the largest tensor the layer reads or writes, in bytes, padding included."""
    return max((stored_bytes([t]) for t in (*layer.inputs, *layer.outputs)), default=0)


_CONV_SHAPE: tuple[Constraint, ...] = (
    has_small_odd_kernel,
    has_stride_1_or_2,
    has_no_dilation,
    has_same_padding,
    tensors_fit_l2,
    row_fits_l1,
)
_PRODUCT = (has_constant_weights, has_int8_weights, has_one_row, tensors_fit_l2, row_fits_l1)
_ADD: tuple[Constraint, ...] = (adds_equal_shapes, has_int8_weights, tensors_fit_l2)
_LANES: tuple[Constraint, ...] = (tensors_fit_l2,)
_DIGITAL_CONV = (
    has_loops,
    has_constant_weights,
    has_one_group_or_is_depthwise,
    has_int8_weights,
    *_CONV_SHAPE,
)
_ANALOG_CONV = (has_loops, has_constant_weights, has_one_group, has_ternary_weights, *_CONV_SHAPE)

SUPPORT: dict[str, dict[str, tuple[Constraint, ...]]] = {
    "digital": {"Conv": _DIGITAL_CONV, "Gemm": _PRODUCT, "MatMul": _PRODUCT, "Add": _ADD},
    "analog": {"Conv": _ANALOG_CONV},
    "pooling": dict.fromkeys(("MaxPool", "GlobalMaxPool"), (has_loops, *_LANES)),
    "simd": {
        "Add": _ADD,
        "Concat": (is_in_place, tensors_fit_l2),
        "Relu": _LANES,
        "Clip": _LANES,
        "BatchNormalization": _LANES,
    },
    "host": dict.fromkeys(sorted(SIMPLE | EXPONENTIAL), (tensors_fit_l2,)),
}

HINTS: dict[Constraint, str] = {
    has_constant_weights: "products of two computed tensors have no published cost on DIANA; replace them",
    has_int8_weights: "cost the network at 8 bits, or quantize it with scheme int8-pow2",
    has_one_group_or_is_depthwise: "use one group, or a depthwise convolution followed by a 1x1 convolution",
    has_small_odd_kernel: "use kernels of 1, 3, 5 or 7, for instance two smaller ones in sequence",
    has_stride_1_or_2: "use stride 1 or 2, for instance in two layers",
    has_no_dilation: "use dilation 1 and a larger kernel",
    has_same_padding: "export the convolution with SAME padding",
    has_one_row: "use a 1x1 convolution for products with many rows",
    row_fits_l1: "make the input narrower or use fewer channels",
    tensors_fit_l2: "use a smaller input image or fewer channels in the first layers",
    adds_equal_shapes: "expand the smaller operand when exporting",
    is_in_place: "other Concats are copied by the host",
}
DEMANDS: dict[Constraint, Demand] = {
    tensors_fit_l2: lambda layer, arch: (largest_tensor_bytes(layer), arch.size_bytes("l2"), "bytes"),
}
