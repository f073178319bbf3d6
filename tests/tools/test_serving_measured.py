"""The client that counts from when it should have sent, and the simulation it is held against."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from eecompile import api
from eecompile.runtime import EarlyExitSession
from eecompile.server import run_model
from tests.eecompile.runtime.small_run import write_small_run
from tools.experiments import open_loop, serving_measured


def test_latency_counts_from_when_a_request_was_to_be_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that stands still for 0.3 s delays all that was to come meanwhile, and that is seen."""
    folder, images = write_small_run(tmp_path / "small")
    images = images[:-1]
    gate = threading.Event()
    gate.set()
    real = run_model.RunModel.run_stage

    def held(self: run_model.RunModel, *given: object) -> object:
        gate.wait(5)
        return real(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(run_model.RunModel, "run_stage", held)
    with api.serve(folder, port=0) as server:
        assert serving_measured.name_of(server.url) == "small"
        asks = [open_loop.request(server.url, "small", images[n : n + 1]) for n in range(len(images))]
        expected = EarlyExitSession(folder).run(images).exit
        latency, exits = open_loop.offer(server.url, asks, None)
        assert exits.tolist() == expected.tolist() and (latency > 0).all()
        before = serving_measured.metrics(server.url)
        gate.clear()
        threading.Timer(0.3, gate.set).start()
        send = np.array([0.0, 0.1, 0.2])
        latency, exits = open_loop.offer(server.url, asks[:3], send)
        assert exits.tolist() == expected[:3].tolist()
        assert (latency > 0.29 - send).all(), latency
        after = serving_measured.metrics(server.url)
        name = 'eecompile_requests_answered_totalmodel="small"'
        assert after[name] - before[name] == 3
        gate.set()
        bad = asks[0].replace(b'"images"', b'"pixels"')
        with pytest.raises(RuntimeError, match=r"400 Bad Request.*pixels"):
            open_loop.offer(server.url, [bad], None)


def test_a_request_is_simulated_with_the_time_it_takes_beside_its_stages() -> None:
    times = serving_measured.Measured(np.array([0.2, 0.3]), beside_s=0.1, around_s=1.0)
    leaves = np.array([0, 1])
    found = serving_measured.simulated(times, np.array([0.0, 0.1, 10.0]), np.array([1, 0, 0]), leaves)
    # 0.1 + 0.2 + 0.3 alone; behind it 0.5 of waiting and 0.1 + 0.2; alone again.
    np.testing.assert_allclose(found, [1.6, 1.8, 1.3])
