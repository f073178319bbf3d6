"""From integer sums to integers of a grid, in two roundings, without a float.

`float32` numbers are integers times a power of two here. onnxruntime (MLAS) multiplies the sum, rounded to
float32, by a float32 and rounds the product to float32, then to an integer, half to even each time. Found by
experiment on x86 (AVX2 and AVX-512): QLinearConv, QGemm and QLinearGlobalAveragePool by that, QLinearAdd by
two fused multiply-adds: fma(a, ratio_a, fma(b, ratio_b, rest)). Products that `fold-qdq` writes as
MatMulInteger are multiplied by a float32, rounded, and divided by another.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from passes.errors import InputError
from passes.integers.program import Concatenation, Rescale, WindowAverage
from passes.number_formats import DOWN, HALF_AWAY, HALF_EVEN, HALF_UP, ONNXRUNTIME, Requantization

Array = np.ndarray[Any, Any]
SIGNIFICAND = 24
_FAR = 40  # places beyond which any integer saturates
_ROOM = 62


def parts(value: float | np.float32) -> tuple[int, int]:
    """Return (m, e) with value = m * 2^e, m odd or 0."""
    numerator, denominator = float(value).as_integer_ratio()
    if not numerator:
        return 0, 0
    trailing = (numerator & -numerator).bit_length() - 1
    return numerator >> trailing, trailing - (denominator.bit_length() - 1)


def to_significand(values: Array) -> Array:
    """Return int64 values rounded to 24 significant bits, half to even: what float32 makes of them."""
    if not values.size or np.abs(values).max() < 2**SIGNIFICAND:
        return values
    surplus = np.maximum(_bit_length(np.abs(values)) - SIGNIFICAND, 0)
    rounded: Array = _half_even(values, surplus) << surplus
    return rounded


def _bit_length(values: Array) -> Array:
    length, rest = np.zeros(values.shape, np.int64), values.copy()
    for step in (32, 16, 8, 4, 2, 1):
        high = rest >> step
        found = high > 0
        length += np.where(found, step, 0)
        rest = np.where(found, high, rest)
    bits: Array = length + (rest > 0)
    return bits


def _half_even(values: Array, places: Array) -> Array:
    """Return values / 2^places, half to even; ``places`` from 0 to 62."""
    quotient = values >> places
    rest = values - (quotient << places)
    half = np.where(places > 0, np.int64(1) << np.maximum(places - 1, 0), 1)
    up = (rest > half) | ((rest == half) & (quotient & 1 == 1))
    rounded: Array = quotient + np.where(places > 0, up, False)
    return rounded


def as_onnxruntime(sums: Array, rescale: Rescale, axis: int = 1) -> Array:
    """Return the integers that onnxruntime makes of int32 ``sums``, one factor for all or per ``axis``."""
    found = [parts(f) for f in rescale.factors]
    shape = [-1 if k == axis else 1 for k in range(sums.ndim)]
    significands = np.array([m for m, _ in found], np.int64).reshape(shape)
    powers = np.array([e for _, e in found], np.int64).reshape(shape)
    products = to_significand(to_significand(sums) * significands)
    if rescale.divisor is None:
        return bounded(to_integers(products, powers), rescale)
    divisor, power = parts(rescale.divisor)
    quotient, places = quotients(products, divisor)
    return bounded(to_integers(quotient, powers - power - places), rescale)


def quotients(products: Array, divisor: int) -> tuple[Array, Array]:
    """Return products / divisor times 2^places, rounded to 24 bits as float32 is, and the places.

    Dividends are shifted to 62 bits, so that quotients have more than 24 significant ones. What is lost below
    is kept as the lowest bit: it only decides ties.
    """
    sizes = np.abs(products)
    places = _ROOM - _bit_length(sizes)
    wide = sizes << places
    found = wide // divisor
    found |= found * divisor != wide
    rounded = to_significand(found)
    return np.where(products < 0, -rounded, rounded), places


def to_integers(products: Array, powers: Array) -> Array:
    """Return products * 2^powers rounded half to even; what lies far outside of any grid is only that."""
    small = np.where(powers < -_ROOM, 0, _half_even(products, np.clip(-powers, 0, _ROOM)))
    large = np.clip(products, -(2**16), 2**16) << np.clip(powers, 0, _FAR)
    found: Array = np.where(powers > 0, large, small)
    return found


def bounded(values: Array, rescale: Rescale) -> Array:
    """Return values on the grid: counted from its zero point and clipped."""
    found: Array = np.clip(values + rescale.zero, rescale.low, rescale.high)
    return found


def float32(value: Fraction) -> Fraction:
    """Return the float32 nearest to ``value``, half to even."""
    if not value:
        return value
    power = abs(value.numerator).bit_length() - value.denominator.bit_length() - SIGNIFICAND
    while abs(value) / Fraction(2) ** power >= 2**SIGNIFICAND:
        power += 1
    return round(value / Fraction(2) ** power) * Fraction(2) ** power


def addition_tables(
    name: str, zeros: tuple[int, int], rescale: Rescale, lowest: int = 0
) -> tuple[int, Array, int]:
    """Return (step of a, table of b [256], power).

    onnxruntime's sum is a·step + table[b - lowest], times 2^power. Both are exact; what is left to do is to
    round the sum to 24 bits, then to an integer.

    Raises:
        InputError: The ratios lie so far apart that sums do not fit into 62 bits.
    """
    a, b = (Fraction(float(f)) for f in rescale.factors)
    inner = float32(a * zeros[0] + float32(b * zeros[1]))
    rest = float32(rescale.zero - inner)
    table = [float32(value * b + rest) for value in range(lowest, lowest + 256)]
    depth = max(t.denominator.bit_length() - 1 for t in (a, *table))
    step, entries = int(a * 2**depth), [int(t * 2**depth) for t in table]
    if (255 * step + max(map(abs, entries))).bit_length() > _ROOM:
        raise InputError(
            f"the sums of '{name}' (Add) do not fit into {_ROOM} bits: its inputs have too different steps",
            "calibrate on more images, or leave this exit out",
        )
    return step, np.array(entries, np.int64), -depth


def fixed_point(name: str, ratios: tuple[Fraction, ...], rule: Requantization) -> tuple[list[int], list[int]]:
    """Return multipliers and divisors, one of each per ratio, as the core has them.

    Divisors are powers of two; of a core that only shifts, those of averages over other counts of values
    are not, which is a division.

    Raises:
        InputError: A step the core cannot reach by shifting: it is no power of two, or needs more places than
            there are, or its multiplier would be 0 where sums of 32 bits are not.
    """
    multipliers, divisors = [], []
    for ratio in ratios:
        if rule.multiplier_bits:
            shift = rule.shift_bits
            while shift and round(ratio * 2**shift).bit_length() > min(rule.multiplier_bits, 31):
                shift -= 1
            multiplier, divisor = round(ratio * 2**shift), 2**shift
        else:
            multiplier, divisor = ratio.numerator, ratio.denominator
            if multiplier & (multiplier - 1):
                raise InputError(
                    f"'{name}' only shifts on its core, and its steps are no powers of two apart",
                    "quantize with a scheme whose steps are powers of two",
                )
        lost = not multiplier and ratio * 2**31 >= Fraction(1, 2)
        if multiplier.bit_length() > 31 or _shift(divisor) > rule.shift_bits or lost:
            raise InputError(
                f"'{name}' cannot be requantized: its ratio of steps is {float(ratio):.3g}",
                "calibrate on more images",
            )
        multipliers.append(multiplier)
        divisors.append(divisor)
    return multipliers, divisors


def _shift(divisor: int) -> int:
    """Return by how many places a core shifts for ``divisor``; what is left of it divides."""
    return (divisor & -divisor).bit_length() - 1


def common_divisor(name: str, ratios: tuple[Fraction, ...], rule: Requantization) -> tuple[list[int], int]:
    """Return a multiplier per ratio and one divisor of all, for sums of several grids.

    Raises:
        InputError: As :func:`fixed_point`, or the ratios lie so far apart that sums do not fit into 62 bits.
    """
    largest = max(ratios)
    _, divisors = fixed_point(name, ratios if not rule.multiplier_bits else (largest,), rule)
    divisor = max(divisors)
    found = [round(ratio * divisor) for ratio in ratios]
    if (255 * sum(found)).bit_length() > _ROOM:
        raise InputError(
            f"'{name}' cannot be requantized: its inputs have steps too far apart",
            "calibrate on more images",
        )
    return found, divisor


def divided(values: Array, divisor: Array | int, rounding: str) -> Array:
    """Return values / divisor in the rounding of a core."""
    quotient: Array = values // np.asarray(divisor, np.int64)
    rest = values - quotient * divisor
    missing = divisor - rest
    over, tie = rest > missing, rest == missing
    up: Array = {
        DOWN: np.zeros(values.shape, bool),
        HALF_UP: over | tie,
        HALF_AWAY: over | (tie & (values >= 0)),
        HALF_EVEN: over | (tie & (quotient & 1 == 1)),
    }[rounding]
    found: Array = quotient + up
    return found


def as_target(name: str, sums: Array, rescale: Rescale, axis: int = 1) -> Array:
    """Return the integers that the core makes of int32 ``sums`` by multiplier and shift."""
    shape = [-1 if k == axis else 1 for k in range(sums.ndim)]
    multipliers, divisors = (
        np.array(v, np.int64).reshape(shape)
        for v in fixed_point(name, rescale.ratios, rescale.requantization)
    )
    return bounded(divided(sums * multipliers, divisors, rescale.requantization.rounding), rescale)


def concatenation_tables(op: Concatenation, rounding: str) -> list[Array]:
    """Return per tensor of a Concat what becomes of each of the 256 integers from ``op.lowest`` on."""
    if rounding == ONNXRUNTIME:
        return list(op.tables)
    every = np.arange(op.lowest, op.lowest + 256, dtype=np.int64)
    pairs = zip(op.zeros, op.rescales, strict=True)
    return [as_target(op.name, every - zero, rescale, axis=0) for zero, rescale in pairs]


def window_tables(op: WindowAverage, rounding: str) -> dict[int, Array]:
    """Return per number of positions what becomes of each sum from ``-255 * positions`` on."""
    if rounding == ONNXRUNTIME:
        return op.tables
    return {
        count: as_target(op.name, np.arange(-255 * count, 255 * count + 1, dtype=np.int64), rescale, axis=0)
        for count, rescale in op.rescales.items()
    }
