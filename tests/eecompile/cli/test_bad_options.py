"""Bad options, passes, gates and runs through the command line."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eecompile.cli import main as cli
from tests.eecompile.cli.refusals import refused
from tests.eecompile.fabricated_run import write_run


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
        (["--exits", ""], "--exits '' leaves out a name", "separate names by single commas"),
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
