from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from passes.errors import InputError
from passes.model.graph import from_model
from passes.state import state_of
from tests.passes.net_builder import NetBuilder


def normalizing(opset: int = 21, outputs: int = 1, **attrs: float) -> onnx.ModelProto:
    """Return Conv and BatchNormalization with so many outputs of the latter."""
    net = NetBuilder((1, 2, 8, 8))
    x = net.conv("x", 2, 4)
    y = net.batchnorm(x, 4)
    model = net.model(y)
    node = model.graph.node[-1]
    node.attribute.extend(helper.make_attribute(key, value) for key, value in attrs.items())
    node.output.extend(f"statistics_{number}" for number in range(outputs - 1))
    model.opset_import[0].version = opset
    return model


def dropping(training: bool | None, as_node: bool = False) -> onnx.ModelProto:
    """Return Conv and Dropout."""
    net = NetBuilder((1, 2, 8, 8))
    x = net.conv("x", 2, 4)
    mode = [] if training is None else [net.const(0.5), net.const(training, np.bool_)]
    model = net.model(net.op("Dropout", x, *mode))
    if as_node:
        value = next(t for t in model.graph.initializer if t.name == mode[1])
        model.graph.node.insert(0, helper.make_node("Constant", [], [mode[1]], value=value))
        model.graph.initializer.remove(value)
    return model


IN_TRAINING = {
    "by its attribute": normalizing(outputs=3, training_mode=1),
    "without statistics": normalizing(training_mode=1),
    "by its outputs": normalizing(opset=9, outputs=5),
    "Dropout": dropping(training=True),
    "Dropout by a Constant": dropping(training=True, as_node=True),
}


@pytest.mark.parametrize("case", IN_TRAINING)
def test_training_mode_is_refused(case: str) -> None:
    with pytest.raises(InputError, match=r"'n1_\w+' of net is in training mode") as error:
        from_model(IN_TRAINING[case], "net")
    assert "evaluation mode" in error.value.hint


@pytest.mark.parametrize(
    "model",
    [
        normalizing(),
        normalizing(training_mode=0),
        normalizing(opset=9),
        dropping(None),
        dropping(training=False),
    ],
)
def test_evaluation_mode_is_taken(model: onnx.ModelProto) -> None:
    graph = from_model(model)
    assert [len(node.outputs) for node in graph.nodes] == [1, 1]
    assert not state_of(graph).declined


def test_of_a_network_without_weights_it_is_said() -> None:
    model = normalizing(outputs=3, training_mode=1)
    for tensor in model.graph.initializer:
        value = helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        model.graph.value_info.append(value)
    del model.graph.initializer[:]
    graph = from_model(model)
    (entry,) = state_of(graph).declined
    assert (entry.pass_name, entry.subject) == ("load", "n1_BatchNormalization_out")
    assert "in training mode" in entry.reason
    assert "training_mode" not in graph.nodes[1].attrs
    assert len(graph.nodes[1].outputs) == 1


def test_a_mode_that_is_computed_may_be_training() -> None:
    model = dropping(training=True)
    mode = model.graph.node[1].input[2]
    value = next(t for t in model.graph.initializer if t.name == mode)
    value.CopyFrom(numpy_helper.from_array(np.array(False), "off"))
    model.graph.node.insert(0, helper.make_node("Not", ["off"], [mode]))
    with pytest.raises(InputError, match="training mode"):
        from_model(model)


def test_momentum_stays_for_who_trains_it_again() -> None:
    graph = from_model(normalizing(training_mode=0, momentum=0.75), "net")
    (node,) = [n for n in graph.nodes if n.op == "BatchNormalization"]
    assert node.attrs["momentum"] == 0.75 and "training_mode" not in node.attrs
