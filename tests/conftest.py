"""What one test keeps no other finds: each has an empty cache, and each file one for what its tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from eecompile.cache.store import VARIABLE


@pytest.fixture(autouse=True, scope="module")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Let the cache of the user be an empty folder while fixtures are made that tests of a file share."""
    with pytest.MonkeyPatch.context() as patched:
        folder = tmp_path_factory.mktemp("cache")
        patched.setenv(VARIABLE, str(folder))
        yield folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the cache of the user be an empty folder."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder
