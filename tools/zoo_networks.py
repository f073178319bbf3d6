"""Networks as others write them, made without torch: one small file for each way of writing."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.passes.net_builder import NetBuilder
from tools.zoo_branching import behind, branching, rounds

ANY = "*"
"""Stands for every verb."""

Build = Callable[[], onnx.ModelProto]


@dataclass(frozen=True)
class Network:
    """A network of the zoo.

    Attributes:
        name: Name of its file, without ending.
        build: Makes it.
        expected: Verb (``*``: every other) -> ``ok``, or a part of the reason it is refused for.
        external: Its weights lie in a file beside it.
    """

    name: str
    build: Build
    expected: dict[str, str] = field(default_factory=dict)
    external: bool = False


def _classify(net: NetBuilder, x: str, channels: int, classes: int = 4) -> onnx.ModelProto:
    flat = net.op("Flatten", net.op("GlobalAveragePool", x))
    logits = net.op("Gemm", flat, net.normal(classes, channels), net.normal(classes), transB=1)
    return net.model(net.op("Softmax", logits, axis=1))


def _cnn(size: int = 16, batch: int = 1) -> onnx.ModelProto:
    net = NetBuilder((batch, 4, size, size))
    x = net.op("Relu", net.batchnorm(net.conv("x", 4, 8), 8))
    x = net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    return _classify(net, net.op("Relu", net.conv(x, 8, 16)), 16)


def _residual() -> onnx.ModelProto:
    net = NetBuilder((1, 4, 16, 16))
    x = net.op("Relu", net.conv("x", 4, 8))
    for width in (8, 16):
        step, before = (1, 8) if width == 8 else (2, 8)
        y = net.op("Relu", net.conv(x, before, width, strides=[step, step]))
        y = net.conv(y, width, width)
        skip = x if step == 1 else net.conv(x, before, width, 1, strides=[2, 2])
        x = net.op("Relu", net.op("Add", y, skip))
    return _classify(net, x, 16)


def _hidden(net: NetBuilder, *widths: int) -> str:
    """Add fully connected layers with ReLU behind the input, from each width to the next."""
    x = "x"
    for before, after in itertools.pairwise(widths):
        x = net.op("Relu", net.op("Gemm", x, net.normal(after, before), net.normal(after), transB=1))
    return x


def _mlp() -> onnx.ModelProto:
    net = NetBuilder((1, 32))
    return net.model(net.op("Gemm", _hidden(net, 32, 64, 64, 32), net.normal(4, 32), transB=1))


def _mlp_of_matmul() -> onnx.ModelProto:
    net = NetBuilder((1, 1, 8, 8))
    flat = net.op("Reshape", "x", net.const([1, 64], np.int64))
    hidden = net.op("Relu", net.op("Add", net.op("MatMul", flat, net.normal(64, 32)), net.normal(32)))
    return net.model(net.op("Softmax", net.op("MatMul", hidden, net.normal(32, 4))))


def _autoencoder() -> onnx.ModelProto:
    net = NetBuilder((1, 64))
    return net.model(net.op("Gemm", _hidden(net, 64, 32, 8, 32), net.normal(64, 32), transB=1))


def _convolutional_autoencoder() -> onnx.ModelProto:
    net = NetBuilder((1, 4, 16, 16))
    x = net.op("Relu", net.conv("x", 4, 8, strides=[2, 2]))
    x = net.op("ConvTranspose", x, net.normal(8, 4, 2, 2), strides=[2, 2])
    return net.model(net.op("Sigmoid", x))


def _attention() -> onnx.ModelProto:
    net = NetBuilder((1, 8, 16))
    n = net.op("LayerNormalization", "x", net.const(np.ones(16)), net.const(np.zeros(16)), axis=-1)
    q, k, v = (net.op("MatMul", n, net.normal(16, 16, scale=0.2)) for _ in range(3))
    heads = net.const([1, 8, 2, 8], np.int64)
    q, k, v = (net.op("Transpose", net.op("Reshape", t, heads), perm=[0, 2, 1, 3]) for t in (q, k, v))
    scores = net.op("MatMul", q, net.op("Transpose", k, perm=[0, 1, 3, 2]))
    mixed = net.op("MatMul", net.op("Softmax", scores, axis=-1), v)
    merged = net.op("Reshape", net.op("Transpose", mixed, perm=[0, 2, 1, 3]), net.const([1, 8, 16], np.int64))
    mean = net.op("ReduceMean", net.op("Add", merged, "x"), net.const([1], np.int64), keepdims=0)
    return net.model(net.op("Gemm", mean, net.normal(4, 16), transB=1))


def _recurrent(kind: str = "LSTM") -> onnx.ModelProto:
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    net = NetBuilder((1, 10, 8))
    sequence = net.op("Transpose", "x", perm=[1, 0, 2])
    weights = net.normal(1, gates * 16, 8), net.normal(1, gates * 16, 16)
    states = net.op(kind, sequence, *weights, hidden_size=16)
    last = net.op("Gather", states, net.const(-1, np.int64), axis=0)
    flat = net.op("Squeeze", last, net.const([0], np.int64))
    return net.model(net.op("Gemm", flat, net.normal(4, 16), transB=1))


def _audio() -> onnx.ModelProto:
    net = NetBuilder((1, 1, 64))
    x = net.op("Relu", net.op("Conv", "x", net.normal(8, 1, 9), strides=[4], pads=[4, 4]))
    x = net.op("Relu", net.op("Conv", x, net.normal(8, 8, 3), pads=[1, 1]))
    return _classify(net, x, 8)


def _grouped() -> onnx.ModelProto:
    net = NetBuilder((1, 8, 16, 16))
    x = net.op("Relu", net.conv("x", 8, 8, group=2))
    return _classify(net, net.op("Relu", net.conv(x, 8, 8, group=8)), 8)


def _dilated() -> onnx.ModelProto:
    net = NetBuilder((1, 4, 16, 16))
    return _classify(net, net.op("Relu", net.conv("x", 4, 8, dilations=[2, 2], pads=[2, 2, 2, 2])), 8)


def _wide_kernel() -> onnx.ModelProto:
    net = NetBuilder((1, 1, 20, 8))
    x = net.op("Relu", net.op("Conv", "x", net.normal(8, 1, 10, 4), auto_pad="SAME_UPPER", strides=[2, 2]))
    return _classify(net, x, 8)


def _tensorflow() -> onnx.ModelProto:
    net = NetBuilder((1, 16, 16, 3))
    x = net.to_first("x")
    x = net.op(
        "Clip", net.conv(x, 3, 8, auto_pad="SAME_UPPER", strides=[2, 2]), net.const(0.0), net.const(6.0)
    )
    x = net.to_last(x)
    mean = net.op("ReduceMean", x, net.const([1, 2], np.int64), keepdims=0)
    return net.model(net.op("Softmax", net.op("MatMul", mean, net.normal(8, 4)), axis=1))


def _activations() -> onnx.ModelProto:
    net = NetBuilder((1, 4, 16, 16))
    x = net.op("HardSwish", net.conv("x", 4, 8))
    x = net.op("LeakyRelu", net.conv(x, 8, 8), alpha=0.1)
    y = net.conv(x, 8, 8)
    x = net.op("Mul", y, net.op("Sigmoid", y))
    return _classify(net, net.op("Elu", net.conv(x, 8, 8)), 8)


def _squeeze_excite() -> onnx.ModelProto:
    net = NetBuilder((1, 4, 16, 16))
    x = net.op("Relu", net.conv("x", 4, 8))
    gate = net.op("Relu", net.conv(net.op("GlobalAveragePool", x), 8, 4, 1))
    gate = net.op("HardSigmoid", net.conv(gate, 4, 8, 1))
    return _classify(net, net.op("Mul", x, gate), 8)


def _inception() -> onnx.ModelProto:
    net = NetBuilder((1, 4, 16, 16))
    parts = [net.op("Relu", net.conv("x", 4, 8, kernel)) for kernel in (1, 3, 5)]
    return _classify(net, net.op("Concat", *parts, axis=1), 24)


def _shuffle() -> onnx.ModelProto:
    net = NetBuilder((1, 8, 8, 8))
    x = net.op("Reshape", net.conv("x", 8, 8, 1, group=2), net.const([1, 2, 4, 8, 8], np.int64))
    x = net.op("Transpose", x, perm=[0, 2, 1, 3, 4])
    return _classify(net, net.conv(net.op("Reshape", x, net.const([1, 8, 8, 8], np.int64)), 8, 8), 8)


def _normalized() -> onnx.ModelProto:
    net = NetBuilder((1, 4, 16, 16))
    ones, zeros = net.const(np.ones(8)), net.const(np.zeros(8))
    x = net.op("InstanceNormalization", net.conv("x", 4, 8), ones, zeros)
    x = net.op("InstanceNormalization", net.op("Relu", x), ones, zeros)
    model = _classify(net, x, 8)
    # onnx infers no shape behind it.
    last = [node for node in model.graph.node if node.op_type == "InstanceNormalization"][-1]
    last.op_type = "GroupNormalization"
    last.attribute.append(helper.make_attribute("num_groups", 2))
    return model


def _segmentation() -> onnx.ModelProto:
    net = NetBuilder((1, 4, 16, 16))
    x = net.op("Relu", net.conv("x", 4, 8, strides=[2, 2]))
    x = net.op("Resize", net.conv(x, 8, 4, 1), "", net.const([1, 1, 2, 2]), mode="nearest")
    return behind(net.model(x), "ArgMax", [x], TensorProto.INT64, axis=1, keepdims=0)


def _detector() -> onnx.ModelProto:
    net = NetBuilder((1, 4, 16, 16))
    x = net.op("Relu", net.conv("x", 4, 8, strides=[2, 2]))
    boxes = net.op("Reshape", net.conv(x, 8, 8), net.const([1, -1, 4], np.int64))
    scores = net.op("Reshape", net.conv(x, 8, 4), net.const([1, -1, 2], np.int64))
    return net.model(boxes, net.op("Sigmoid", scores))


def _suppressed() -> onnx.ModelProto:
    net = NetBuilder((1, 4, 8, 8))
    x = net.op("Relu", net.conv("x", 4, 8))
    boxes = net.op("Reshape", net.conv(x, 8, 4), net.const([1, 64, 4], np.int64))
    scores = net.op("Reshape", net.op("Sigmoid", net.conv(x, 8, 2)), net.const([1, 2, 64], np.int64))
    model = net.model(boxes, scores)
    return behind(model, "NonMaxSuppression", [boxes, scores], TensorProto.INT64)


def _two_inputs() -> onnx.ModelProto:
    model = _mlp()
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 32]))
    model.graph.node[0].input[0] = "both"
    model.graph.node.insert(0, helper.make_node("Add", ["x", "z"], ["both"], name="both"))
    return model


def _two_outputs() -> onnx.ModelProto:
    net = NetBuilder((1, 4, 16, 16))
    x = net.op("Relu", net.conv("x", 4, 8))
    flat = net.op("Flatten", net.op("GlobalAveragePool", x))
    return net.model(*(net.op("Gemm", flat, net.normal(n, 8), transB=1) for n in (4, 7)))


def _early_exits() -> onnx.ModelProto:
    net = NetBuilder((1, 4, 16, 16))
    outputs, x, before = [], "x", 4
    for _ in range(3):
        x = net.op("Relu", net.conv(x, before, 8))
        before = 8
        flat = net.op("Flatten", net.op("GlobalAveragePool", x))
        outputs.append(net.op("Gemm", flat, net.normal(4, 8), transB=1))
    return net.model(*outputs)


def _labels() -> onnx.ModelProto:
    model = _mlp()
    return behind(model, "ArgMax", [model.graph.output[0].name], TensorProto.INT64, axis=1, keepdims=0)


def _dynamic_batch() -> onnx.ModelProto:
    model = _cnn()
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    del model.graph.value_info[:]
    return model


def _opset(version: int) -> onnx.ModelProto:
    """Return a network of operators that are written alike since version 7."""
    net = NetBuilder((1, 4, 16, 16))
    x = net.op("MaxPool", net.op("Relu", net.conv("x", 4, 8)), kernel_shape=[2, 2], strides=[2, 2])
    flat = net.op("Flatten", net.op("GlobalAveragePool", net.op("Relu", net.conv(x, 8, 16))))
    model = net.model(net.op("Gemm", flat, net.normal(4, 16), net.normal(4), transB=1))
    model.opset_import[0].version = version
    model.ir_version = 11 if version > 21 else 8
    return model


def _half() -> onnx.ModelProto:
    """Return a network whose weights, input and output are float16."""
    model = _cnn()
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    del model.graph.value_info[:]
    return model


def _half_inside() -> onnx.ModelProto:
    """Return a network that is float16 between two Casts."""
    model = _half()
    given, made = model.graph.input[0], model.graph.output[0]
    for value in (given, made):
        value.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in model.graph.node:
        node.input[:] = ["narrow" if name == given.name else name for name in node.input]
        node.output[:] = ["wide" if name == made.name else name for name in node.output]
    model.graph.node.insert(0, helper.make_node("Cast", [given.name], ["narrow"], to=TensorProto.FLOAT16))
    model.graph.node.append(helper.make_node("Cast", ["wide"], [made.name], to=TensorProto.FLOAT))
    return model


def _by_function() -> onnx.ModelProto:
    text = """<ir_version: 10, opset_import: ["": 21, "local": 1]>
        net (float[1,4] x) => (float[1,3] y) { a = local.block(x, w) y = Softmax<axis=1>(a) }
        <domain: "local", opset_import: ["": 21]>
        block (x, w) => (y) { m = MatMul(x, w) y = Relu(m) }"""
    model = onnx.parser.parse_model(text)
    model.graph.initializer.append(numpy_helper.from_array(np.ones((4, 3), np.float32), "w"))
    return model


def quantized(path: Path, **options: Any) -> onnx.ModelProto:
    """Return a network quantized by onnxruntime's static quantizer, with random calibration images.

    Args:
        path: Where the float network may be written.
        options: Of the quantizer.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Images(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            rng = np.random.default_rng(0)
            self.left = [{"x": rng.normal(size=(1, 4, 16, 16)).astype(np.float32)} for _ in range(2)]

        def get_next(self) -> Any:
            return self.left.pop() if self.left else None

    onnx.save(_residual(), path / "float.onnx")
    form = QuantFormat.QOperator if options.pop("operators", False) else QuantFormat.QDQ
    quantize_static(path / "float.onnx", path / "int8.onnx", Images(), quant_format=form, **options)
    return onnx.load(path / "int8.onnx")


def _broken(change: Callable[[onnx.ModelProto], None]) -> Build:
    def build() -> onnx.ModelProto:
        model = _cnn()
        change(model)
        return model

    return build


def _custom(model: onnx.ModelProto) -> None:
    model.graph.node[1].domain = "com.example"
    model.graph.node[1].op_type = "Magic"
    model.opset_import.add(domain="com.example", version=1)


def _not_a_number(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    values = numpy_helper.to_array(tensor).copy()
    values.flat[0] = np.nan
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _no_writer(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "nobody"


def _image_of_any_size(model: onnx.ModelProto) -> None:
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"size{axis}"


OK = {ANY: "ok"}
NO_DECONVOLUTION = dict.fromkeys(("cost diana", "cost edge_tpu_quad"), "It does not run ConvTranspose")
CONTROL_FLOW = {
    "inspect": "ok",
    "opt": "ok",
    "run": "is control flow",
    **dict.fromkeys(("cost diana", "cost edge_tpu_quad"), "is control flow"),
}
OPSETS = (7, 9, 11, 13, 15, 17, 19, 22, 23)
NETWORKS: tuple[Network, ...] = (
    Network("cnn", _cnn, OK),
    Network("residual", _residual, OK),
    Network("mlp", _mlp, OK),
    Network("mlp_of_matmul", _mlp_of_matmul, OK),
    Network("autoencoder", _autoencoder, OK),
    Network("convolutional_autoencoder", _convolutional_autoencoder, OK | NO_DECONVOLUTION),
    Network("attention", _attention, OK | {"cost diana": "The product has one row of inputs"}),
    Network("lstm", lambda: _recurrent("LSTM"), {"inspect": "ok", "opt": "ok"}),
    Network("gru", lambda: _recurrent("GRU"), {"inspect": "ok", "opt": "ok"}),
    Network("rnn", lambda: _recurrent("RNN"), {"inspect": "ok", "opt": "ok"}),
    Network("audio", _audio, OK | {"cost diana": "Kernels are 1, 3, 5 or 7 along each axis"}),
    Network("grouped", _grouped, OK | {"cost diana": "The convolution has one group"}),
    Network("dilated", _dilated, OK | {"cost diana": "Dilation is 1"}),
    Network("wide_kernel", _wide_kernel, OK | {"cost diana": "Kernels are 1, 3, 5 or 7 along each axis"}),
    Network("tensorflow", _tensorflow, OK),
    Network("activations", _activations, OK),
    Network("squeeze_excite", _squeeze_excite, OK),
    Network("inception", _inception, OK),
    Network("shuffle", _shuffle, OK | {"cost diana": "The convolution has one group"}),
    Network("normalized", _normalized, OK),
    Network("segmentation", _segmentation, OK),
    Network("detector", _detector, OK),
    Network("suppressed", _suppressed, {ANY: "depends on the image"}),
    Network("two_inputs", _two_inputs, OK),
    Network("two_outputs", _two_outputs, OK),
    Network("early_exits", _early_exits, OK),
    Network("if_exits", partial(branching, "exits"), OK),
    Network("if_labels", partial(branching, "labels"), OK),
    Network("if_heads", partial(branching, "heads"), OK | {"run": "its answer is computed only where"}),
    Network("if_known", partial(branching, "known"), OK),
    Network(
        "if_block",
        partial(branching, "block"),
        CONTROL_FLOW | {"cost gap9": "it skips a part of the network"},
    ),
    Network(
        "if_gate", partial(branching, "gate"), CONTROL_FLOW | {"cost gap9": "its condition needs 1 layer"}
    ),
    Network("loop", rounds, CONTROL_FLOW | {"cost gap9": "runs 3 times"}),
    Network("labels", _labels, OK),
    Network("dynamic_batch", _dynamic_batch, OK),
    Network("external", lambda: _cnn(32), OK, external=True),
    Network("half", _half, OK),
    Network("half_inside", _half_inside, OK),
    Network("by_function", _by_function, OK),
    *(Network(f"opset_{version}", partial(_opset, version), OK) for version in OPSETS),
    Network("batch_of_four", lambda: _cnn(batch=4), {ANY: "batch of 4"}),
    Network("custom_operator", _broken(_custom), {ANY: "custom operators: com.example::Magic"}),
    Network("not_a_number", _broken(_not_a_number), {ANY: "NaN or infinite"}),
    Network("no_writer", _broken(_no_writer), {ANY: "no node writes its output 'nobody'"}),
    Network("any_size", _broken(_image_of_any_size), {ANY: "dynamic dimensions"}),
)
QUANTIZED: dict[str, dict[str, Any]] = {
    "qdq": {},
    "qdq_per_channel": {"per_channel": True},
    "qdq_own": {"extra_options": {"DedicatedQDQPair": True}},
    "qdq_symmetric": {"extra_options": {"ActivationSymmetric": True}},
    "qoperator": {"operators": True},
    "qoperator_of_conv": {"operators": True, "op_types_to_quantize": ["Conv"]},
}
QUANTIZED_EXPECTED = dict.fromkeys(QUANTIZED, OK) | {
    "qoperator": {ANY: "custom operators: com.microsoft::"},
}
