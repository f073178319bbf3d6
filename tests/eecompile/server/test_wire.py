from __future__ import annotations

import json

import numpy as np
import pytest

from eecompile.server.contract import TensorSpec
from eecompile.server.refusal import NotServedError
from eecompile.server.wire import read, write

INPUTS = (TensorSpec("a", ("FP32",), (-1, 2)), TensorSpec("b", ("INT64",), (-1,)))


def test_bytes_of_several_inputs_stand_behind_each_other_and_json_may_be_between() -> None:
    a, b = np.array([[1, 2]], np.float32), np.array([7])
    third = {"name": "c", "datatype": "FP32", "shape": [1], "data": [3.0]}
    head = json.dumps(
        {
            "inputs": [
                {"name": "b", "datatype": "INT64", "shape": [1], "parameters": {"binary_data_size": 8}},
                third,
                {"name": "a", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}},
            ]
        }
    ).encode()
    asked = read(
        head + b.tobytes() + a.tobytes(), str(len(head)), (*INPUTS, TensorSpec("c", ("FP32",), (-1,)))
    )
    assert asked.question.tensors["a"].tolist() == [[1, 2]]
    assert asked.question.tensors["b"].tolist() == [7] and asked.question.tensors["c"].tolist() == [3.0]
    with pytest.raises(NotServedError, match="none of the 7 bytes left"):
        read(head + b.tobytes()[:7], str(len(head)), (*INPUTS, TensorSpec("c", ("FP32",), (-1,))))


@pytest.mark.parametrize(
    ("more", "binary"),
    [
        ({}, set()),
        ({"parameters": {"binary_data_output": True}}, {"x", "y"}),
        ({"outputs": [{"name": "x"}, {"name": "y", "parameters": {"binary_data": True}}]}, {"y"}),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [{"name": "x", "parameters": {"binary_data": False}}, {"name": "y"}],
            },
            {"y"},
        ),
    ],
)
def test_outputs_are_bytes_where_they_are_wanted_so(more: dict[str, object], binary: set[str]) -> None:
    asked = read(json.dumps({"inputs": [], **more}).encode(), None, INPUTS)
    outputs = {"x": np.array([1, 2], np.float32), "y": np.array([[3], [4]])}
    body, length = write(asked, "m", "1", outputs)
    head = json.loads(body if length is None else body[:length])
    assert {one["name"] for one in head["outputs"] if "data" not in one} == binary
    assert (length is None) == (not binary) and "id" not in head
    behind = b"" if length is None else body[length:]
    assert behind == b"".join(outputs[name].tobytes() for name in outputs if name in binary)
    for one in head["outputs"]:
        assert one["shape"] == list(outputs[one["name"]].shape)
        if "data" in one:
            assert one["data"] == outputs[one["name"]].ravel().tolist()
