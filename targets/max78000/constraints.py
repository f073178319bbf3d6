"""What the accelerators of MAX78000 and MAX78002 take: one function per rule, its docstring is for users.

Sources: the limits of networks in the README of the vendor's tools (analogdevicesinc/ai8x-synthesis) and the
checks of its ``izer/backend/max7800x.py``. Numbers that differ between the chips are in ``hardware.yaml``.
"""

from __future__ import annotations

from passes.operator_sets import GLOBAL_POOLS
from targets.contract.target import Constraint, Demand
from targets.cost.elementwise import EXPONENTIAL, SIMPLE
from targets.description.architecture import Architecture
from targets.max78000.jobs import (
    DILATED_KERNEL,
    MAX_KERNEL_1D,
    SUMS,
    first_job,
    folds,
    in_one_dimension,
    input_map,
    is_signal,
    paddings,
    passes_of,
    stretched,
    thins_later,
)
from targets.max78000.memories import block_of, tensor_bytes
from targets.network.layer import Layer

WEIGHT_BITS = (1, 2, 4, 8)
INPUT_BITS = 8
KERNELS_2D = ((1, 1), (3, 3))
MAX_WINDOW = 16
MAX_FLAT, MAX_FLAT_POSITIONS = 16384, 256
MAX_INPUTS_BY_CHANNEL = 16
"""Channels of an input of the network that lie one to a data memory."""


def has_loops(layer: Layer, _arch: Architecture) -> bool:
    """It has one or two spatial axes."""
    return layer.dims is not None


def has_constant_weights(layer: Layer, _arch: Architecture) -> bool:
    """Its weights are constants."""
    return layer.weight is not None


def has_narrow_weights(layer: Layer, _arch: Architecture) -> bool:
    """Weights have 1, 2, 4 or 8 bits and inputs 8."""
    fits = layer.weight is None or layer.weight.bits in WEIGHT_BITS
    return fits and all(t.bits == INPUT_BITS for t in layer.inputs)


def has_one_group(layer: Layer, _arch: Architecture) -> bool:
    """The convolution has one group: MAX78000 has no depthwise convolutions, MAX78002 has."""
    return layer.dims is None or layer.dims.g == 1


def has_one_group_or_is_depthwise(layer: Layer, _arch: Architecture) -> bool:
    """The convolution has one group, or is depthwise with as many outputs as inputs."""
    return layer.dims is None or layer.dims.g == 1 or layer.dims.depthwise


def has_small_kernel(layer: Layer, _arch: Architecture) -> bool:
    """Kernels are 1 x 1 or 3 x 3, or 1 to 9 long where there is one spatial axis."""
    dims = layer.dims
    if dims is None:
        return True
    return dims.fx <= MAX_KERNEL_1D if is_signal(layer) else (dims.fy, dims.fx) in KERNELS_2D


def has_dilation_in_one_dimension(layer: Layer, arch: Architecture) -> bool:
    """Dilation is 1; with one spatial axis more, for kernels up to 3 long without padding or pooling."""
    dims = layer.dims
    if dims is None or not is_signal(layer):
        return dims is None or dims.dilation_y == dims.dilation_x == 1
    if not folds(layer):
        return stretched(dims) <= MAX_KERNEL_1D
    plain = dims.pad_left == dims.pad_right == 0 and dims.stride_x == 1 and layer.front is None
    longest = arch.core("cnn").rate("max_dilation_1d")
    return plain and dims.fx <= DILATED_KERNEL and dims.dilation_x <= longest


def has_padding_on_both_sides(layer: Layer, _arch: Architecture) -> bool:
    """Padding is 0, 1 or 2, less than the kernel, and alike on both sides unless a stride leaves it out."""
    dims = layer.dims
    if dims is None or folds(layer) or not (is_signal(layer) or dims.dilation_y == dims.dilation_x == 1):
        return True
    return paddings(layer) is not None


def has_one_stride(layer: Layer, _arch: Architecture) -> bool:
    """Strides are the same along both axes and at most 16, together with a pooling in front."""
    dims = layer.dims
    if dims is None:
        return True
    front = 1 if layer.front is None or thins_later(dims) else layer.front.stride_x
    same = is_signal(layer) or dims.stride_y == dims.stride_x
    return same and front * dims.stride_x <= MAX_WINDOW


def thins_few_channels(layer: Layer, arch: Architecture) -> bool:
    """A stride above 1 thins out what a 3 x 3 kernel computes at stride 1: of 64 channels at most."""
    dims = layer.dims
    if dims is None or not thins_later(dims):
        return True
    return passes_of(dims.g * dims.k) <= arch.core("cnn").rate("max_pool_passes")


def pads_few_channels_in_one_dimension(layer: Layer, _arch: Architecture) -> bool:
    """With one spatial axis and more than 64 input channels there is no padding."""
    dims = layer.dims
    if dims is None or not is_signal(layer):
        return True
    return passes_of(dims.g * dims.c) == 1 or dims.pad_left == dims.pad_right == 0


