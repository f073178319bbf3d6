"""Quantization schemes: which integer grids the operands of a layer may use."""

from __future__ import annotations

from dataclasses import dataclass

from passes.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Scheme:
    """The numbers a core computes with.

    Attributes:
        name: Name in options and target descriptions.
        weight_low: Smallest weight integer.
        weight_high: Largest weight integer.
        activation_low: Smallest activation integer, counted from the zero point.
        activation_high: Largest activation integer, counted from the zero point.
        bias_bits: Width of the bias, on the grid input scale x weight scale.
        power_of_two: Scales are powers of two, so requantization is a shift.
        per_channel: Weights have one scale per output channel.
    """

    name: str
    weight_low: int
    weight_high: int
    activation_low: int
    activation_high: int
    bias_bits: int
    power_of_two: bool
    per_channel: bool


SCHEMES: dict[str, Scheme] = {
    s.name: s
    for s in (
        Scheme("int8-pow2", -128, 127, -128, 127, 32, True, False),
        Scheme("int8-channel", -127, 127, -128, 127, 32, False, True),
        Scheme("ternary-pow2", -1, 1, -64, 63, 32, True, False),
    )
}
DEFAULT_SCHEME = "int8-pow2"

# Activations and weights are stored as uint8 around zero point 128: the same numbers as int8 around 0,
# and the form onnxruntime computes fast and exactly on every x86. With int8 weights its kernels for
# processors without VNNI add pairs of products in 16 bits, which saturate.
ZERO_POINT = 128


def scheme(name: str) -> Scheme:
    """Return the scheme called ``name``; raises InputError with a suggestion."""
    if name not in SCHEMES:
        raise InputError(f"unknown quantization scheme '{name}'", did_you_mean(name, SCHEMES))
    return SCHEMES[name]
