"""The version is that of the installed package."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import eecompile
from eecompile.version import FOLDER, version

ROOT = Path(__file__).parents[2]


def test_the_version_is_that_of_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def found(name: str) -> str:
        asked.append(name)
        return "7.8.9"

    monkeypatch.setattr(metadata, "version", found)
    assert version() == "7.8.9"
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"]
    assert asked == [declared]


def test_a_source_tree_that_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert version() == "0+source"


def test_the_folder_is_that_of_the_package() -> None:
    assert Path(str(eecompile.__file__)) == FOLDER / "__init__.py"
