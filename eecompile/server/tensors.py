"""Tensors of the protocol: names of types, and values from JSON or from bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from eecompile.server.contract import Array, TensorSpec
from eecompile.server.refusal import malformed

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    **{f"{sign}INT{bits}": np.dtype(f"<{'u' if sign else 'i'}{bits // 8}")
       for sign in ("", "U") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)},
}  # fmt: skip
"""numpy's types of the protocol's names; little-endian, as bytes travel."""
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_MOST_AXES = 16


def datatype_of(values: Array) -> str:
    """Return the protocol's name of an array's type."""
    return _NAMES[values.dtype.newbyteorder("<")]


def spec_of(name: str, datatype: str, shape: Sequence[int], inputs: Sequence[TensorSpec]) -> np.dtype[Any]:
    """Return the type of a tensor that a client sends; raises NotServedError where no input takes it."""
    wanted = next((spec for spec in inputs if spec.name == name), None)
    if wanted is None:
        raise malformed(f"there is no input '{name}'; inputs: {', '.join(spec.name for spec in inputs)}")
    if datatype not in wanted.datatypes:
        raise malformed(f"input '{name}' is {' or '.join(wanted.datatypes)}, not {datatype[:20]}")
    if len(shape) > _MOST_AXES:
        raise malformed(f"input '{name}' has {len(shape)} axes; it takes shape {list(wanted.shape)}")
    return DTYPES[datatype]


def from_json(name: str, values: Any, dtype: np.dtype[Any], shape: Sequence[int]) -> Array:
    """Return the array of a list of numbers, flat or nested, row by row.

    Raises:
        NotServedError: No such list, another number of values, or values that the type cannot hold.
    """
    try:
        found = np.array(values)
        if dtype.kind == "u" and found.dtype.kind == "f":  # so numpy has 0 and 2**63 beside each other
            whole = np.array(values, object)
            found = whole.astype(dtype) if all(type(value) is int for value in whole.flat) else found
    except (ValueError, OverflowError, RecursionError):
        raise malformed(f"the data of '{name}' are no list of numbers, all rows alike") from None
    allowed = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}[dtype.kind]
    if found.size and found.dtype.kind not in allowed:
        raise malformed(f"the data of '{name}' are no numbers of its type")
    with np.errstate(over="ignore", invalid="ignore"):
        cast = found.astype(dtype)
    if dtype.kind == "f" and not np.isfinite(cast).all():
        raise malformed(f"the data of '{name}' hold numbers too large for its type")
    if dtype.kind in "iu" and not np.array_equal(cast, found):
        raise malformed(f"the data of '{name}' hold numbers that its type cannot")
    return _shaped(name, cast, shape)


def from_bytes(name: str, data: bytes | memoryview, dtype: np.dtype[Any], shape: Sequence[int]) -> Array:
    """Return the array of raw bytes; raises NotServedError where the shape has more or fewer."""
    wanted = math.prod(shape) * dtype.itemsize
    if len(data) != wanted:
        raise malformed(f"'{name}' has {len(data)} bytes; shape {list(shape)} has {wanted}")
    return np.frombuffer(data, dtype).reshape(shape)


def _shaped(name: str, values: Array, shape: Sequence[int]) -> Array:
    if values.size != math.prod(shape):
        raise malformed(f"'{name}' has {values.size} values; shape {list(shape)} has {math.prod(shape)}")
    return values.reshape(shape)


def to_json(values: Array) -> list[Any]:
    """Return the values, flat; NaN, which JSON does not have, is null, and so are infinities."""
    flat: list[Any] = values.ravel().tolist()
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return [value if math.isfinite(value) else None for value in flat]
    return flat
