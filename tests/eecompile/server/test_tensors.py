from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy

from eecompile.server.contract import TensorSpec
from eecompile.server.refusal import NotServedError
from eecompile.server.tensors import DTYPES, datatype_of, from_bytes, from_json, spec_of, to_json

ARRAYS = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda name: of_numpy.arrays(
        DTYPES[name],
        of_numpy.array_shapes(min_dims=1, max_dims=4, max_side=3),
        elements={"allow_nan": False, "allow_infinity": False} if name.startswith("FP") else None,
    )
)


@given(ARRAYS, st.booleans())
def test_values_travel_unchanged_as_json_and_as_bytes(values: Any, nested: bool) -> None:
    dtype = DTYPES[datatype_of(values)]
    assert dtype == values.dtype
    listed = values.tolist() if nested else to_json(values)
    np.testing.assert_array_equal(from_json("x", listed, dtype, values.shape), values)
    np.testing.assert_array_equal(from_bytes("x", values.tobytes(), dtype, values.shape), values)


def test_names_are_those_of_the_protocol_and_bytes_little_endian() -> None:
    assert len(DTYPES) == 12 and datatype_of(np.zeros(1, ">f4")) == "FP32"
    assert from_bytes("x", b"\x01\x00", DTYPES["INT16"], [1]).tolist() == [1]


def test_what_json_has_not_is_null() -> None:
    assert to_json(np.array([1.5, np.nan, np.inf, -np.inf], np.float32)) == [1.5, None, None, None]


@pytest.mark.parametrize(
    ("values", "dtype", "message"),
    [
        ([1, 2], "FP32", "2 values; shape"),
        ([1e39, 0, 0], "FP32", "too large"),
        ([float("nan"), 0, 0], "FP32", "too large"),
        ([-1, 0, 0], "UINT8", "its type cannot"),
        ([2**70, 0, 0], "INT64", "no numbers|its type cannot"),
        ([2**63, 0, 0], "INT64", "no numbers|its type cannot"),
        ([2**63, -1, 0], "UINT64", "no list of numbers"),
        ([1.0, 0.0, 0.0], "UINT8", "no numbers of its type"),
        ([1.0, 0.0, 0.0], "INT64", "no numbers of its type"),
        ([1, 0, 0], "BOOL", "no numbers of its type"),
        (["1", "2", "3"], "FP32", "no numbers of its type"),
        ([{}, [], 0], "FP32", "no list|no numbers"),
    ],
)
def test_values_that_a_type_cannot_hold(values: Any, dtype: str, message: str) -> None:
    with pytest.raises(NotServedError, match=message):
        from_json("x", values, DTYPES[dtype], [3])


def test_inputs_are_known_by_name_and_take_their_types() -> None:
    specs = (TensorSpec("x", ("UINT8", "FP32"), (-1, 3)), TensorSpec("y", ("INT64",), (-1,)))
    assert spec_of("x", "FP32", [1, 3], specs) == np.float32
    for name, datatype, shape, message in (
        ("z", "FP32", [1], "no input 'z'; inputs: x, y"),
        ("y", "FP32", [1], "'y' is INT64, not FP32"),
        ("x", "FP32", [1] * 17, "17 axes"),
    ):
        with pytest.raises(NotServedError, match=message):
            spec_of(name, datatype, shape, specs)
