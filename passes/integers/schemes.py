"""Quantization schemes: what the numbers of a core are, by name."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from passes.errors import InputError, did_you_mean
from passes.number_formats import HALF_UP, MULTIPLIED, InMemoryArray, Levels, Precision, Requantization


@dataclass(frozen=True)
class Scheme:
    """The numbers a core computes with.

    Attributes:
        name: Name in target descriptions.
        weights: Of linear layers.
        activations: Of what a layer reads and of what it writes.
        bias_bits: Width of the bias, on the grid input scale x weight scale.
        accumulator_bits: Width of partial sums.
        requantization: How sums become results on the core.
        array: The analog array it computes in, if it is one.
    """

    name: str
    weights: Levels
    activations: Levels
    bias_bits: int = 32
    accumulator_bits: int = 32
    requantization: Requantization = MULTIPLIED
    array: InMemoryArray | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that no node can have, where they are declared.

        Raises:
            ValueError: As `Precision` has it.
        """
        self.precision(weighted=True)

    def precision(self, weighted: bool) -> Precision:
        """Return the precision of a node that runs on such a core."""
        return Precision(
            self.weights if weighted else None,
            self.activations,
            self.activations,
            self.bias_bits,
            self.accumulator_bits,
            self.requantization,
            self.array if weighted else None,
        )


# Widths of weights with one free step per channel.
CHANNEL_BITS = (8, 7, 6, 5, 4, 3, 2)


def _signed(bits: int) -> Levels:
    """Return as many integers on both sides of 0 as ``bits`` hold, one step per channel."""
    high = 2 ** (bits - 1) - 1
    return Levels(-high, high, bits, per_channel=True)


_BYTES_POW2 = Levels(-128, 127, 8, power_of_two=True)
_BYTES = Levels(-128, 127, 8)
# DIANA's public compiler (HTVM of KU Leuven, `onnx_transform.py`: div, floor, max, min become right_shift and
# clip, behind the converter of the array too) cuts the places off that it shifts out. With half of what the
# shift divides by added to the bias, which costs nothing, that is half up: the declaration here.
_SHIFTS = Requantization(multiplier_bits=0, shift_bits=31, rounding=HALF_UP)

# Rows, converter and widths: Ueyoshi et al., "DIANA", ISSCC 2022, and its public compiler. The noise of a
# conversion is drawn by KU Leuven's quantization tool with 1/25 of the value: 20 log10(25) = 28 dB.
DIANA_ARRAY = InMemoryArray(1152, Levels(-32, 31, 6, power_of_two=True), 16, 20 * math.log10(25))

SCHEMES: dict[str, Scheme] = {
    s.name: s
    for s in (
        Scheme("int8-pow2", _BYTES_POW2, _BYTES_POW2, requantization=_SHIFTS),
        *(Scheme(f"int{bits}-channel", _signed(bits), _BYTES) for bits in CHANNEL_BITS),
        # activations as LiteRT and onnxruntime have them: a byte with a zero point anywhere in it
        Scheme("uint8-channel", _signed(8), replace(_BYTES, symmetric=False)),
        # 7-bit values lie in memory as bytes; the step of a channel's weights is taken up by its affine
        Scheme(
            "ternary-analog",
            Levels(-1, 1, 2, per_channel=True),
            Levels(-64, 63, 8, power_of_two=True),
            requantization=_SHIFTS,
            array=DIANA_ARRAY,
        ),
    )
}

# Activations and weights are stored as uint8 around zero point 128: the same numbers as int8 around 0,
# and the form onnxruntime computes fast and exactly on every x86. With int8 weights its kernels for
# processors without VNNI add pairs of products in 16 bits, which saturate.
ZERO_POINT = 128


def scheme(name: str) -> Scheme:
    """Return the scheme called ``name``; raises InputError with a suggestion."""
    if name not in SCHEMES:
        raise InputError(f"unknown quantization scheme '{name}'", did_you_mean(name, SCHEMES))
    return SCHEMES[name]
