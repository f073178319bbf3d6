from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest

from eecompile import api
from passes.errors import InputError
from tests.eecompile.runtime.small_run import write_small_run
from tests.eecompile.server.asking import Client
from tests.eecompile.server.conftest import Made


def test_it_says_where_it_is_and_what_it_serves(small_run: Path, tmp_path: Path) -> None:
    said: list[str] = []
    other, _ = write_small_run(tmp_path / "other")
    with api.serve([small_run, other], port=0, policy="edf", batch="fluid:2", progress=said.append) as server:
        assert server.to_json() == {
            "schema_version": 1, "url": server.url, "grpc": None, "models": ["small", "other"],
            "policy": "edf", "batching": "fluid:2", "pid": os.getpid(),
        }  # fmt: skip
        assert server.url.startswith("http://127.0.0.1:") and not server.url.endswith(":0")
        for name in server.models:
            assert Client(server.url).send("GET", f"/v2/models/{name}/ready")[0] == 200
    assert said == [
        f"loading {small_run}", f"loading {other}", f"serving small, other at {server.url}/v2",
        "stopping: 0 images to finish; no more are taken",
        "stopped: 0 requests were taken, 0 answered, 0 given up by their clients, 0 failed",
    ]  # fmt: skip


def test_an_address_that_is_taken_or_none(small_run: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"cannot listen on 127.0.0.1:{port}"):
            api.serve(small_run, port=port)
        if find_spec("tritonclient") is not None:
            with pytest.raises(
                InputError, match=f"cannot listen on 127.0.0.1:{port}\nchoose another `grpc_port`"
            ):
                api.serve(small_run, port=0, grpc_port=port)
    with pytest.raises(InputError, match=r"cannot listen on nowhere\.invalid:0"):
        api.serve(small_run, host="nowhere.invalid", port=0)


def test_a_run_that_cannot_be_served_leaves_nothing_behind(small_run: Path, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with pytest.raises(InputError, match="there is no directory"):
        api.serve([small_run, tmp_path / "none"], port=0)
    assert set(threading.enumerate()) <= before


def test_version_6_of_the_protocol_of_the_internet(small_run: Path) -> None:
    try:
        server = api.serve(small_run, host="::1", port=0)
    except InputError:
        pytest.skip("no IPv6 here")
    with server:
        assert server.url.startswith("http://[::1]:")
        assert Client(server.url).send("GET", "/v2/health/ready")[0] == 200


def test_gRPC_needs_its_package(small_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: N802
    for name in ("tritonclient", "tritonclient.grpc"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "eecompile.server.rpc", raising=False)
    with pytest.raises(InputError, match=r"gRPC needs tritonclient.*\npip install 'eecompile\[grpc\]'"):
        api.serve(small_run, port=0, grpc_port=0)


def test_waiting_ends_with_a_signal_and_handlers_are_put_back(small_run: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    server = api.serve(small_run, port=0)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
    server.wait()
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    with pytest.raises(OSError, match="refused"):
        Client(server.url).send("GET", "/v2")


def test_a_fault_of_the_event_loop_is_not_waited_upon(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    server, _, _ = made()

    async def broken() -> None:
        raise ZeroDivisionError("in the loop")

    monkeypatch.setattr(server._http, "on_tick", lambda _: broken())
    with pytest.raises(ZeroDivisionError, match="in the loop"):
        server.wait()
