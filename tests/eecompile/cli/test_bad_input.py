"""Bad input through the command line: exit code 2, one helpful message, and nothing half-written."""

from __future__ import annotations

import errno
import gzip
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser
from typer.testing import CliRunner

from eecompile.cli import main as cli
from tests.eecompile.fabricated_run import write_run
from tests.eecompile.small_models import skip_net, write_images, write_skip_net
from tests.needs import needs_torch
from tests.passes.any_networks import NO_CLASSIFIERS, network

VERBS = (
    ("run", "{model}", "-o", "out"),
    ("cost", "{model}"),
    ("inspect", "{model}"),
    ("opt", "{model}", "-p", "canonicalize", "-o", "new/new.onnx", "--save-stages", "stages/all"),
)
Change = Callable[[onnx.ModelProto], object]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An otherwise empty working folder with the good network ``net.onnx``."""
    write_skip_net(tmp_path / "net.onnx")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # left temporary files would show, too
    return tmp_path


def contents(folder: Path) -> dict[str, bytes | None]:
    found = sorted(folder.rglob("*"))
    return {str(p): p.read_bytes() if p.is_file() and not p.is_symlink() else None for p in found}


def refused(folder: Path, *arguments: object) -> str:
    """Return the message of a command that must refuse its input and leave ``folder`` as it was."""
    before = contents(folder)
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    progress = [line for line in result.stderr.splitlines() if line.lstrip()[:1].isdigit()]
    message = [line for line in result.stderr.splitlines() if line not in progress]
    assert message[0].startswith(("error: ", "Usage: "))
    assert sum(line.lower().startswith("error: ") for line in message) == 1
    assert len(message) >= 2, "it must say what to do"
    assert "Traceback" not in result.stderr
    assert contents(folder) == before, "something was written"
    return "\n".join(message)


def refused_model(folder: Path, model: Path | str, verbs: tuple[tuple[str, ...], ...] = VERBS) -> str:
    """Return the message all of ``verbs`` give for a bad model."""
    messages = {refused(folder, *(word.format(model=model) for word in verb)) for verb in verbs}
    assert len(messages) == 1, "every verb says the same"
    return messages.pop()


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
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    (relu,) = [node for node in model.graph.node if node.output[0] == "g"]
    relu.CopyFrom(helper.make_node("If", ["yes"], ["g"], name="branch", **bodies))
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


@pytest.mark.parametrize(
    ("options", "message", "fix"),
    [
        (["--target", "dianna"], "unknown target 'dianna'", "did you mean 'diana'?"),
        (["--exits", "relu_99"], "no tensor or node is called 'relu_99'", "did you mean 'relu_0'"),
        (["--exits", "relu_1"], "'relu_1' cannot carry an exit: bypassed", "mounts of this network: relu_0"),
        (["--exits", "0"], "the number of exits must be at least 1, not 0", "final classifier comes on top"),
        (["--exits", "-1"], "the number of exits must be at least 1, not -1", "final classifier"),
        (["--exits", "9"], "9 exits asked for, but this network has 2 mounts", "ask for at most 2"),
        (["--exits", "relu_0,a"], "'a' cannot carry an exit: relu_0 follows at once", "relu_0, add_0"),
        (["--exits", "relu_0,zz"], "no tensor or node is called 'zz'", "known: add_0, relu_0"),
        (["--exits", "relu_0,b"], "'relu_0' and 'b' are the same mount", "name each mount once"),
        (["--exits", ""], "no tensor or node is called ''", "known: add_0, relu_0"),
        (["--exits", "²"], "no tensor or node is called '²'", "known: add_0, relu_0"),
        (["--head", "liner"], "unknown head 'liner'", "did you mean 'linear'?"),
        (["--objective", "eap"], "unknown objective 'eap'", "did you mean 'edp'?"),
        (["--cost-model", "macth"], "no cost model 'macth'", "did you mean 'match'?"),
        (
            ["--data", "digits", "--max-drop", "-0.5"],
            "--max-drop -0.5 is not a number of points",
            "1.0 allows",
        ),
        (["--data", "digits", "--max-drop", "nan"], "--max-drop nan is not a number of points", "1.0 allows"),
        (["--data", "digits", "--max-drop", "inf"], "--max-drop inf is not a number of points", "1.0 allows"),
        (["--max-drop", "little"], "Invalid value for '--max-drop'", "valid"),
        (
            ["--data", "digits", "--seed", "-1"],
            "--seed must be between 0 and 4294967295, not -1",
            "example: --seed 0",
        ),
        (["--data", "digits", "--seed", "4294967296"], "--seed must be between", "example: --seed 0"),
    ],
)
def test_bad_options_of_run(folder: Path, options: list[str], message: str, fix: str) -> None:
    said = refused(folder, "run", "net.onnx", "-o", "out", *options)
    assert message in said
    assert fix in said


def test_unknown_pass(folder: Path) -> None:
    message = refused(folder, "opt", "net.onnx", "-p", "canonicalize,fuse-layer", "-o", "new/new.onnx")
    assert "unknown pass 'fuse-layer'" in message
    assert "did you mean 'fuse-layers'?" in message


def test_pass_that_cannot_run(folder: Path) -> None:
    message = refused(folder, "opt", "net.onnx", "-p", "canonicalize,quantize", "-o", "new/new.onnx")
    assert "no calibrated ranges" in message


def test_exits_for_a_network_that_has_some(folder: Path) -> None:
    done = CliRunner().invoke(cli.app, ["opt", "net.onnx", "-p", "insert-exits{at=1}", "-o", "two.onnx"])
    assert done.exit_code == 0, done.output
    message = refused(folder, "run", "two.onnx", "--exits", "1", "-o", "out")
    assert "two.onnx has 2 exits already" in message


class Trap:
    """An object whose unpickling makes the file ``sprung``."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return os.mkdir, (str(Path("sprung").absolute()),)


