"""The package itself: light to import, and all it names is there when asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import ModuleType

import pytest

import eecompile
from eecompile.version import version


def after(code: str) -> set[str]:
    """Return the modules that are loaded when a new process has run ``code``."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"],
        capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_what_it_names_is_loaded_when_asked_for_and_not_before() -> None:
    ours = {name for name in after("import eecompile") if name.startswith(("eecompile", "targets", "passes"))}
    assert ours == {"eecompile", "eecompile.neighbours", "eecompile.version"}
    assert "eecompile.api" in after("import eecompile; eecompile.api")
    asked = after("import eecompile; eecompile.__version__")
    assert "importlib.metadata" in asked and "eecompile.api" not in asked


def test_all_that_it_names_is_there() -> None:
    found = {name: getattr(eecompile, name) for name in eecompile.__all__}
    assert set(found) == {"api", "__version__"}
    assert isinstance(found["api"], ModuleType) and found["api"].__name__ == "eecompile.api"
    assert found["__version__"] == version()


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'eecompile' has no attribute 'apy'"):
        eecompile.apy  # noqa: B018 - that it is asked for is the test
    assert not hasattr(eecompile, "version_info")
