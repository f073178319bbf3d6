from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import tempfile
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eecompile.verbs.work import listing
from eecompile.verbs.work.doctor import FAIL, OK, REQUIRED, WARN, Diagnosis, Finding, examine


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finding(name: str) -> Finding:
    (found,) = (entry for entry in examine().findings if entry.name == name)
    return found


def test_a_sound_machine_is_healthy_and_nothing_is_left_behind(folder: Path) -> None:
    diagnosis = examine()
    found = {entry.name: entry for entry in diagnosis.findings}
    names = {
        "onnx_graphsurgeon": "onnx-graphsurgeon", "yaml": "PyYAML", "sklearn": "scikit-learn",
        "google.protobuf": "protobuf",
    }  # fmt: skip
    for package in REQUIRED:
        entry = found[names.get(package, package)]
        assert entry.status == OK, entry
        assert entry.detail == importlib.metadata.version(entry.name)
    assert found["targets"].detail == "diana, edge_tpu_quad, gap9, max78000, max78002"
    assert found["example"].status == OK
    assert str(folder) in found["disk"].detail
    assert diagnosis.healthy
    assert list(folder.iterdir()) == []


def test_what_is_not_ok_says_what_to_do() -> None:
    assert all(bool(entry.fix) == (entry.status != OK) for entry in examine().findings)


@pytest.mark.parametrize(("status", "healthy"), [(OK, True), (WARN, True), (FAIL, False)])
def test_only_a_failure_is_unhealthy(status: str, healthy: bool) -> None:
    diagnosis = Diagnosis((Finding("a", OK, ""), Finding("b", status, "seen", "do")))
    assert diagnosis.healthy is healthy
    assert diagnosis.to_json() == {
        "schema_version": 1,
        "healthy": healthy,
        "findings": [
            {"name": "a", "status": OK, "detail": "", "fix": ""},
            {"name": "b", "status": status, "detail": "seen", "fix": "do"},
        ],
    }


def importing(monkeypatch: pytest.MonkeyPatch, name: str, error: Exception) -> None:
    """Let the import of ``name`` raise ``error``."""
    real = importlib.import_module

    def import_module(wanted: str, package: str | None = None) -> types.ModuleType:
        if wanted == name:
            raise error
        return real(wanted, package)

    monkeypatch.setattr(importlib, "import_module", import_module)


@pytest.mark.parametrize(
    ("package", "name", "error", "status", "detail"),
    [
        ("yaml", "PyYAML", ImportError("no module"), FAIL, "cannot be imported: no module"),
        ("onnx", "onnx", OSError("no symbol\nmore"), FAIL, "cannot be imported: no symbol"),
        ("rich", "rich", RuntimeError(), FAIL, "cannot be imported: no message"),
        ("torch", "torch", ImportError("no module"), WARN, "not installed; needed to train heads"),
        ("torch", "torch", OSError("libgomp.so: cannot open"), FAIL, "OSError: libgomp.so: cannot open"),
    ],
)  # fmt: skip
def test_a_package_that_is_missing_or_broken(
    monkeypatch: pytest.MonkeyPatch, package: str, name: str, error: Exception, status: str, detail: str
) -> None:
    importing(monkeypatch, package, error)
    found = finding(name)
    assert found.status == status
    assert found.detail.partition(" (run")[0] == detail
    assert "pip install" in found.fix


def test_torchvision_missing_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    found = finding("torchvision")
    assert (found.status, found.detail.partition(";")[0]) == (WARN, "not installed")


def test_torchvision_broken_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("operator missing")

    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: True)
    monkeypatch.setattr("eecompile.data.torchvision_import.import_torchvision", broken)
    found = finding("torchvision")
    assert found.status == WARN
    assert found.detail.startswith("cannot be imported: operator missing; needed for --data cifar10")


def test_a_probe_that_raises_is_a_finding_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise KeyError("half an installation")

    monkeypatch.setattr(listing, "list_targets", broken)
    found = {entry.name: entry for entry in examine().findings}
    assert (found["targets"].status, found["targets"].detail) == (FAIL, "KeyError: 'half an installation'")
    assert found["disk"].status == OK, "the others are still looked at"


def test_a_compiler_that_changes_the_network_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Session:
        calls = 0

        def run(self, *_: object) -> list[np.ndarray]:
            Session.calls += 1
            return [np.full((1, 4), Session.calls, np.float32)]

    monkeypatch.setattr("eecompile.runtime.sessions.session", lambda _: Session())
    found = finding("example")
    assert found.status == FAIL
    assert found.detail == "a compiled network computes something else than the original"


def usage(free: int) -> Callable[[object], object]:
    return lambda _: types.SimpleNamespace(free=free)


def test_little_space_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", usage(100 * 2**20))
    found = finding("disk")
    assert (found.status, found.detail[-12:]) == (WARN, "0.1 GiB free")
    monkeypatch.setattr(shutil, "disk_usage", usage(600 * 2**20))
    assert finding("disk").status == OK


def test_a_folder_that_may_not_be_written_is_a_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refused)
    found = finding("disk")
    assert (found.status, found.detail) == (WARN, f"{folder} cannot be written to: Permission denied")
    assert "--out" in found.fix


def test_cores_are_those_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert finding("cores").detail == "3 usable"