def images(**changes: Any) -> dict[str, Any]:
    with np.load(write_images(Path("good.npz"))) as archive:
        found = {**archive, **changes}
    return {name: values for name, values in found.items() if values is not None}


RNG = np.random.default_rng(0)
BAD_IMAGES: dict[str, tuple[dict[str, Any], str]] = {
    "size": (
        {f"{s}_x": np.zeros((n, 3, 8, 8), np.uint8) for s, n in (("train", 64), ("val", 32), ("test", 32))},
        "images of shape [3, 8, 8], the model takes [3, 16, 16]",
    ),
    "splits differ": ({"test_x": np.zeros((32, 3, 8, 8), np.float32)}, "store all splits in one size"),
    "class count": ({"classes": np.int64(7)}, "has 7 classes, the model has 4"),
    "label": ({"test_y": np.arange(32) % 5}, "6 of 32 test labels lie outside the model's 4 classes"),
    "negative label": ({"val_y": np.arange(32) - 1}, "holds the label -1"),
    "labels as text": ({"train_y": np.array(["cat"] * 64)}, "train_y in data.npz has labels of type <U3"),
    "too few labels": ({"train_y": np.arange(63) % 4}, "has 63 labels for 64 images"),
    "missing": ({"train_y": None, "test_x": None}, "data.npz has no train_y, test_x"),
    "nan": ({"val_x": np.full((32, 3, 16, 16), np.nan, np.float32)}, "val_x in data.npz holds NaN"),
    "objects": ({"train_x": np.array([Trap()] * 64, object)}, "holds Python objects, which are never loaded"),
    "label objects": ({"val_y": np.array([Trap()] * 32, object)}, "holds Python objects, which are never"),
}  # fmt: skip


@needs_torch
@pytest.mark.parametrize("case", BAD_IMAGES)
def test_bad_images(folder: Path, case: str) -> None:
    changes, message = BAD_IMAGES[case]
    np.savez("data.npz", **images(**changes))
    assert message in refused(folder, "run", "net.onnx", "--data", "data.npz", "-o", "out")
    assert not (folder / "sprung").exists()


def test_the_trap_springs_when_unpickled(folder: Path) -> None:
    np.savez("data.npz", train_x=np.array([Trap()], object))
    with np.load("data.npz", allow_pickle=True) as archive:
        archive["train_x"]
    assert (folder / "sprung").exists(), "or the tests above prove nothing"


@needs_torch
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("digit", "no data called 'digit', and no such file or folder\n  did you mean 'digits'?"),
        ("digits", "digits has images of shape [1, 8, 8], the model takes [3, 16, 16]"),
        ("gone.npz", "there is no file gone.npz"),
        ("net.onnx", "net.onnx is neither an .npz file nor a folder of images"),
        ("text.npz", "text.npz is not an .npz: not a zip archive, or cut short"),
        ("half.npz", "half.npz is not an .npz: not a zip archive, or cut short"),
        ("empty", "empty"),
        ("", "the name of the data is empty"),
    ],
)
def test_bad_data(folder: Path, spec: str, message: str) -> None:
    (folder / "text.npz").write_text("1, 2, 3")
    write_images(folder / "half.npz")
    os.truncate("half.npz", 10_000)
    (folder / "empty").mkdir()
    assert message in refused(folder, "run", "net.onnx", "--data", spec, "-o", "out")


@needs_torch
@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("imagnet", "unknown preprocessing 'imagnet'\n  did you mean 'imagenet'"),
        ("mean=0.5,std=0", "mean must be finite and std positive"),
        ("mean=x,std=1", "could not convert string to float"),
        ("mean=1,2,std=1,2", "the images already hold values outside 0..255"),
        ("unit", "the images already hold values outside 0..255"),
    ],
)
def test_bad_preprocessing(folder: Path, rule: str, message: str) -> None:
    write_images(folder / "data.npz")
    options = ["--data", "data.npz", "--preprocess", rule, "-o", "out"]
    assert message in refused(folder, "run", "net.onnx", *options)


@needs_torch
def test_data_for_a_network_without_weights(folder: Path) -> None:
    model = skip_net()
    del model.graph.initializer[:]
    onnx.save(model, "shapes.onnx")
    write_images(folder / "data.npz")
    message = refused(folder, "run", "shapes.onnx", "--data", "data.npz", "-o", "out")
    assert "shapes.onnx has no weights" in message


