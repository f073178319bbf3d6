"""Bad files, each refused with one message that says what and where, and what to do."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from passes.errors import InputError
from passes.model.graph import from_model, load
from passes.model.writing import to_model
from passes.state import state_of
from tests.passes.equivalence import batch_of, run_model
from tests.passes.net_builder import NetBuilder
from tests.passes.small_nets import chain

Change = Callable[[onnx.ModelProto], object]


def refused(path: Path) -> str:
    """Return the message a user gets for the file at ``path``."""
    with pytest.raises(InputError) as error:
        load(path)
    assert error.value.exit_code == 2
    assert error.value.hint, "the message must say what to do"
    assert "\n" not in error.value.message and len(str(error.value)) < 600
    return str(error.value)


def refused_model(model: onnx.ModelProto, folder: Path) -> str:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return refused(path)


def in_zip(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model.onnx", data)
    return buffer.getvalue()


def in_tar(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("model.onnx")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def test_missing_file(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "model.onnx")


def test_directory(tmp_path: Path) -> None:
    assert "is a directory" in refused(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_named_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in refused(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("pack", "name"), [(in_zip, "zip"), (gzip.compress, "gzip"), (in_tar, "tar")], ids=["zip", "gzip", "tar"]
)
def test_archives(tmp_path: Path, pack: Callable[[bytes], bytes], name: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(pack(chain().SerializeToString()))
    assert f"is a {name} archive" in refused(path)


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"x")

    def denied(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)  # root may read everything
    assert f"cannot read {path}: Permission denied" in refused(path)


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(np.random.default_rng(seed).bytes(3000))
    assert "is not an ONNX model" in refused(path)


def test_truncated_everywhere(tmp_path: Path) -> None:
    data = chain(1).SerializeToString()
    path = tmp_path / "model.onnx"
    for end in [*range(0, len(data), 17), len(data) - 1]:
        path.write_bytes(data[:end])
        assert "is not an ONNX model" in refused(path)


def set_input(model: onnx.ModelProto, axis: int, size: int | str) -> None:
    dim = model.graph.input[0].type.tensor_type.shape.dim[axis]
    if isinstance(size, str):
        dim.dim_param = size
    else:
        dim.dim_value = size


def poison(value: float, as_node: bool) -> Change:
    def change(model: onnx.ModelProto) -> None:
        old = model.graph.initializer[0]
        values = numpy_helper.to_array(old).copy()
        values.flat[3] = value
        new = numpy_helper.from_array(values, old.name)
        if as_node:
            model.graph.node.insert(0, helper.make_node("Constant", [], [old.name], value=new))
            del model.graph.initializer[0]
        else:
            old.CopyFrom(new)

    return change


def unknown_domain(model: onnx.ModelProto) -> None:
    model.graph.node[1].domain = "com.acme"
    model.opset_import.add(domain="com.acme", version=1)


def hidden_custom_operator(model: onnx.ModelProto) -> None:
    result = model.graph.node[-1].output[0]
    node = helper.make_node("Act", [result], ["z"], domain="com.acme")
    body = helper.make_graph([node], "b", [], [helper.make_tensor_value_info("z", 1, None)])
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    branch = helper.make_node("If", ["yes"], ["chosen"], then_branch=body, else_branch=body)
    model.graph.node.append(branch)


def old_gemm(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 6
    model.graph.node[-1].input.pop()


def sequence_output(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("SequenceConstruct", [model.graph.output[0].name], ["all"]))
    made = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    model.graph.output.append(helper.make_value_info("all", helper.make_sequence_type_proto(made)))


def cycle(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = model.graph.node[1].output[0]


def reversed_nodes(model: onnx.ModelProto) -> None:
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def written_twice(model: onnx.ModelProto) -> None:
    model.graph.node[1].output[0] = model.graph.node[0].output[0]


def metadata(value: str) -> Change:
    return lambda m: m.metadata_props.add(key="eecompile.exits", value=value)


BROKEN: dict[str, tuple[Change, str]] = {
    "custom domain": (unknown_domain, "custom operators: com.acme::Relu"),
    "custom in a body": (hidden_custom_operator, "custom operators: com.acme::Act"),
    "no such operator": (
        lambda m: setattr(m.graph.node[1], "op_type", "FooBar"),
        "operators ONNX does not have: 'FooBar'",
    ),
    "dynamic spatial": (lambda m: set_input(m, 2, "H"), "dynamic dimensions: [1, 2, 'H', 16]"),
    "unknown channels": (lambda m: set_input(m, 1, -1), "dynamic dimensions: [1, -1, 16, 16]"),
    "batch 4": (lambda m: set_input(m, 0, 4), "fixed batch of 4"),
    "no input": (lambda m: m.graph.ClearField("input"), "0 inputs (none)"),
    "no output": (lambda m: m.graph.ClearField("output"), "has no outputs"),
    "input without shape": (
        lambda m: m.graph.input[0].type.tensor_type.ClearField("shape"),
        "input 'x' of model.onnx has no shape",
    ),
    "text as input": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.STRING),
        "is string, not float32",
    ),
    "sequence of outputs": (sequence_output, "'all' of model.onnx is a sequence, not a tensor"),
    "nan": (poison(np.nan, False), "weights 'const_0' of model.onnx hold NaN or infinite"),
    "inf": (poison(np.inf, False), "weights 'const_0' of model.onnx hold NaN or infinite"),
    "-inf in a node": (poison(-np.inf, True), "hold NaN or infinite"),
    "short values": (
        lambda m: setattr(m.graph.initializer[0], "raw_data", m.graph.initializer[0].raw_data[:-4]),
        "the values of 'const_0' do not fit its shape [4, 2, 3, 3]",
    ),
    "wrong shapes": (
        lambda m: m.graph.initializer[2].CopyFrom(
            numpy_helper.from_array(np.ones((4, 5, 3, 3), np.float32), m.graph.initializer[2].name)
        ),
        "Conv 'n2_Conv' reads [1, 4, 8, 8] with weights [4, 5, 3, 3]",
    ),
    "opset 99": (lambda m: setattr(m.opset_import[0], "version", 99), "(opset 99) cannot be converted"),
    "opset 6 with two inputs of Gemm": (old_gemm, "(opset 6) cannot be converted to opset 21: Gemm in opset"),
    "no graph": (lambda m: m.graph.ClearField("node"), "it holds no graph"),
    "cycle": (cycle, "reads 'n1_Relu_out' before it is made"),
    "unsorted": (reversed_nodes, "before it is made"),
    "written twice": (written_twice, "writes 'n0_Conv_out' once more"),
    "reads nothing": (
        lambda m: m.graph.node[1].input.__setitem__(0, "ghost"),
        "tensor 'ghost' (input 0 of Relu 'n1_Relu') has neither a producer, nor values, nor a shape",
    ),
    "metadata": (metadata("[{]"), "metadata 'eecompile.exits' is damaged"),
    "metadata of other types": (
        metadata('[{"name": 1, "mount": [], "output": "y"}]'),
        "metadata 'eecompile.exits' is damaged",
    ),
    "metadata keys": (metadata('[{"nom": "x"}]'), "metadata 'eecompile.exits' is damaged"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_models(tmp_path: Path, case: str) -> None:
    change, message = BROKEN[case]
    model = chain()
    change(model)
    assert message in refused_model(model, tmp_path)


def test_infinite_bounds_are_no_broken_weights() -> None:
    model = chain()
    model.graph.node[1].op_type = "Clip"
    model.graph.node[1].input.extend(["zero", "top"])
    model.graph.initializer.append(numpy_helper.from_array(np.array(0, np.float32), "zero"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(np.inf, np.float32), "top"))
    assert from_model(model).nodes[1].op == "Clip"


def test_functions_are_inlined() -> None:
    model = chain()
    opset = [helper.make_opsetid("", 21)]
    relu = helper.make_node("Relu", ["a"], ["b"])
    model.functions.append(helper.make_function("local", "Act", ["a"], ["b"], [relu], opset))
    model.opset_import.add(domain="local", version=1)
    model.graph.node[1].op_type, model.graph.node[1].domain = "Act", "local"
    assert [n.op for n in from_model(model).nodes[:2]] == ["Conv", "Relu"]


def test_initializers_may_be_listed_as_inputs() -> None:
    model = chain()
    for tensor in model.graph.initializer:
        info = helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        model.graph.input.append(info)
    assert [t.name for t in from_model(model).inputs] == ["x"]


@pytest.mark.parametrize("version", [9, 13, 18, 22, 26])
def test_other_opsets_are_converted(version: int) -> None:
    if version > onnx.defs.onnx_opset_version():
        pytest.skip(f"onnx {onnx.__version__} knows no opset {version}")
    model = chain()
    model.opset_import[0].version = version
    model.metadata_props.add(key="author", value="a user")
    graph = from_model(model)
    assert graph.opset == 21
    assert state_of(graph).metadata == {"author": "a user"}


@pytest.mark.parametrize(
    ("elem_type", "shape"), [(TensorProto.FLOAT, [1, 3, 9, 9]), (TensorProto.INT64, [1, 4, 16, 16])]
)
def test_what_tools_left_of_inner_tensors_is_no_contradiction(elem_type: int, shape: list[int]) -> None:
    model = chain()
    inner = model.graph.node[0].output[0]
    del model.graph.value_info[:]
    model.graph.value_info.append(helper.make_tensor_value_info(inner, elem_type, shape))
    found = from_model(model).tensors()[inner]
    assert (list(found.shape), np.dtype(found.dtype)) == ([1, 4, 8, 8], np.dtype(np.float32))


def joined(shape: list[int | str], elem_type: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """Return a network that adds a second input ``z`` to its first."""
    model = chain()
    set_input(model, 0, "N")
    first = helper.make_node("Add", ["x", "real"], ["sum"], "add")
    model.graph.node.insert(0, helper.make_node("Cast", ["z"], ["real"], "cast", to=TensorProto.FLOAT))
    model.graph.node.insert(1, first)
    model.graph.node[2].input[0] = "sum"
    model.graph.input.append(helper.make_tensor_value_info("z", elem_type, shape))
    return model


@pytest.mark.parametrize(
    ("shape", "elem_type", "loaded"),
    [
        (["N", 2, 16, 16], TensorProto.FLOAT, [1, 2, 16, 16]),
        (["M", 2, 16, 16], TensorProto.INT64, [1, 2, 16, 16]),
        ([1, 2, 1, 1], TensorProto.BOOL, [1, 2, 1, 1]),
        ([2, 16, 16], TensorProto.INT32, [2, 16, 16]),  # no batch in front: the other input has it
        ([16], TensorProto.UINT8, [16]),
        ([], TensorProto.INT8, []),
    ],
)
def test_each_of_several_inputs_has_batch_1(
    shape: list[int | str], elem_type: int, loaded: list[int]
) -> None:
    graph = from_model(joined(shape, elem_type))
    assert [list(t.shape) for t in graph.inputs] == [[1, 2, 16, 16], loaded]


def test_the_refused_one_of_several_inputs_is_named(tmp_path: Path) -> None:
    assert "input 'z' of model.onnx has dynamic dimensions: ['N', 2, 'H', 16]" in refused_model(
        joined(["N", 2, "H", 16]), tmp_path
    )
    model = joined([4, 2, 16, 16])
    set_input(model, 0, 4)
    assert "input 'x' of model.onnx is [4, 2, 16, 16]: a fixed batch of 4" in refused_model(model, tmp_path)


def test_images_of_bytes() -> None:
    model = chain()
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    model.graph.node.insert(0, helper.make_node("Cast", ["x"], ["real"], "cast", to=TensorProto.FLOAT))
    model.graph.node[1].input[0] = "real"
    assert from_model(model).inputs[0].dtype == np.uint8


@pytest.mark.parametrize(
    ("op", "attrs", "parameters"),
    [("GroupNormalization", {"num_groups": 2}, 2), ("MeanVarianceNormalization", {}, 0)],
)
def test_shapes_that_the_library_does_not_infer(op: str, attrs: dict[str, int], parameters: int) -> None:
    net = NetBuilder((1, 4, 8, 8))
    x = "x"
    for _ in range(3):
        x = net.op("Relu", net.conv(x, 4, 4))
    one = net.const(np.ones(4))
    model = net.model(net.op("Mul", net.conv(x, 4, 4, strides=[2, 2]), net.const(1.0)))
    del model.graph.value_info[:]
    model.graph.initializer.append(numpy_helper.from_array(np.ones(4, np.float32), one))
    for node in model.graph.node:
        if node.op_type == "Relu":
            node.op_type = op
            node.input.extend([one] * parameters)
            node.attribute.extend(helper.make_attribute(key, value) for key, value in attrs.items())
    graph = from_model(model)
    assert [node.op for node in graph.nodes] == ["Conv", op] * 3 + ["Conv", "Mul"]
    assert [list(node.outputs[0].shape) for node in graph.nodes] == [[1, 4, 8, 8]] * 6 + [[1, 4, 4, 4]] * 2
    assert {key: graph.nodes[1].attrs[key] for key in attrs} == attrs
    image = batch_of(model, 1)
    for expected, found in zip(run_model(model, image), run_model(to_model(graph), image), strict=True):
        np.testing.assert_array_equal(expected, found)
    onnx.checker.check_model(to_model(graph), full_check=True)


def test_group_normalization_of_earlier_operator_sets_scales_groups() -> None:
    text = (
        "n (float[1,4,8,8] x) => (float[1,4,8,8] y) <float[SIZE] s = {SCALE}, float[SIZE] b = {BIAS}> "
        "{ y = GroupNormalization<num_groups=2>(x, s, b) }"
    )
    found = []
    for opset, size, scale, bias in ((18, "2", "1,3", "0,5"), (21, "4", "1,1,3,3", "0,0,5,5")):
        body = text.replace("SIZE", size).replace("SCALE", scale).replace("BIAS", bias)
        graph = from_model(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> {body}'))
        found.append(run_model(to_model(graph), batch_of(to_model(graph), 1))[0])
    np.testing.assert_array_equal(found[0], found[1])
    assert found[0][0, 2:].mean() > 4


def test_of_several_nodes_that_fail_the_first_is_blamed(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["": 21]> n (float[1,4,8,8] x) => (float[1,8,8,8] c) '
        "{ [sum] a = Add(x, k) [join] b = Concat<axis=1>(x, l) [last] c = Concat<axis=1>(a, b) }"
    )
    model.graph.initializer.append(numpy_helper.from_array(np.ones((1, 3, 8, 8), np.float32), "k"))
    model.graph.initializer.append(numpy_helper.from_array(np.ones((1, 3, 7, 8), np.float32), "l"))
    message = refused_model(model, tmp_path)
    assert "(op_type:Add, node name: sum)" in message
    assert "Concat" not in message


@pytest.mark.parametrize("weights", [np.int8, np.uint8])
@pytest.mark.parametrize("listed", [True, False])
def test_quantized_weights_of_files_of_the_third_version(weights: type, listed: bool) -> None:
    """Such files list weights as inputs; where one does not, the converter of onnx finds none."""
    model = onnx.parser.parse_model(
        '<ir_version: 3, opset_import: ["": 10]> n (float[1,2,8,8] x) => (float[1,4,8,8] y) '
        "{ xq = QuantizeLinear(x, s, z) yq = QLinearConv<pads=[1,1,1,1]>(xq, s, z, w, s, wz, s, z, b) "
        "y = DequantizeLinear(yq, s, z) }"
    )
    values: dict[str, np.ndarray] = {
        "s": np.array(0.1, np.float32), "z": np.array(3, np.uint8), "w": np.ones((4, 2, 3, 3), weights),
        "wz": np.array(0, weights), "b": np.zeros(4, np.int32),
    }  # fmt: skip
    for name, value in values.items():
        model.graph.initializer.append(numpy_helper.from_array(value, name))
        if listed:
            kind = model.graph.initializer[-1].data_type
            model.graph.input.append(helper.make_tensor_value_info(name, kind, list(value.shape)))
    graph = from_model(model)
    assert [t.name for t in graph.inputs] == ["x"]
    assert [node.op for node in graph.nodes] == ["QuantizeLinear", "QLinearConv", "DequantizeLinear"]


UNBATCHED = {
    "channels, rows, columns": ("float[3,8,8] x", "u = Unsqueeze(x, zero)", [1, 3, 8, 8]),
    "rows and columns": ("float[8,24] x", "u = Reshape(x, four)", [1, 8, 24]),
    "the first found out": ("float[8,24] x", "u = Reshape(x, found)", [1, 8, 24]),
    "read twice": (
        "float[3,8,8] x",
        "v = Unsqueeze(x, zero) r = Unsqueeze(x, zero) u = Add(v, r)",
        [1, 3, 8, 8],
    ),
    "behind normalization": (
        "float[3,8,8] x",
        """m = Constant<value: tensor = float[3,1,1] {0.5,0.4,0.3}>()
        k = Constant<value: tensor = float {2.0}>() s = Sub(x, m) d = Div(s, k) u = Unsqueeze(d, zero)""",
        [1, 3, 8, 8],
    ),
    "one axis": ("float[192] x", "u = Reshape(x, four)", [192]),
}


@pytest.mark.parametrize("case", UNBATCHED)
def test_an_input_without_batch_is_no_batch_of_many(case: str) -> None:
    entry, reading, loaded = UNBATCHED[case]
    model = onnx.parser.parse_model(
        f'<ir_version: 10, opset_import: ["": 21]> n ({entry}) => (float[1,3,8,8] y) '
        "<int64[1] zero = {0}, int64[4] four = {1,3,8,8}, int64[4] found = {-1,3,8,8}> "
        f"{{ {reading} y = Relu(u) }}"
    )
    graph = from_model(model)
    assert [list(t.shape) for t in graph.inputs] == [loaded]
    assert list(graph.outputs[0].shape) == [1, 3, 8, 8]


@pytest.mark.parametrize(
    "text",
    [
        "(float[4,28,28] x) => (float[4,784] y) <int64[2] s = {-1,784}> { y = Reshape(x, s) }",
        "(float[3,8,8] x) => (float[3,1,8,8] y) <int64[1] s = {1}> { y = Unsqueeze(x, s) }",
        "(float[4,2,8,8] x) => (float[4,2,8,8] y) { y = Relu(x) }",
        "(float[3,8,8] x) => (float[1,3,8,8] y) <int64[1] s = {0}> { d = Mul(x, x) y = Unsqueeze(d, s) }",
        """(float[4,2,8,8] x) => (float[1,4,2,8,8] y) <int64[1] s = {0}, float two = {2.0}>
        { d = Mul(x, two) y = Unsqueeze(d, s) e = Relu(d) }""",
    ],
)
def test_a_fixed_batch_is_refused(text: str) -> None:
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> n {text}')
    with pytest.raises(InputError, match=r"a fixed batch of [34], or no batch in front"):
        from_model(model)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "(float[N,4] x) => (float[N,8] y) "
            "{ s = SequenceConstruct(x, x) y = ConcatFromSequence<axis=1>(s) }",
            r"what SequenceConstruct 'sequenceconstruct_0' of net writes is no tensor \(type sequence\)",
        ),
        (
            "(float[N,4] x) => (float[N,4] y) { s = Optional(x) y = OptionalGetElement(s) }",
            r"what Optional 'optional_0' of net writes is no tensor \(type optional\)",
        ),
        (
            "(float[1,6,4] b, float[1,1,6] s) => (int64[K,3] y) { y = NonMaxSuppression(b, s) }",
            "how many results NonMaxSuppression 'nonmaxsuppression_0' has depends on the image",
        ),
        (
            "(float[1,6] x) => (int64[2,K] y) { y = NonZero(x) }",
            "how many results NonZero 'nonzero_0' has depends on the image",
        ),
    ],
)
def test_what_is_no_tensor_of_one_shape_is_refused_as_that(text: str, message: str) -> None:
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> n {text}')
    with pytest.raises(InputError, match=message):
        from_model(model, "net")


def test_versions_of_operators_that_no_node_is_of_are_dropped() -> None:
    model = chain()
    model.opset_import.add(domain="com.acme", version=1 << 40)
    written = to_model(from_model(model))
    assert [o.domain for o in written.opset_import] == [""]
    onnx.checker.check_model(written, full_check=True)
