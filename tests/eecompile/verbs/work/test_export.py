"""`export` writes the network of a run directory, or says why not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from eecompile import api
from passes.errors import InputError
from passes.model.writing import save
from passes.state import state_of
from tests.eecompile.deployment.c_networks import two_exits
from tests.eecompile.fabricated_run import write_run

THRESHOLD = 0.625


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_exported(tmp_path / "run")


def write_exported(at: Path) -> Path:
    """Write the directory of a run whose network has a form in C."""
    folder = write_run(at)
    graph = two_exits("int8-pow2")
    first, final = state_of(graph).exits
    state_of(graph).exits = [replace(first, threshold=THRESHOLD), final]
    save(graph, folder / "model.lowered.onnx", None)
    summary = json.loads((folder / "summary.json").read_text())
    early, *_, last = summary["exits"]
    summary["exits"] = [early | {"threshold": THRESHOLD}, last]
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def test_files_sizes_and_exits_are_told(run: Path, tmp_path: Path) -> None:
    result = api.export(run, c=True)
    assert result.folder == run / "c" and result.exits == ("exit_0", "final")
    assert sorted(path.name for path in result.folder.iterdir()) == list(result.files)
    assert result.to_json()["rounding"] == "onnxruntime"
    text = (run / "c" / "network.c").read_text()
    assert f"{THRESHOLD.hex()}f" in text and "EMULATED, " in text
    other = api.export(str(run), True, "target", tmp_path / "out")
    assert other.folder == tmp_path / "out" and "HALF_UP, " in (tmp_path / "out" / "network.c").read_text()
    assert "SHA-256" in (tmp_path / "out" / "network.h").read_text()


def test_files_of_two_runs_are_refused(run: Path) -> None:
    summary = (run / "summary.json").read_text()
    (run / "summary.json").write_text(summary.replace(str(THRESHOLD), "0.5"))
    with pytest.raises(InputError, match="other exits or thresholds than summary"):
        api.export(run, c=True)
    assert not (run / "c").exists()


def test_another_rounding_or_no_form_is_refused(run: Path) -> None:
    with pytest.raises(InputError, match="not told what to write"):
        api.export(run)
    with pytest.raises(InputError, match="`rounding` is 'nearest'"):
        api.export(run, True, "nearest")


def test_what_the_program_refuses_is_that_error(run: Path) -> None:
    graph = two_exits("int8-pow2")
    add = next(node for node in graph.nodes if node.op == "Add" and node.inputs[1].inputs)
    add.op = "Sub"
    save(graph, run / "model.lowered.onnx", None)
    with pytest.raises(InputError, match=rf"node '{add.name}' \(Sub\) has no integer form"):
        api.export(run, c=True)
