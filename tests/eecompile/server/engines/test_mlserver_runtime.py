"""An exported repository, loaded and answered by MLServer."""

from __future__ import annotations

from pathlib import Path

import pytest

from eecompile import api
from tests.eecompile.server.engines.engine import check, environment, free_port, running


@pytest.mark.engines
def test_mlserver_answers_as_the_session(small_run: Path, tmp_path: Path) -> None:
    commands = environment(tmp_path, "mlserver")
    api.export(small_run, model_repository=tmp_path / "models")
    names = ("HTTP", "GRPC", "METRICS")
    ports = {name: free_port() for name in names}
    told = {f"MLSERVER_{name}_PORT": str(port) for name, port in ports.items()}
    command = (commands / "mlserver", "start", ".")
    with running(command, tmp_path / "models", told, ports["HTTP"]) as url:
        check(url, small_run)