def has_channels(layer: Layer, arch: Architecture) -> bool:
    """Input and output channels are as many as the chip can count."""
    return most_channels(layer) <= arch.core("cnn").rate("max_channels")


def most_channels(layer: Layer) -> int:
    """Return the most channels of a tensor the layer reads or writes."""
    return max((t.shape[1] for t in (*layer.inputs, *layer.outputs) if len(t.shape) > 1), default=1)


def has_rows(layer: Layer, arch: Architecture) -> bool:
    """Rows and columns are as many as the chip can count."""
    return most_rows(layer) <= arch.core("cnn").rate("max_rows")


def most_rows(layer: Layer) -> int:
    """Return the most rows or columns of a tensor the layer reads or writes."""
    return max((size for t in (*layer.inputs, *layer.outputs) for size in t.shape[2:]), default=1)


def has_bias_of_few_channels(layer: Layer, arch: Architecture) -> bool:
    """Layers with a bias have no more outputs than the chip has biases for."""
    return layer.bias is None or layer.bias.elements <= arch.core("cnn").rate("max_bias_channels")


def has_one_row(layer: Layer, _arch: Architecture) -> bool:
    """The product has one row of inputs."""
    return layer.dims is None or layer.dims.b == layer.dims.g == 1


def flattens_little(layer: Layer, _arch: Architecture) -> bool:
    """What is flattened has at most 256 positions and 16,384 values."""
    if layer.front is not None or not has_one_row(layer, _arch):
        return True
    channels, rows, columns = input_map(layer)
    return rows * columns <= MAX_FLAT_POSITIONS and channels * rows * columns <= MAX_FLAT


def has_full_windows(layer: Layer, _arch: Architecture) -> bool:
    """Pooling has full windows without dilation, windows and strides up to 16, the same along both axes."""
    dims = layer.dims
    if dims is None:
        return True
    flat = in_one_dimension(dims)
    plain = not (dims.pad_top or dims.pad_left or dims.pad_bottom or dims.pad_right)
    plain = plain and dims.dilation_y == dims.dilation_x == 1
    alone = (dims.oy, dims.ox) == (1, 1)
    small = max(dims.fy, dims.fx) <= MAX_WINDOW and (alone or max(dims.stride_y, dims.stride_x) <= MAX_WINDOW)
    full = (dims.ix - dims.fx) // dims.stride_x + 1 == dims.ox
    if not flat:
        full = full and (dims.iy - dims.fy) // dims.stride_y + 1 == dims.oy
    return plain and small and full and (flat or alone or dims.stride_y == dims.stride_x)


def pools_few_channels(layer: Layer, arch: Architecture) -> bool:
    """Without a convolution behind it, pooling is of 64 channels at most unless one position is left."""
    dims = layer.dims
    if dims is None:
        return True
    channels, _, _ = input_map(layer)
    alone = dims.oy == dims.ox == 1
    return alone or passes_of(channels) <= arch.core("cnn").rate("max_pool_passes")


def adds_equal_shapes(layer: Layer, _arch: Architecture) -> bool:
    """It adds or subtracts two computed tensors of equal shape, an image each."""
    return (
        len(layer.inputs) == 2
        and layer.inputs[0].shape == layer.inputs[1].shape
        and len(layer.inputs[0].shape) in (2, 3, 4)
        and layer.inputs[0].shape[0] == 1
    )


def tensors_fit_data_memories(layer: Layer, arch: Architecture) -> bool:
    """Four channels of each tensor, and of all it takes in passes, fit one of 16 data memories."""
    return largest_share_bytes(layer) <= arch.size_bytes("data_instance")


def largest_share_bytes(layer: Layer) -> int:
    """Return the most that a tensor of the layer takes of a data memory.

    Inputs of the network may lie there channel by channel; with a stride above 1, all outputs at stride 1 do.
    """
    shares = [tensor_bytes(t) for t in layer.outputs]
    given = not layer.producers
    for operand in layer.inputs:
        channels = operand.shape[1] if len(operand.shape) > 1 else 1
        shares.append(tensor_bytes(operand, given and channels <= MAX_INPUTS_BY_CHANNEL))
    job = first_job(layer)
    if job is not None and layer.op_type == "Conv" and layer.dims is not None and thins_later(layer.dims):
        rows, columns = job.written
        shares.append(rows * columns * 4 * passes_of(layer.dims.g * layer.dims.k))
    return max(shares)


def weights_fit_processors(layer: Layer, arch: Architecture) -> bool:
    """Its weights fit the weight memories of the processors that read its input channels."""
    return weight_words(layer) <= arch.core("cnn").rate("weight_words")


