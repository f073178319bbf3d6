"""What the accelerator does for a layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from targets.max78000.jobs import input_map, is_signal, jobs_of, padding_of, passes_of, workspace_bytes
from targets.max78000.latency import Job
from targets.network.layer import Layer, LoopDims, Operand
from targets.testing.conformance import sample_layer
from tests.targets.networks import linear_layer, square


def padded(dims: LoopDims) -> LoopDims:
    return replace(dims, pad_top=1, pad_left=1, pad_bottom=1, pad_right=1)


def conv(**changes: int) -> Layer:
    """A 3 x 3 convolution of 16 channels on 32 x 32, padded by 1."""
    return linear_layer(replace(padded(square(16, 16, 32, 3)), **changes))


def signal(channels: int, length: int, outputs: int, kernel: int, pad: int = 0, dilation: int = 1) -> Layer:
    out = length + 2 * pad - (kernel - 1) * dilation
    dims = LoopDims(1, 1, outputs, channels, 1, out, 1, kernel, 1, length, 1, 1, 1, dilation, 0, pad, 0, pad)
    layer = linear_layer(dims)
    sizes = Operand("x", (1, channels, length), 8), Operand("y", (1, outputs, out), 8)
    return replace(layer, inputs=sizes[:1], outputs=sizes[1:])


def pooled(layer: Layer, window: int) -> Layer:
    """Put a pooling in front of a convolution."""
    assert layer.dims is not None
    size = layer.dims.iy * window
    front = LoopDims(1, 16, 1, 1, layer.dims.iy, layer.dims.ix, window, window, size, size, window, window)
    return replace(layer, front=front, inputs=(Operand("x", (1, 16, size, size), 8),))


@given(
    size=st.integers(1, 20),
    kernel=st.sampled_from([1, 2, 3]),
    stride=st.integers(1, 4),
    begin=st.integers(0, 2),
    end=st.integers(0, 2),
)
def test_outputs_at_a_stride_are_among_those_at_stride_one(
    size: int, kernel: int, stride: int, begin: int, end: int
) -> None:
    assume(size + begin + end >= kernel)
    out = (size + begin + end - kernel) // stride + 1
    pad = padding_of(size, out, kernel, stride, begin)
    assume(pad is not None)
    assert pad is not None
    x, w = np.arange(1, size + 1), np.arange(2, kernel + 2)

    whole = np.correlate(np.pad(x, pad), w)
    kept = whole[pad - begin :: stride]
    assert np.array_equal(kept, np.correlate(np.pad(x, (begin, end)), w)[::stride])
    assert -(-len(whole) // stride) == len(kept), "the reader counts as many"


@pytest.mark.parametrize(
    ("numbers", "padding"),
    [
        ((32, 16, 3, 2, 1), 1),
        ((32, 16, 3, 2, 0), 1),
        ((32, 15, 3, 2, 0), 0),
        ((25, 13, 3, 2, 1), 1),
        ((32, 32, 3, 1, 1), 1),
        ((32, 34, 3, 1, 2), 2),
        ((32, 33, 3, 1, 2), None),
        ((32, 31, 3, 1, 0), None),
        ((32, 34, 1, 1, 1), None),
    ],
    ids=[
        "PyTorch",
        "TensorFlow",
        "valid",
        "odd",
        "same",
        "full",
        "more above",
        "more below",
        "beyond the kernel",
    ],
)
def test_padding_is_alike_on_both_sides(numbers: tuple[int, int, int, int, int], padding: int | None) -> None:
    assert padding_of(*numbers) == padding


def test_a_convolution_is_one_job_with_the_pooling_in_front() -> None:
    assert jobs_of(conv()) == (Job(32, 32, 1, 16, (3, 3), (1, 1)),)
    assert jobs_of(pooled(conv(), 2)) == (Job(64, 64, 1, 16, (3, 3), (1, 1), (2, 2), 2),)
    wide = linear_layer(square(16, 200, 8, 1))
    assert jobs_of(wide) == (Job(8, 8, 4, 16),)
    deep = linear_layer(square(96, 96, 8, 1, groups=96))
    assert jobs_of(deep) == (Job(8, 8, 2, 96, depthwise=True),)


def test_a_stride_is_skipped_by_a_single_weight_and_thinned_out_behind_others() -> None:
    single = linear_layer(square(32, 16, 16, 1, 2))
    assert jobs_of(single) == (Job(32, 32, 1, 32, pool_stride=2),)
    assert jobs_of(pooled(single, 2)) == (Job(64, 64, 1, 32, pool=(2, 2), pool_stride=4),)
    assert workspace_bytes(single) == 0
    wide = conv(oy=16, ox=16, stride_y=2, stride_x=2)
    first, second = jobs_of(wide)
    assert first == Job(32, 32, 1, 16, (3, 3), (1, 1))
    assert second == Job(32, 32, 1, 16, pool_stride=2, convolves=False)
    assert second.written == (16, 16) and workspace_bytes(wide) == 32 * 32 * 16


def test_signals_have_one_column_and_long_dilations_as_many_as_they_skip() -> None:
    assert jobs_of(signal(128, 126, 64, 3, 1)) == (Job(126, 1, 2, 64, (3, 1), (1, 0)),)
    assert jobs_of(signal(8, 50, 4, 3, dilation=4)) == (Job(50, 1, 1, 4, (9, 1)),)
    assert jobs_of(signal(5, 211, 11, 3, dilation=7)) == (Job(31, 7, 1, 11, (3, 3), (1, 1)),)


def test_an_image_pooled_to_one_row_is_no_signal() -> None:
    row = linear_layer(LoopDims(1, 1, 4, 16, 1, 8, 1, 1, 1, 8))
    assert is_signal(row)
    front = LoopDims(1, 16, 1, 1, 1, 8, 2, 1, 2, 8, 2, 2)
    image = replace(row, front=front, inputs=(Operand("x", (1, 16, 2, 8), 8),))
    assert not is_signal(image) and jobs_of(image)[0].rows == 2


def test_fully_connected_layers_are_single_weights() -> None:
    vector = linear_layer(square(10, 64, 1, 1), "Gemm")
    assert jobs_of(vector) == (Job(1, 1, 1, 10),)
    image = replace(vector, inputs=(Operand("x", (1, 16, 2, 2), 8),))
    assert jobs_of(image) == (Job(2, 2, 1, 10, flatten=True),)
    front = LoopDims(1, 64, 1, 1, 1, 1, 8, 8, 8, 8, 8, 8)
    averaged = replace(vector, front=front, inputs=(Operand("x", (1, 64, 8, 8), 8),))
    assert jobs_of(averaged) == (Job(8, 8, 1, 10, pool=(8, 8), pool_stride=8),)


def test_pools_and_sums_pass_through_unless_an_activation_needs_a_convolution() -> None:
    pool = sample_layer("MaxPool")
    assert jobs_of(pool) == (Job(8, 8, 1, 16, pool=(2, 2), pool_stride=2, convolves=False),)
    added = sample_layer("Add", channels=128)
    assert jobs_of(added) == (Job(8, 8, 2, 128, operands=2, convolves=False),)
    assert jobs_of(replace(added, activation=True)) == (Job(8, 8, 2, 128, operands=2),)


def test_other_layers_have_no_job() -> None:
    for layer in (sample_layer("Softmax"), replace(conv(), weight=None)):
        with pytest.raises(ValueError, match="is not for the accelerator"):
            jobs_of(layer)
    with pytest.raises(ValueError, match="is padded as the accelerator cannot"):
        jobs_of(conv(pad_top=0, pad_bottom=2))


def test_tensors_of_any_rank_have_rows_and_columns() -> None:
    shapes = {(1, 5): (5, 1, 1), (1, 5, 7): (5, 7, 1), (1, 5, 7, 9): (5, 7, 9), (4,): (1, 1, 1)}
    for shape, expected in shapes.items():
        assert input_map(replace(conv(), inputs=(Operand("x", shape, 8),))) == expected
    assert [passes_of(channels) for channels in (1, 64, 65, 1024)] == [1, 1, 2, 16]
