"""What the accelerator does for a layer: which jobs, one after another."""

from __future__ import annotations

from passes.operator_sets import GLOBAL_POOLS, WINDOW_POOLS
from targets.cost.layer_cost import ceil_div
from targets.max78000.latency import Job
from targets.network.layer import Layer, LoopDims

PROCESSORS = 64
"""Input channels that are worked on at once, each by a processor of its own."""
MAX_KERNEL_1D = 9
DILATED_KERNEL = 3
"""Longest one-dimensional kernel of any dilation."""
PADDINGS = (0, 1, 2)
PRODUCTS = frozenset({"Conv", "Gemm", "MatMul"})
SUMS = frozenset({"Add", "Sub"})


def passes_of(channels: int) -> int:
    """Return how often the 64 processors go over ``channels``."""
    return ceil_div(channels, PROCESSORS)


def in_one_dimension(dims: LoopDims) -> bool:
    """Whether a convolution or pooling has one spatial axis."""
    return dims.iy == dims.fy == dims.oy == 1


def input_map(layer: Layer) -> tuple[int, int, int]:
    """Return channels, rows and columns of the first input; a vector is one position, a signal one column."""
    channels, *sizes = layer.inputs[0].shape[1:] or (1,)
    rows, columns = (*sizes, 1, 1)[:2]
    return channels, rows, columns


def is_signal(layer: Layer) -> bool:
    """Whether a convolution, with a pooling in front of it, has one spatial axis."""
    found = [dims for dims in (layer.dims, layer.front) if dims is not None]
    return bool(found) and all(in_one_dimension(dims) for dims in found)


def stretched(dims: LoopDims) -> int:
    """Return the length of a one-dimensional kernel with the zeros that dilation puts between."""
    return (dims.fx - 1) * dims.dilation_x + 1


def folds(layer: Layer) -> bool:
    """Whether a dilated one-dimensional convolution runs on its signal folded into ``dilation`` columns."""
    dims = layer.dims
    return dims is not None and is_signal(layer) and dims.dilation_x > 1 and stretched(dims) > MAX_KERNEL_1D


def padding_of(size: int, out: int, kernel: int, stride: int, begin: int) -> int | None:
    """Return the padding on both sides from whose outputs at stride 1 those of ``stride`` can be picked.

    The chip pads both sides alike and has stride 1. Every ``stride``-th output is kept by who reads it next,
    from ``padding - begin`` on; all that are read so must be those asked for.

    Args:
        size: Of the input.
        out: Of the output at ``stride``.
        kernel: Width of the kernel.
        stride: What is asked for.
        begin: Zeros before the first input.

    Returns:
        The padding; ``None`` where there is none.
    """
    for pad in PADDINGS:
        made, first = size + 2 * pad - kernel + 1, pad - begin
        fits = first >= 0 and first + stride * (out - 1) < made and (made - 1) // stride + 1 == out
        if fits and pad < kernel:
            return pad
    return None


def paddings(layer: Layer) -> tuple[int, int] | None:
    """Return rows and columns of zeros for a convolution; ``None`` as in :func:`padding_of`."""
    dims = layer.dims
    if dims is None:
        return None
    width = stretched(dims) if is_signal(layer) else dims.fx
    across = padding_of(dims.ix, dims.ox, width, dims.stride_x, dims.pad_left)
    down = padding_of(dims.iy, dims.oy, dims.fy, dims.stride_y, dims.pad_top)
    return None if across is None or down is None else (down, across)


def thins_later(dims: LoopDims) -> bool:
    """Whether a convolution is computed at stride 1 and thinned out afterwards, in a job of its own.

    A kernel of one element needs that not: the pooling unit, with a window of one, skips what it reads.
    """
    return max(dims.stride_y, dims.stride_x) > 1 and max(dims.fy, dims.fx) > 1


def first_job(layer: Layer) -> Job | None:
    """Return what the accelerator does first for a layer; ``None`` where it has no job for such a layer."""
    try:
        return jobs_of(layer)[0]
    except ValueError:
        return None