def weight_words(layer: Layer) -> int:
    """Return the words the layer needs of each weight memory that has some of its weights.

    None where nothing says how they would lie: of several rows or groups, or without a job on the chip.
    """
    dims = layer.dims
    if first_job(layer) is None or (dims is not None and (dims.b > 1 or (dims.g > 1 and not dims.depthwise))):
        return 0
    block = block_of(layer)
    return 0 if block is None else block.words


_MEMORY: tuple[Constraint, ...] = (has_channels, has_rows, tensors_fit_data_memories)
_WEIGHTS: tuple[Constraint, ...] = (has_bias_of_few_channels, weights_fit_processors)
_SHAPE: tuple[Constraint, ...] = (
    has_small_kernel,
    has_dilation_in_one_dimension,
    has_one_stride,
    has_padding_on_both_sides,
    thins_few_channels,
)
_PRODUCT: tuple[Constraint, ...] = (has_loops, has_constant_weights, has_narrow_weights)
_MATRIX = (*_PRODUCT, has_one_row, flattens_little, *_MEMORY, *_WEIGHTS)
_POOL = (has_loops, has_narrow_weights, has_full_windows, pools_few_channels, *_MEMORY)
_SUM = (has_narrow_weights, adds_equal_shapes, *_MEMORY, weights_fit_processors)
_POOLED = ("MaxPool", "AveragePool", *sorted(GLOBAL_POOLS))


def support(group: Constraint, *more: Constraint) -> dict[str, dict[str, tuple[Constraint, ...]]]:
    """Return the operators of each core with their rules.

    Args:
        group: The rule on groups of convolutions.
        more: Further rules of convolutions.
    """
    conv = (*_PRODUCT, group, *_SHAPE, *more, *_MEMORY, *_WEIGHTS)
    cnn: dict[str, tuple[Constraint, ...]] = {"Conv": conv, "Gemm": _MATRIX, "MatMul": _MATRIX}
    cnn |= dict.fromkeys(_POOLED, _POOL) | dict.fromkeys(sorted(SUMS), _SUM)

    def is_not_for_the_accelerator(layer: Layer, arch: Architecture) -> bool:
        """The accelerator does not take it; what it takes runs there, as in the vendor's flow."""
        rules = cnn.get(layer.op_type)
        return rules is None or not all(rule(layer, arch) for rule in rules)

    left: tuple[Constraint, ...] = (is_not_for_the_accelerator,)
    return {"cnn": cnn, "host": dict.fromkeys(sorted(SIMPLE | EXPONENTIAL), left)}


MAX78000 = support(has_one_group)
MAX78002 = support(has_one_group_or_is_depthwise, pads_few_channels_in_one_dimension)

HINTS: dict[Constraint, str] = {
    has_constant_weights: "products of two computed tensors have no place on the accelerator; replace them",
    has_narrow_weights: "cost the network at 8 bits, or quantize it with scheme int8-pow2",
    has_one_group: "use one group, or take MAX78002 for depthwise convolutions",
    has_one_group_or_is_depthwise: "use one group, or a depthwise convolution followed by a 1x1 convolution",
    has_small_kernel: "use 3x3 kernels in sequence: two reach as far as one of 5x5",
    has_dilation_in_one_dimension: "use dilation 1 and more layers",
    has_padding_on_both_sides: "pad both sides alike, by 0, 1 or 2",
    has_one_stride: "use the same stride along both axes",
    thins_few_channels: "put a pooling with stride 2 in front of the convolution instead of its stride",
    pads_few_channels_in_one_dimension: "use no padding there, or at most 64 input channels",
    has_channels: "use fewer channels",
    has_rows: "use a smaller input",
    has_bias_of_few_channels: "leave the bias away, or use fewer outputs",
    has_one_row: "use a 1x1 convolution for products with many rows",
    flattens_little: "pool in front of the fully connected layer",
    tensors_fit_data_memories: "use a smaller input, or fold it into channels (space to depth); streaming of "
    "larger ones is not modelled",
    weights_fit_processors: "use narrower weights (4, 2 or 1 bits) or fewer outputs",
}
DEMANDS: dict[Constraint, Demand] = {
    tensors_fit_data_memories: lambda layer, arch: (
        largest_share_bytes(layer),
        arch.size_bytes("data_instance"),
        "bytes",
    ),
    weights_fit_processors: lambda layer, arch: (
        weight_words(layer),
        arch.core("cnn").rate("weight_words"),
        "words of 72 bits",
    ),
    has_channels: lambda layer, arch: (
        most_channels(layer),
        arch.core("cnn").rate("max_channels"),
        "channels",
    ),
    has_rows: lambda layer, arch: (most_rows(layer), arch.core("cnn").rate("max_rows"), "rows or columns"),
    has_bias_of_few_channels: lambda layer, arch: (
        0 if layer.bias is None else layer.bias.elements,
        arch.core("cnn").rate("max_bias_channels"),
        "biases",
    ),
}
