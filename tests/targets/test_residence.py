"""Residence as values: what reads a run needs no scheduler for them."""

from __future__ import annotations

import subprocess
import sys


def test_the_values_load_no_scheduler() -> None:
    told = "import sys, targets.residence; print([m for m in sys.modules if m.startswith('targets.')])"
    found = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['targets.residence']"
