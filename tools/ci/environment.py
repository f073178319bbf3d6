"""A virtual environment with this project in it, and its tests run there."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venvs"
PINS = ROOT / "constraints.txt"
# What the core's tests need; torch, of the extra `train`, is left out.
EXTRAS = "images,solver,search,frames,plot,serve,test"
TESTS = "not slow and not wheel"


def make(name: str, interpreter: str | Path) -> Path:
    """Make an empty environment ``.venvs/<name>``, in place of an older one; returns its Python."""
    folder = FOLDER / name
    subprocess.run([interpreter, "-m", "venv", "--clear", folder], check=True)
    return folder / "bin" / "python"


def install(python: Path, constraints: Path | None) -> bool:
    """Install this project with ``EXTRAS``, of wheels alone; returns whether that could be done."""
    command: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--only-binary", ":all:"]
    command += ["-c", constraints] if constraints else []
    return subprocess.run([*command, "-e", f"{ROOT}[{EXTRAS}]"], check=False).returncode == 0


def test(python: Path, arguments: Sequence[str] = ()) -> None:
    """Run the tests, without those that take long; those that need torch say so and are skipped.

    Raises:
        SystemExit: torch is there, or a test fails.
    """
    absent = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is not None)"
    if subprocess.run([python, "-c", absent], check=False).returncode:
        raise SystemExit("torch is in an environment that shall do without")
    command: list[str | Path] = [
        python,
        "-m",
        "pytest",
        "-n",
        "2",
        "--dist",
        "loadfile",
        "-m",
        TESTS,
        "-rs",
        *arguments,
    ]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code:
        raise SystemExit(code)
