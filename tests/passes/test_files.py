"""Files that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from passes.errors import InputError
from passes.files import write_atomic


@pytest.mark.parametrize("data", [b"", b"new", bytes(range(256)) * 5000])
@pytest.mark.parametrize("there", [False, True])
def test_a_file_holds_what_was_written(tmp_path: Path, data: bytes, there: bool) -> None:
    path = tmp_path / "file"
    if there:
        path.write_bytes(b"a longer text that was there before")
    write_atomic(path, data)
    assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"new")
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(InputError, match=r"cannot write .*No space left on device\nfree some space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path], "nothing half-written"


def test_a_disk_that_fills_up_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(handle: int, _mode: str) -> object:
        os.close(handle)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(InputError, match=r"cannot write .*file: No space left on device\nfree some space"):
        write_atomic(path, b"new")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"file": b"old"}


def test_an_interrupt_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "chmod", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, b"new")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"file": b"old"}


@pytest.mark.parametrize(
    ("folder", "reason"), [("gone", "No such file or directory"), ("file", "Not a directory")]
)
def test_a_folder_that_is_none(tmp_path: Path, folder: str, reason: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=rf"cannot write to .*{folder}: {reason}\nchoose a folder"):
        write_atomic(tmp_path / folder / "model.onnx", b"new")


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").mkdir()
    with pytest.raises(InputError, match=r"cannot write .*model\.onnx: Is a directory"):
        write_atomic(tmp_path / "model.onnx", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]
