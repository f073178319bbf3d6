"""A server that the tests of a file share, and one of made-up networks for each test that asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eecompile import api
from eecompile.server import kinds
from eecompile.server.running import RunningServer
from tests.eecompile.runtime.small_run import write_small_run
from tests.eecompile.server.asking import Client
from tests.eecompile.server.made_model import KIND, MadeModel, write_made


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_run(tmp_path_factory.mktemp("served") / "small")[0]


@pytest.fixture(scope="module")
def server(small_run: Path) -> Iterator[RunningServer]:
    """One that serves ``small``, with bodies of 100 kB at most."""
    with api.serve(small_run, port=0, max_body=100_000, max_queue=64) as found:
        yield found


@pytest.fixture
def client(server: RunningServer) -> Client:
    return Client(server.url)


Made = Callable[..., tuple[RunningServer, MadeModel, Client]]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    """Return what starts a server of a made-up network ``made``, with options of `api.serve`."""
    monkeypatch.setattr(kinds, "KINDS", (KIND,))
    started: list[RunningServer] = []

    def start(
        settings: dict[str, Any] | None = None, **options: Any
    ) -> tuple[RunningServer, MadeModel, Client]:
        folder = write_made(tmp_path / "made", **(settings or {}))
        server = api.serve(folder, port=0, **options)
        started.append(server)
        MadeModel.last.ran.clear()
        MadeModel.last.begun.clear()
        return server, MadeModel.last, Client(server.url)

    yield start
    for server in started:
        MadeModel.last.gate.set()
        server.stop()
