"""Files that are broken: each is refused with one message, by whatever verb, and none ends in a trace."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from passes.errors import InputError
from passes.model.graph import from_model
from passes.model.structure import check_stored
from tests.passes.net_builder import NetBuilder
from tests.passes.small_nets import chain, two_exits

Change = Callable[[onnx.ModelProto], object]


def in_no_text(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return ``model`` with a byte in the name of its operators that begins no letter."""
    data = model.SerializeToString().replace(b"Relu", b"R\xfflu")
    broken = onnx.ModelProto()
    broken.ParseFromString(data)
    return broken


def in_function(outputs: list[str]) -> Change:
    def change(model: onnx.ModelProto) -> None:
        body = [helper.make_node("Relu", ["a"], ["b"])]
        made = helper.make_function("local", "Act", ["a"], outputs, body, [helper.make_opsetid("", 21)])
        model.functions.append(made)
        model.opset_import.add(domain="local", version=1)
        model.graph.node[1].op_type, model.graph.node[1].domain = "Act", "local"

    return change


def set_first_attribute(field: str, value: str) -> Change:
    return lambda m: setattr(m.graph.node[0].attribute[0], field, value)


def one_number(size: int) -> onnx.TensorProto:
    made = numpy_helper.from_array(np.array([128], np.uint8), "extra")
    made.dims[0] = size
    return made


BROKEN: dict[str, tuple[Change, str]] = {
    "output that nothing writes": (
        lambda m: setattr(m.graph.output[0], "name", "ghost"),
        "no node writes its output 'ghost'",
    ),
    "one more, without a type": (
        lambda m: setattr(m.graph.output.add(), "name", "ghost"),
        "no node writes its output 'ghost'",
    ),
    "one more, with a type": (
        lambda m: m.graph.output.append(helper.make_tensor_value_info("ghost", TensorProto.FLOAT, [1, 2])),
        "no node writes its output 'ghost'",
    ),
    "output without name": (lambda m: setattr(m.graph.output[0], "name", ""), "no node writes its output ''"),
    "input without name": (lambda m: setattr(m.graph.input[0], "name", ""), "Field 'name' of 'value_info'"),
    "input twice": (lambda m: m.graph.input.append(m.graph.input[0]), "'x' has been used as graph input"),
    "input of a type unknown to ONNX": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 99),
        "is of type 99, which ONNX does not have",
    ),
    "output of a type unknown to ONNX": (
        lambda m: setattr(m.graph.output[0].type.tensor_type, "elem_type", -(2**31)),
        "is of type -2147483648, which ONNX does not have",
    ),
    "tensor of a type unknown to ONNX": (
        lambda m: m.graph.value_info.append(helper.make_tensor_value_info("nobody", -(2**31), [1])),
        "'nobody' of net.onnx is of type -2147483648, which ONNX does not have",
    ),
    "node without output": (lambda m: m.graph.node[1].ClearField("output"), "output size 0 not in range"),
    "node without input": (lambda m: m.graph.node[1].ClearField("input"), "input size 0 not in range"),
    "input left out": (lambda m: m.graph.node[1].input.__setitem__(0, ""), "input 0 is marked single"),
    "Conv without weights": (lambda m: m.graph.node[0].input.__delitem__(slice(1, 3)), "input size 1 not in"),
    "integer weights": (
        lambda m: m.graph.initializer[0].CopyFrom(
            numpy_helper.from_array(np.ones((4, 2, 3, 3), np.int64), m.graph.initializer[0].name)
        ),
        "has unsupported type: tensor(int64)",
    ),
    "weights twice": (lambda m: m.graph.initializer.append(m.graph.initializer[0]), "multiple times"),
    "values twice": (
        lambda m: m.graph.initializer[0].float_data.append(1.0),
        "stores the values of 'const_0' twice",
    ),
    "weights of negative size": (
        lambda m: m.graph.initializer[0].dims.__setitem__(0, -4),
        "sizes are not negative",
    ),
    "a number of negative size": (
        lambda m: m.graph.initializer.append(one_number(-(2**63))),
        "are not negative",
    ),
    "a constant of negative size": (
        lambda m: m.graph.node.append(helper.make_node("Constant", [], ["extra"], value=one_number(-1))),
        "sizes are not negative",
    ),
    "sparse weights": (lambda m: m.graph.sparse_initializer.add().dims.append(2), "stores weights sparsely"),
    "attribute of no operator": (
        lambda m: m.graph.node[0].attribute.append(helper.make_attribute("foo", 1)),
        "Unrecognized attribute: foo",
    ),
    "attribute twice": (
        lambda m: m.graph.node[0].attribute.append(m.graph.node[0].attribute[0]),
        "appeared multiple times",
    ),
    "attribute without name": (set_first_attribute("name", ""), "Field 'name' of 'attr'"),
    "attribute of a function": (set_first_attribute("ref_attr_name", "q"), "attributes of a function"),
    "function that writes nothing": (in_function(["c"]), "no node of function 'Act' writes its output 'c'"),
    "operator with a long name": (
        lambda m: setattr(m.graph.node[0], "op_type", "Q" * 9999),
        "operators ONNX does not have: 'QQ",
    ),
    "no version of the operators": (
        lambda m: setattr(m.opset_import[0], "domain", "ai.onnx.ml"),
        "which version of the ONNX operators",
    ),
    "version beyond all numbers": (
        lambda m: setattr(m.opset_import[0], "version", 2**40),
        "(opset 1099511627776) cannot be converted",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("make", [chain, two_exits])
def test_broken_files(case: str, make: Callable[[], onnx.ModelProto]) -> None:
    change, message = BROKEN[case]
    model = make()
    change(model)
    with pytest.raises(InputError) as error:
        from_model(model, "net.onnx")
    assert message in error.value.message
    assert "net.onnx" in error.value.message
    assert error.value.hint and len(str(error.value)) < 500


def test_names_that_are_no_text() -> None:
    with pytest.raises(InputError, match=r"net\.onnx holds names that are no text"):
        from_model(in_no_text(chain()), "net.onnx")


def test_the_standard_domain_by_its_long_name() -> None:
    model = chain()
    model.graph.node[0].domain = "ai.onnx"
    model.graph.node[1].domain = "ai.onnx"
    model.opset_import.add(domain="ai.onnx", version=5)
    assert [n.name for n in from_model(model).nodes] == [n.name for n in from_model(chain()).nodes]
    del model.opset_import[0]
    model.opset_import[0].version = 21
    assert from_model(model).opset == 21


def test_functions_that_write_their_outputs_are_inlined() -> None:
    model = chain()
    in_function(["b"])(model)
    assert [n.op for n in from_model(model).nodes[:2]] == ["Conv", "Relu"]


def test_lists_of_nothing_say_what_their_absence_says() -> None:
    model = chain()
    strides = next(a for a in model.graph.node[4].attribute if a.name == "strides")
    del strides.ints[:]
    graph = from_model(model)
    assert "strides" not in graph.nodes[4].attrs
    assert list(graph.nodes[4].outputs[0].shape) == [1, 4, 4, 4]


def test_values_are_stored_once() -> None:
    check_stored(chain().graph.initializer, "net")


@pytest.mark.parametrize("shape", [[1, 63], [3, 64], [1, 8, 9]])
def test_views_hold_as_many_elements_as_what_they_view(shape: list[int]) -> None:
    net = NetBuilder((1, 4, 4, 4))
    view = net.op("Reshape", net.to_last("x"), net.const([1, 64], np.int64))
    model = net.model(net.op("MatMul", view, net.normal(64, 3)))
    target = next(t for t in model.graph.initializer if t.data_type == TensorProto.INT64)
    assert from_model(model).nodes
    del model.graph.value_info[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    target.CopyFrom(numpy_helper.from_array(np.array(shape, np.int64), target.name))
    with pytest.raises(InputError, match="shapes do not fit"):
        from_model(model)
