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
        asks = [open_loop.request(server.url, "small", images[n : n + 1]) for n in range(len(images))]
        expected = EarlyExitSession(folder).run(images).exit
        latency, exits = open_loop.offer(server.url, asks, None)
        assert exits.tolist() == expected.tolist() and (latency > 0).all()
        gate.clear()
        threading.Timer(0.3, gate.set).start()
        send = np.array([0.0, 0.1, 0.2])
        latency, exits = open_loop.offer(server.url, asks[:3], send)
        assert exits.tolist() == expected[:3].tolist()
        assert (latency > 0.29 - send).all(), latency
        gate.set()
        bad = asks[0].replace(b'"images"', b'"pixels"')
        with pytest.raises(RuntimeError, match=r"400 Bad Request.*pixels"):
            open_loop.offer(server.url, [bad], None)


def test_a_core_reads_and_writes_before_it_runs_stages() -> None:
    """Reading takes .2 s, stages .2 and .3 s, writing .1 s; the second request and the third leave early."""
    parts = [[0.2, 0.2, 0.3, 0.1], [0.2, 0.2, 0.1], [0.2, 0.2, 0.1]]
    found = serving_measured.simulated(np.array([0.0, 0.1, 10.0]), parts)
    # The second is read behind the first, before its stages; it waits for both of them and for the answer.
    np.testing.assert_allclose(found, [1.0, 1.2, 0.5])


def test_what_threads_took_until_the_next_request_is_that_of_the_one_before() -> None:
    """The clock of HTTP stands at 1, 1.5 and 2.5 s, that of stages at 0, 1 and 1.4 s when requests begin."""
    noted = np.array([[0, 0.3, 1.0, 0.0], [1, 0.5, 1.0, 0.4], [0, 0.2, 1.5, 1.0], [0, 0.2, 2.5, 1.4]])
    found = serving_measured.core_times(noted, 0.25)
    np.testing.assert_allclose(found.http, [0.5, 1.0, 0.75])
    assert [len(one) for one in found.stages] == [2, 1, 1]
    np.testing.assert_allclose([sum(one) for one in found.stages], [1.0, 0.4, 0.7])
    np.testing.assert_allclose(found.parts()[0], [0.375, 0.5, 0.5, 0.125])


def test_a_server_that_notes_is_fed_to_the_simulation(tmp_path: Path) -> None:
    folder, images = write_small_run(tmp_path / "small")
    images = images[:-1]
    leaves = EarlyExitSession(folder).run(images).exit
    with serving_measured.serving(folder, [0]) as server:
        asks = [open_loop.request(server.url, server.model, images[n : n + 1]) for n in range(len(images))]
        before = serving_measured.alone(server, asks, leaves)
        assert 0.02 < before.writing < 0.98 and before.http_s > 0 and (before.stage_s > 0).all()
        some = np.arange(40) % len(images)
        latency, exits = open_loop.offer(server.url, [asks[n] for n in some], np.linspace(0.0, 0.08, 40))
        noted, writes = server.noted()
    assert (exits == leaves[some]).all() and len(writes) >= 39, "the last may not be noted yet"
    times = serving_measured.core_times(noted, 0.3)
    assert sorted(len(one) - 1 for one in times.stages) == sorted(exits.tolist())
    assert (latency > 0).all()