# Folders that nobody can write to, root included.
UNWRITABLE = {
    "a file": ("net.onnx", "net.onnx is a file"),
    "under a file": ("net.onnx/out", "cannot write to net.onnx/out: Not a directory"),
    "/proc": ("/proc/eecompile/out", "cannot write to /proc/eecompile/out: No such file or directory"),
    "too long": ("new/" + "x" * 300, "File name too long"),
}


@pytest.mark.parametrize("case", UNWRITABLE)
def test_unwritable_run_directory(folder: Path, case: str) -> None:
    out, message = UNWRITABLE[case]
    assert message in refused(folder, "run", "net.onnx", "-o", out)


@pytest.mark.parametrize("out", ["net.onnx/new", "/proc/new", "/proc/self/new/file", "x" * 300])
def test_unwritable_files(folder: Path, out: str) -> None:
    write_run(folder / "run")
    for command in (
        ["opt", "net.onnx", "-p", "canonicalize", "-o", out],
        ["opt", "net.onnx", "-p", "canonicalize", "--save-stages", f"{out}/stages"],
        ["report", "run", "-o", out],
    ):
        message = refused(folder, *command)
        assert "cannot write" in message or "net.onnx is a file" in message


class Full(io.BytesIO):
    """A file on a disk that has room for half of what is written."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self._stream = stream

    def write(self, data: Any) -> int:
        self._stream.write(data[: len(data) // 2])
        self._stream.close()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fill_disk_after(files: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the disk be full when file number ``files`` (from 0) is written."""
    opened: list[int] = []
    real = os.fdopen

    def fdopen(handle: int, mode: str) -> Any:
        opened.append(handle)
        stream = real(handle, mode)
        return Full(stream) if len(opened) > files else stream

    monkeypatch.setattr(os, "fdopen", fdopen)


@pytest.mark.parametrize("files", [0, 3, 5])
def test_full_disk_leaves_no_run(folder: Path, monkeypatch: pytest.MonkeyPatch, files: int) -> None:
    fill_disk_after(files, monkeypatch)
    message = refused(folder, "run", "net.onnx", "-o", "deep/out")
    assert "No space left on device\n  free some space or choose another folder" in message


def test_full_disk_leaves_an_earlier_run_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(folder / "out")
    fill_disk_after(2, monkeypatch)
    assert "No space left on device" in refused(folder, "run", "net.onnx", "-o", "out")
    assert "No space left on device" in refused(folder, "report", "out")


def test_full_disk_leaves_an_earlier_model_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_disk_after(0, monkeypatch)
    message = refused(folder, "opt", "net.onnx", "-p", "canonicalize", "-o", "net.onnx")
    assert "cannot write net.onnx: No space left on device" in message


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_full_disk_behind_stdout() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "eecompile.cli.main", "targets", "--json"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: the disk is full\n")
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_what_is_no_run(folder: Path) -> None:
    run = write_run(folder / "run")
    (folder / "empty").mkdir()
    shutil.copytree(run, folder / "half")
    os.truncate(folder / "half" / "summary.json", 100)
    for verb in (["report"], ["compare", "run"], ["compare", "net.onnx"]):
        for name in ("empty", "gone", "half"):
            message = refused(folder, *verb, name)
            assert ("half" if verb[-1] != "net.onnx" and name == "half" else "") in message
    assert "empty is not a run directory" in refused(folder, "report", "empty")
    assert "half/summary.json" in refused(folder, "report", "half")


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ("edp", "cannot read 'edp'"),
        ("expected.edp_js>", "cannot read 'expected.edp_js>'"),
        ("expected.edp>+2%", "expected.edp"),
        ("expected.edp_js>much", "cannot read 'expected.edp_js>much'"),
    ],
)
def test_bad_gates(folder: Path, gate: str, message: str) -> None:
    run = write_run(folder / "run")
    assert message in refused(folder, "compare", run, run, "--fail-if", gate)


@needs_torch
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_training(tmp_path: Path, number: signal.Signals) -> None:
    write_skip_net(tmp_path / "net.onnx")
    write_images(tmp_path / "data.npz")
    before = contents(tmp_path)
    # One image per step: training takes long enough for the interrupt to hit it.
    code = (
        "import functools, eecompile.run.clock as clock, eecompile.run.steps as job\n"
        "from eecompile.cli.main import main\n"
        "job.Recipe = functools.partial(job.Recipe, batch=1); clock.DETAIL_SECONDS = 0.1; main()"
    )
    command = [sys.executable, "-c", code, "run", "net.onnx", "--data", "data.npz", "-o", "deep/out"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert process.stdout is not None
        for line in process.stderr:
            if "epoch" in line:
                break
        assert list(tmp_path.glob("deep/out/.unfinished-*")), "it was at work"
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait(timeout=20) == 130
        assert process.stdout.read() == ""
    assert rest.endswith("error: interrupted\n")
    assert rest.count("epoch") <= 3, "training went on"
    assert "Traceback" not in rest
    assert contents(tmp_path) == before
