"""Stages as values: what reads them needs no scheduler."""

from __future__ import annotations

import subprocess
import sys


def test_the_values_load_no_scheduler() -> None:
    told = "import sys, targets.stage_use; print([m for m in sys.modules if m.startswith('targets.')])"
    found = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['targets.stage_use']"
