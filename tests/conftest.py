"""What one test keeps no other finds: each has an empty cache, and each file one for what its tests share.

Best mappings alone are kept for all tests of a process: each is a function of layer, core and what is asked,
a third of the time of runs went into finding the same ones again, and the tests of the search itself
(`tests/targets/cost`) ask engines of their own.
"""

from __future__ import annotations

import gc
import itertools
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from eecompile.cache.store import VARIABLE
from targets.cost.model.solution import Solution
from targets.cost.model.unrolling import Rules
from targets.cost.search.engine import Engine
from targets.described import engines
from targets.description.hierarchy import Hierarchy

# Behind a shell's `&` SIGINT is ignored, and would be by each process that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_MAPPINGS: dict[tuple[str, int | None, Rules], dict[tuple[object, ...], Solution]] = {}


def _engine(hierarchy: Hierarchy, lpf_limit: int | None, rules: Rules) -> Engine:
    """Return an engine that knows the answers of all engines of equal cores before it."""
    memo = _MAPPINGS.setdefault((repr(hierarchy), lpf_limit, rules), {})
    return Engine(hierarchy, lpf_limit, memo, rules)


@pytest.fixture(autouse=True, scope="session")
def found_mappings() -> Iterator[None]:
    """Let targets find the best mapping of a layer on a core once in all tests."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(engines, "Engine", _engine)
        yield


def pytest_collection_finish() -> None:
    """Let the collector of garbage pass over twelve thousand tests and all that was imported."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Empty folders: `mktemp` looks through all that there are for a number, which takes longer with each."""
    folder = tmp_path_factory.mktemp("caches")

    def made() -> Iterator[Path]:
        for number in itertools.count():
            (folder / str(number)).mkdir()
            yield folder / str(number)

    return made()


@pytest.fixture(autouse=True, scope="module")
def shared_cache(caches: Iterator[Path]) -> Iterator[Path]:
    """Let the cache of the user be an empty folder while fixtures are made that tests of a file share."""
    with pytest.MonkeyPatch.context() as patched:
        folder = next(caches)
        patched.setenv(VARIABLE, str(folder))
        yield folder


@pytest.fixture(autouse=True)
def own_cache(caches: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the cache of the user be an empty folder."""
    folder = next(caches)
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder
