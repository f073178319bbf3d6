"""A folder or a module of the user's that is called as one of our packages is told, with both places."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eecompile.neighbours import NEIGHBOURS, check_neighbours, hidden_packages
from eecompile.version import FOLDER

LIBRARY = "import eecompile"


def python(at: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, from where it finds ours behind what lies there."""
    found = os.pathsep.join((str(FOLDER.parent), *sys.path[1:]))
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=at, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": found, **variables},
    )  # fmt: skip


def hide(at: Path, name: str, as_module: bool) -> Path:
    """Write a package or a module of the user's, and return its place."""
    if as_module:
        (at / f"{name}.py").write_text("MINE = 1\n")
        return at / f"{name}.py"
    (at / name).mkdir()
    (at / name / "__init__.py").write_text("MINE = 1\n")
    return at / name


def test_here_nothing_is_hidden() -> None:
    assert hidden_packages() == []
    check_neighbours()


@pytest.mark.parametrize("as_module", [False, True])
@pytest.mark.parametrize("name", NEIGHBOURS)
def test_the_command_tells_both_places_and_nothing_else(tmp_path: Path, name: str, as_module: bool) -> None:
    place = hide(tmp_path, name, as_module)
    done = python(tmp_path, "-m", "eecompile", "targets")
    assert done.returncode == 2 and done.stdout == ""
    error, hint = done.stderr.splitlines()
    assert (
        error
        == f"error: {place} hides the package '{name}' of eecompile, which lies in {FOLDER.parent / name}"
    )
    assert "python -P" in hint and "rename" in hint
    assert python(tmp_path, "-P", "-m", "eecompile", "--version").returncode == 0, "the way out is one"


@pytest.mark.parametrize("call", [LIBRARY, "from eecompile import api", "import eecompile.api"])
def test_a_program_gets_one_error(tmp_path: Path, call: str) -> None:
    place = hide(tmp_path, "passes", as_module=False)
    done = python(tmp_path, "-c", call)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and last.startswith(f"ImportError: {place} hides the package 'passes'")
    assert str(FOLDER.parent / "passes") in last and "ModuleNotFoundError" not in done.stderr


def test_a_folder_without_a_package_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "passes").mkdir()
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "mine.py").write_text("MINE = 1\n")
    assert python(tmp_path, "-m", "eecompile", "--version").returncode == 0


def test_a_package_that_is_loaded_already_is_told(tmp_path: Path) -> None:
    place = hide(tmp_path, "targets", as_module=True)
    done = python(tmp_path, "-c", f"import targets; {LIBRARY}")
    assert f"ImportError: {place} hides the package 'targets'" in done.stderr
    made = "import sys, types; sys.modules['targets'] = types.ModuleType('targets')"
    done = python(tmp_path, "-c", f"{made}; {LIBRARY}")
    assert "ImportError: the package 'targets' of eecompile is not found, and belongs in" in done.stderr
