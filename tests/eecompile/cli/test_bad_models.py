"""Bad networks through the command line: exit code 2, one helpful message, and nothing half-written."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser
from typer.testing import CliRunner

from eecompile.cli import main as cli
from tests.eecompile.cli.refusals import refused, refused_model
from tests.eecompile.small_models import skip_net
from tests.passes.any_networks import NO_CLASSIFIERS, network

Change = Callable[[onnx.ModelProto], object]


def changed(change: Change) -> bytes:
    model = skip_net()
    change(model)
    data: bytes = model.SerializeToString()
    return data


def set_weight(model: onnx.ModelProto, value: float) -> None:
    values = numpy_helper.to_array(model.graph.initializer[0]).copy()
    values.flat[0] = value
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, "w0"))


def custom(model: onnx.ModelProto) -> None:
    model.graph.node[1].domain = "com.acme"
    model.opset_import.add(domain="com.acme", version=1)


def set_input(axis: int, name: str) -> Change:
    return lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[axis], "dim_param", name)


def external(location: str) -> Change:
    def change(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    return change


def zipped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model.onnx", data)
    return buffer.getvalue()


GOOD = changed(lambda _: None)
BAD_MODELS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is not an ONNX model"),
    "text": (b"layers:\n  - conv\n", "is not an ONNX model"),
    "truncated": (GOOD[: len(GOOD) // 2], "is not an ONNX model, or is truncated"),
    "zip": (zipped(GOOD), "is a zip archive (PyTorch checkpoints are, too), not an ONNX model"),
    "gzip": (gzip.compress(GOOD), "is a gzip archive, not an ONNX model"),
    "custom operator": (changed(custom), "uses custom operators: com.acme::Relu"),
    "dynamic height": (changed(set_input(2, "H")), "has dynamic dimensions: [1, 3, 'H', 16]"),
    "nan": (changed(lambda m: set_weight(m, np.nan)), "weights 'w0' of model.onnx hold NaN or infinite"),
    "inf": (changed(lambda m: set_weight(m, np.inf)), "weights 'w0' of model.onnx hold NaN or infinite"),
    "absolute data": (changed(external("/etc/hostname")), "lie outside the model's folder: '/etc/hostname'"),
    "data above": (changed(external("../w.bin")), "lie outside the model's folder: '../w.bin'"),
    "linked data": (changed(external("link.bin")), "lie outside the model's folder: 'link.bin'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_MODELS)
def test_bad_model_files(folder: Path, case: str) -> None:
    data, message = BAD_MODELS[case]
    (folder / "link.bin").symlink_to("/etc/hostname")
    (folder / "model.onnx").write_bytes(data)
    assert message in refused_model(folder, "model.onnx")


def test_no_model_file(folder: Path) -> None:
    assert "no such file: gone.onnx" in refused_model(folder, "gone.onnx")
    assert "File name too long" in refused_model(folder, "x" * 300)
    (folder / "dir.onnx").mkdir()
    assert "dir.onnx is a directory, not an ONNX model" in refused_model(folder, "dir.onnx")


NO_MOUNT = """<ir_version: 10, opset_import: ["": 21]>
    net (float[1,3,16,16] image) => (float[1,4] logits)
    <float[4,3,16,16] w0 = {0}, float[4,3,16,16] w1 = {0}> {
        a = Conv(image, w0)
        b = Conv(image, w1)
        c = Flatten(a)
        d = Flatten(b)
        logits = Add(c, d)
    }"""


def test_no_mount(folder: Path) -> None:
    model = parser.parse_model(NO_MOUNT.replace(" = {0}", ""))
    for name in ("w0", "w1"):
        model.graph.initializer.append(numpy_helper.from_array(np.ones((4, 3, 16, 16), np.float32), name))
    onnx.save(model, "model.onnx")
    message = refused(folder, "run", "model.onnx", "-o", "out")
    assert "no tensor an exit could read: none alone separates the input from the output" in message
    assert "add_0 joins around it" in message
    assert message == refused(folder, "cost", "model.onnx", "--exits", "1")


def test_control_flow(folder: Path) -> None:
    """Its cost is unknown; what it reads must not be taken for unused."""
    model = skip_net()
    bodies = {}
    for name, op in (("then_branch", "Relu"), ("else_branch", "Tanh")):
        result = helper.make_tensor_value_info(f"{op}_out", TensorProto.FLOAT, None)
        bodies[name] = helper.make_graph([helper.make_node(op, ["f"], [result.name])], op, [], [result])
    model.graph.initializer.append(numpy_helper.from_array(np.array(0.0, np.float32), "nothing"))
    (relu,) = [node for node in model.graph.node if node.output[0] == "g"]
    relu.CopyFrom(helper.make_node("If", ["yes"], ["g"], name="branch", **bodies))
    place = list(model.graph.node).index(relu)
    model.graph.node.insert(place, helper.make_node("Greater", ["most", "nothing"], ["yes"], name="sure"))
    model.graph.node.insert(place, helper.make_node("ReduceMax", ["f"], ["most"], keepdims=0, name="most"))
    onnx.save(model, "model.onnx")
    assert "If 'branch' is control flow" in refused(folder, "cost", "model.onnx")
    assert "control flow" in refused(folder, "run", "model.onnx", "-o", "out")
    shown = CliRunner().invoke(cli.app, ["inspect", "model.onnx"], env={"COLUMNS": "200"})
    assert "placement: If 'branch' is control flow" in shown.stdout


@pytest.mark.parametrize("case", NO_CLASSIFIERS)
def test_what_is_no_classifier_is_costed_and_not_run(case: str, folder: Path) -> None:
    text, reason = NO_CLASSIFIERS[case]
    onnx.save(network(text), "model.onnx")
    for refusing in (
        ("run", "model.onnx", "-o", "out"),
        ("cost", "model.onnx", "--target", "gap9", "--exits", "1"),
        ("opt", "model.onnx", "-p", "canonicalize,insert-exits", "-o", "out.onnx"),
        ("opt", "model.onnx", "-p", "quantize", "--data", "digits", "-o", "out.onnx"),
    ):
        message = refused(folder, *refusing)
        assert "not a classifier: " in message
        assert reason in message
        assert "`cost` and `inspect` take any network" in message
    for taking in (
        ("cost", "model.onnx", "--target", "gap9"),
        ("inspect", "model.onnx"),
        ("opt", "model.onnx", "-p", "canonicalize,fuse-layers", "--verify-each", "-o", "out.onnx"),
    ):
        shown = CliRunner().invoke(cli.app, list(taking))
        assert shown.exit_code == 0, (taking, shown.output)
