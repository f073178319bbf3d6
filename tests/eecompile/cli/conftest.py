"""A working folder with a good network."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.eecompile.small_models import write_skip_net


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An otherwise empty working folder with the good network ``net.onnx``."""
    write_skip_net(tmp_path / "net.onnx")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # left temporary files would show, too
    return tmp_path