def jobs_of(layer: Layer) -> tuple[Job, ...]:
    """Return the jobs of a layer that the accelerator takes by its rules.

    Raises:
        ValueError: The accelerator has no job for such a layer.
    """
    if layer.op_type in PRODUCTS and layer.dims is not None and layer.weight is not None:
        return _convolution(layer, layer.dims) if layer.op_type == "Conv" else (_fully_connected(layer),)
    if layer.op_type in WINDOW_POOLS | GLOBAL_POOLS and layer.dims is not None:
        return (_pooling(layer, layer.dims),)
    if layer.op_type in SUMS:
        channels, rows, columns = input_map(layer)
        # Only a convolution has an activation behind it: here one that changes nothing, of single weights.
        return (Job(rows, columns, passes_of(channels), channels, operands=2, convolves=layer.activation),)
    raise ValueError(f"layer '{layer.name}' ({layer.op_type}) is not for the accelerator")


def _window(dims: LoopDims) -> tuple[tuple[int, int], int]:
    """Return window and stride of a pooling."""
    if in_one_dimension(dims):
        return (dims.fx, 1), dims.stride_x
    return (dims.fy, dims.fx), dims.stride_y


def _map_of(layer: Layer, signal: bool) -> tuple[int, int, int]:
    """Return the first input as a job of one or two dimensions reads it: signals have one column."""
    channels, rows, columns = input_map(layer)
    return (channels, rows * columns, 1) if signal else (channels, rows, columns)


def _convolution(layer: Layer, dims: LoopDims) -> tuple[Job, ...]:
    channels, rows, columns = _map_of(layer, is_signal(layer))
    outputs, depthwise, passes = dims.g * dims.k, dims.depthwise, passes_of(channels)
    if folds(layer):
        step = dims.dilation_x
        return (Job(ceil_div(rows, step), step, passes, outputs, (3, 3), (1, 1), depthwise=depthwise),)
    pool, pool_stride = ((1, 1), 1) if layer.front is None else _window(layer.front)
    padding, kernel = paddings(layer), (dims.fy, dims.fx)
    if padding is None:
        raise ValueError(f"layer '{layer.name}' is padded as the accelerator cannot")
    if is_signal(layer):
        padding, kernel = (padding[1], 0), (stretched(dims), 1)
    if not thins_later(dims):
        pool_stride *= dims.stride_x
    made = Job(rows, columns, passes, outputs, kernel, padding, pool, pool_stride, depthwise=depthwise)
    if not thins_later(dims):
        return (made,)
    height, width = made.written
    thinned = Job(height, width, passes_of(outputs), outputs, pool_stride=dims.stride_x, convolves=False)
    return (made, thinned)


def _fully_connected(layer: Layer) -> Job:
    channels, rows, columns = input_map(layer)
    outputs = layer.outputs[0].elements
    if layer.front is not None:
        channels, rows, columns = _map_of(layer, in_one_dimension(layer.front))
        pool, stride = _window(layer.front)
        return Job(rows, columns, passes_of(channels), outputs, pool=pool, pool_stride=stride)
    return Job(rows, columns, passes_of(channels), outputs, flatten=rows * columns > 1)


def _pooling(layer: Layer, dims: LoopDims) -> Job:
    channels, rows, columns = _map_of(layer, in_one_dimension(dims))
    pool, stride = _window(dims)
    return Job(rows, columns, passes_of(channels), channels, pool=pool, pool_stride=stride, convolves=False)


def workspace_bytes(layer: Layer) -> int:
    """Return the bytes of what is computed at stride 1 before it is thinned out; 0 where nothing is."""
    if layer.op_type != "Conv" or layer.dims is None or not thins_later(layer.dims):
        return 0
    rows, columns = jobs_of(layer)[0].written
    return rows * columns * layer.dims.g * layer.dims.k
