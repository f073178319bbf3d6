"""What tensors and weights take of the memories of the accelerator."""

from __future__ import annotations

from dataclasses import replace

import pytest

from targets.max78000.memories import Block, block_of, tensor_bytes, words_needed
from targets.network.layer import Layer, Operand
from targets.testing.conformance import sample_layer
from tests.targets.max78000.test_jobs import conv, padded
from tests.targets.networks import linear_layer, square


def with_bits(layer: Layer, bits: int) -> Layer:
    assert layer.weight is not None
    return replace(layer, weight=replace(layer.weight, bits=bits))


@pytest.mark.parametrize(
    ("shape", "bits", "by_channel", "expected"),
    [
        ((1, 3, 32, 32), 8, False, 4096),
        ((1, 3, 32, 32), 8, True, 1024),
        ((1, 64, 32, 32), 8, False, 4096),
        ((1, 65, 32, 32), 8, False, 8192),
        ((1, 10), 32, False, 16),
        ((1, 128, 126), 8, False, 1008),
    ],
)
def test_a_tensor_takes_a_word_of_four_channels_a_pass(
    shape: tuple[int, ...], bits: int, by_channel: bool, expected: int
) -> None:
    assert tensor_bytes(Operand("x", shape, bits), by_channel) == expected


def test_weights_are_packed_into_words_of_nine() -> None:
    # 16 outputs of 3 x 3: a word each; of 1 x 1: nine to a word.
    assert block_of(conv()) == Block(16, 16)
    assert block_of(linear_layer(square(20, 6, 8, 1))) == Block(8, 3)
    assert block_of(linear_layer(padded(square(64, 128, 8, 3)))) == Block(64, 128), "two passes"
    assert block_of(linear_layer(padded(square(128, 128, 8, 3, groups=128)))) == Block(64, 2), "depthwise"


def test_narrow_weights_take_fewer_words() -> None:
    layer = linear_layer(padded(square(64, 64, 8, 3)))
    blocks = {bits: block_of(with_bits(layer, bits)) for bits in (1, 2, 4, 8)}
    assert blocks == {bits: Block(64, 8 * bits) for bits in (1, 2, 4, 8)}
    # Five kernels of 4 bits: the sixth place of the last byte is filled up.
    assert block_of(with_bits(linear_layer(padded(square(5, 64, 8, 3))), 4)) == Block(64, 3)


def test_flattening_has_a_weight_for_each_position() -> None:
    dense = replace(linear_layer(square(10, 192, 1, 1), "Gemm"), inputs=(Operand("x", (1, 12, 4, 4), 8),))
    assert block_of(dense) == Block(12, -(-160 // 9))


def test_only_convolutions_have_weights() -> None:
    assert block_of(sample_layer("MaxPool")) is None
    added = sample_layer("Add")
    assert block_of(added) is None
    assert block_of(replace(added, activation=True)) == Block(16, 2), "16 weights that change nothing"


def test_layers_share_processors_only_where_they_have_to() -> None:
    assert words_needed([]) == 0
    assert words_needed([Block(64, 10), Block(64, 10)]) == 12 + 10, "words begin at multiples of four"
    assert words_needed([Block(16, 100)] * 4) == 100, "four layers side by side"
    assert words_needed([Block(16, 100)] * 5) == 200
    assert words_needed([Block(48, 100), Block(16, 60), Block(16, 40)]) == 100


def test_the_networks_of_the_vendor_fit() -> None:
    """64 processors with 768 words: exactly twelve layers of 64 to 64 channels, not thirteen."""
    block = block_of(linear_layer(padded(square(64, 64, 8, 3))))
    assert block is not None
    assert words_needed([block] * 12) == 768 and words_needed([block] * 13) == 832
