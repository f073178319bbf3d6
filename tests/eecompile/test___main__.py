"""``python -m eecompile`` is the command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from eecompile.version import version


def test_the_module_is_the_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "eecompile", "--version"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.stdout == f"eecompile {version()}\n"
