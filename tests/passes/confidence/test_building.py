"""Nodes one by one: names begin with the stem, and each reads what was made before."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from passes.confidence.building import NodeList


def test_nodes_are_named_and_joined() -> None:
    given, output = gs.Variable("x", np.float32, [1, 2]), gs.Variable("y", np.float32, [1])
    made = NodeList("exit_0")
    half = made.then("Mul", "half", [given, made.constant("factor", 0.5, np.float32)], [1, 2])
    made.into(output, "ReduceSum", "sum", [half, made.constant("axes", [1], np.int64)], keepdims=0)
    first, second = made.nodes
    assert [first.name, second.name] == ["exit_0/half", "exit_0/sum"]
    assert (half.name, half.dtype, half.shape) == ("exit_0/half", np.float32, [1, 2])
    assert first.outputs == [half] and second.inputs[0] is half and second.outputs == [output]
    whole = made.cast("whole", output, [1], np.bool_)
    assert (made.nodes[-1].op, made.nodes[-1].attrs, whole.dtype) == ("Cast", {"to": 9}, np.bool_)
    assert second.attrs == {"keepdims": 0} and second.inputs[1].values.tolist() == [1]
