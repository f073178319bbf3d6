"""Places that cannot be written to, full disks and interruptions: nothing half-written stays."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import pytest

from tests.eecompile.cli.refusals import contents, refused
from tests.eecompile.fabricated_run import write_run
from tests.eecompile.small_models import write_images, write_skip_net
from tests.needs import needs_torch

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


@needs_torch
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_training(tmp_path: Path, number: signal.Signals, own_cache: Path) -> None:
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
    assert f"what was done so far is kept in {own_cache}: the same run goes on from there" in rest
    assert contents(tmp_path) == before
    assert list(own_cache.glob("training/*/*/*.pt"))
