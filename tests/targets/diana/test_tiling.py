from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from targets.diana.tiling import elementwise_traffic, linear_traffic, padding_bytes, stored_bytes
from targets.network.layer import Operand
from tests.targets.networks import linear_layer, loops, square

L1, WEIGHTS = 262144, 65536


def test_a_small_layer_moves_every_operand_once() -> None:
    traffic = linear_traffic(linear_layer(square(32, 16, 16, 3)), L1, WEIGHTS)
    assert traffic is not None
    assert (traffic.input_bytes, traffic.output_bytes) == (16 * 256, 32 * 256)
    assert traffic.weight_bytes == 32 * 16 * 9 + 32 * 4
    assert (traffic.calls, traffic.jobs, traffic.partial_sum_bytes) == (3, 1, 0)


def test_weights_are_padded_to_16_channels() -> None:
    traffic = linear_traffic(linear_layer(square(10, 64, 1, 1), "Gemm"), L1, WEIGHTS)
    assert traffic is not None and traffic.weight_bytes == 16 * 64 + 16 * 4


def test_tensors_are_padded_to_words() -> None:
    layer = linear_layer(square(2, 3, 5, 3))
    assert (layer.input_bytes, layer.output_bytes) == (75, 50)
    traffic = linear_traffic(layer, L1, WEIGHTS)
    assert traffic is not None and (traffic.input_bytes, traffic.output_bytes) == (76, 52)
    assert padding_bytes(layer) == 1 + 2
    depthwise = linear_layer(square(3, 3, 5, 3, groups=3))
    traffic = linear_traffic(depthwise, L1, WEIGHTS)
    assert traffic is not None and (traffic.input_bytes, traffic.output_bytes) == (76, 76)
    both = replace(layer, inputs=(Operand("a", (5,), 8), Operand("b", (9,), 4)))
    assert elementwise_traffic(both, L1).input_bytes == 8 + 8
    assert stored_bytes([]) == 0


def test_rows_shared_by_tiles_are_read_twice() -> None:
    layer = linear_layer(replace(square(16, 16, 112, 3), pad_top=1, pad_bottom=1, pad_left=1, pad_right=1))
    traffic = linear_traffic(layer, L1, WEIGHTS)
    assert traffic is not None
    row = 16 * 112
    # 72 output rows need 73 input rows: 145 rows of 1,792 bytes fit 262,144; the rest is a second tile.
    assert traffic.jobs == 2 and traffic.calls == 2 + 1 + 2
    assert traffic.input_bytes == layer.input_bytes + 2 * row


def test_large_weights_come_in_pieces_of_channels() -> None:
    traffic = linear_traffic(linear_layer(square(64, 256, 4, 3)), L1, WEIGHTS)
    # 16 channels are 36,864 bytes, so the 64 kB memory takes one block at a time.
    assert traffic is not None and traffic.jobs == 4 and traffic.calls == 1 + 4 + 1
    assert traffic.partial_sum_bytes == 0


def test_too_many_input_channels_park_partial_sums() -> None:
    traffic = linear_traffic(linear_layer(square(16, 512, 4, 3)), L1, WEIGHTS)
    # 16 * 512 * 9 = 73,728 bytes: two pieces of input channels; 256 int32 sums are written and read once.
    assert traffic is not None and traffic.jobs == 2 and traffic.partial_sum_bytes == 2 * 256 * 4
    head = linear_traffic(linear_layer(loops(10, 5120, 1, 1, 1, 1), "Gemm"), L1, WEIGHTS)
    assert head is not None and head.jobs == 2 and head.partial_sum_bytes == 0, (
        "one pixel stays in the accumulators"
    )


def test_parked_sums_take_their_room_in_l1() -> None:
    layer = linear_layer(square(16, 512, 4, 3))
    tensors = 512 * 16 + 16 * 16
    whole = linear_traffic(layer, tensors + 16 * 16 * 4, WEIGHTS)
    assert whole is not None and whole.jobs == 2
    cut = linear_traffic(layer, tensors, WEIGHTS)
    # Two rows need all 4 rows of inputs and 128 + 512 bytes; one needs 3 rows and 64 + 256 bytes.
    assert cut is not None and cut.jobs == 4 * 2
    assert cut.weight_bytes == 4 * whole.weight_bytes and cut.calls == 4 + 4 * 2 + 4, (
        "the sums of one row are finished before the next, so weights come again"
    )
    pixel = linear_traffic(linear_layer(loops(16, 5120, 1, 1, 1, 1)), 5120 + 16, WEIGHTS)
    assert pixel is not None and pixel.jobs == 2, "one pixel needs no room for sums"


def test_pieces_of_weights_that_stay_write_their_own_outputs() -> None:
    layer = linear_layer(square(1024, 16, 16, 3))
    traffic = linear_traffic(layer, L1, WEIGHTS)
    # 15 output rows of 16,384 bytes fit: two tiles; 64 blocks of 2,304 bytes are 3 pieces of weights.
    assert traffic is not None and traffic.jobs == 2 * 3
    assert traffic.weight_bytes == layer.weight_bytes, "the weights stay"
    assert traffic.calls == 2 * 3 + 3 + 2 * 3, "per piece and tile one input and one output"
    assert traffic.output_bytes == stored_bytes(layer.outputs)


def test_the_cheaper_loop_order_is_taken() -> None:
    layer = linear_layer(square(256, 256, 48, 3))
    traffic = linear_traffic(layer, L1, WEIGHTS)
    assert traffic is not None and traffic.jobs > 16
    once = linear_traffic(layer, 1 << 30, WEIGHTS)
    assert once is not None and (
        traffic.input_bytes == once.input_bytes or traffic.weight_bytes > once.weight_bytes
    )


def test_a_row_that_does_not_fit_is_told() -> None:
    assert linear_traffic(linear_layer(square(64, 64, 32, 3)), 1000, WEIGHTS) is None
    assert linear_traffic(linear_layer(square(64, 64, 32, 3, groups=64)), 1000, WEIGHTS) is None


def test_depthwise_is_one_job_per_channel() -> None:
    traffic = linear_traffic(linear_layer(square(64, 64, 32, 3, groups=64)), L1, WEIGHTS)
    assert traffic is not None and traffic.jobs == 64
    assert traffic.weight_bytes == 64 * 16 * (9 + 4), "weights and bias are padded 16 times"
    assert traffic.calls == 2 + 64


@given(
    st.integers(1, 64),
    st.integers(1, 64),
    st.integers(1, 48),
    st.sampled_from((1, 3, 7)),
    st.integers(4096, 65536),
)
def test_tiling_moves_at_least_every_operand_once(k: int, c: int, size: int, kernel: int, l1: int) -> None:
    layer = linear_layer(square(k, c, size, kernel))
    traffic = linear_traffic(layer, l1, 4096)
    if traffic is None:
        return
    assert traffic.input_bytes >= stored_bytes(layer.inputs)
    assert traffic.weight_bytes >= layer.weight_bytes
    assert traffic.output_bytes == stored_bytes(layer.outputs)
    roomy = linear_traffic(layer, 1 << 30, 4096)
    assert roomy is not None and roomy.calls <= traffic.calls, "a larger L1 never needs more calls"


def test_elementwise_pieces() -> None:
    layer = linear_layer(square(16, 16, 32, 1))
    two = replace(layer, inputs=(layer.inputs[0], Operand("z", layer.inputs[0].shape, 8)))
    assert elementwise_traffic(two, L1).calls == 3
    assert elementwise_traffic(two, 30000).calls == 2 * 3
