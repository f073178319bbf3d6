"""An exported application, run by Ray Serve."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from eecompile import api
from tests.eecompile.server.engines.engine import check, environment, free_port, running


@pytest.mark.engines
def test_ray_serve_answers_as_the_session(small_run: Path, tmp_path: Path) -> None:
    commands = environment(tmp_path, "ray")
    folder = api.export(small_run, ray_serve=tmp_path / "app").folder
    port = free_port()
    settings = folder / "serve.yaml"
    settings.write_text(settings.read_text().replace("port: 8000", f"port: {port}"))
    # A busy machine takes longer than the five seconds that Ray gives; its token lies in the home directory.
    told = {
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
        "RAY_USAGE_STATS_ENABLED": "0",
        "HOME": str(tmp_path),
    }
    with running((commands / "serve", "run", "serve.yaml"), folder, told, port) as url:
        check(url, small_run)
        with urllib.request.urlopen(f"{url}/v2/health/ready", timeout=60) as answer:
            assert json.load(answer) == {"ready": True}
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}/v2/models/other", timeout=60)
        with refused.value as answer:
            assert answer.code == 404
