"""What one test keeps no other finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from eecompile.cache.store import VARIABLE


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the cache of the user be an empty folder."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder
