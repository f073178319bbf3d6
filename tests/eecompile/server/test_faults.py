"""Clients that go, that are slow, that are many; a server that is killed, and one that is stopped."""

from __future__ import annotations

import asyncio
import http.client
import json
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eecompile.runtime import EarlyExitSession
from eecompile.server.limits import Limits
from eecompile.server.running import RunningServer
from tests.eecompile.runtime.small_run import SHAPE
from tests.eecompile.server.asking import Client, question
from tests.eecompile.server.conftest import Made

INFER = "/v2/models/small/infer"


def tagged(count: int) -> Any:
    """Return images, no two alike in their logits, which leave at all exits."""
    images = np.zeros((count, *SHAPE), np.float32)
    images[:, 0] = np.linspace(0.01, 2.5, count, dtype=np.float32)[:, None, None]
    return images


def raw(images: Any) -> bytes:
    """Return a whole request, as it goes over the wire; the connection ends behind its answer."""
    body, headers = question(images)
    lines = [f"POST {INFER} HTTP/1.1", "Host: here", "Connection: close", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def place(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").rpartition(":")
    return host, int(port)


@dataclass
class Process:
    """A server in a process of its own."""

    run: Path
    port: int = 0
    more: tuple[str, ...] = ()
    told: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> Process:
        command = [
            sys.executable,
            "-m",
            "eecompile",
            "serve",
            str(self.run),
            "--port",
            str(self.port),
            "--json",
        ]
        self.process = subprocess.Popen(
            [*command, *self.more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.told = json.loads(self.process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal; return the exit code and what was said on stderr."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=20)
        return self.process.returncode, said


@dataclass
class Load:
    """Clients that ask and ask, each for images of its own, until the server is gone."""

    url: str
    expected: Any
    images: Any
    right: int = 0
    wrong: list[Any] = field(default_factory=list)
    refused: int = 0
    lost: int = 0

    def client(self, number: int) -> None:
        client, row = Client(self.url), number
        while True:
            row = (row + 7) % len(self.images)
            try:
                status, found = client.ask("small", self.images[row : row + 1])
            except (OSError, http.client.HTTPException):
                self.lost += 1
                return
            if status == 503:
                self.refused += 1
            elif status == 200 and np.array_equal(found["logits"][0], self.expected[row]):
                self.right += 1
            else:
                self.wrong.append((status, found))


@pytest.fixture
def load(small_run: Path) -> Iterator[Any]:
    images = tagged(120)
    expected = EarlyExitSession(small_run).run(images).logits
    pools = []

    def start(url: str, clients: int = 8) -> Load:
        found = Load(url, expected, images)
        pools.append(ThreadPoolExecutor(clients))
        for number in range(clients):
            pools[-1].submit(found.client, number)
        return found

    yield start
    for pool in pools:
        pool.shutdown()


def wait_for(condition: Any, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def test_killed_under_load_it_starts_again_at_its_port(small_run: Path, load: Any) -> None:
    with Process(small_run) as first:
        port = place(first.told["url"])[1]
        before = load(first.told["url"])
        wait_for(lambda: before.right > 50)
        assert first.end(signal.SIGKILL)[0] == -signal.SIGKILL
    with Process(small_run, port) as second:
        wait_for(lambda: before.lost == 8)  # nobody hangs
        assert second.told["url"] == first.told["url"]
        after = load(second.told["url"])
        wait_for(lambda: after.right > 50)
        code, said = second.end(signal.SIGTERM)
    assert (code, before.wrong, after.wrong) == (0, [], [])
    wait_for(lambda: after.lost == 8)
    taken = int(said.partition("stopped: ")[2].partition(" requests were taken")[0])
    assert taken == after.right, "each request that was taken was answered, and the answer arrived"
    assert f"{taken} requests were taken, {taken} answered, 0 given up by their clients, 0 failed" in said


def metrics(url: str) -> str:
    text: bytes = Client(url).send("GET", "/metrics")[1]
    return text.decode()


def test_a_thousand_connections_at_once_and_two_signals(small_run: Path) -> None:
    """All are answered with their own; then it stops with much to do, and a second signal ends it at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1200:
        pytest.skip(f"a process has {hard} open files at most here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    images = tagged(1000)
    expected = EarlyExitSession(small_run, window=5000).run(images).logits

    async def ask(host: str, port: int, number: int, together: asyncio.Barrier) -> Any:
        reader, writer = await asyncio.open_connection(host, port)
        await together.wait()  # all are open
        writer.write(raw(images[number : number + 1]))
        answer = await reader.read()
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        outputs = {one["name"]: one["data"] for one in json.loads(body)["outputs"]}
        return np.float32(outputs["logits"])

    async def all_of_them(url: str) -> Any:
        together = asyncio.Barrier(len(images))
        return await asyncio.gather(*(ask(*place(url), n, together) for n in range(len(images))))

    with Process(small_run, more=("--max-queue", "5000")) as found:
        np.testing.assert_array_equal(asyncio.run(all_of_them(found.told["url"])), expected)
        connection = Client(found.told["url"]).connection
        connection.request("POST", INFER, *question(tagged(4000)))
        wait_for(lambda: "eecompile_queue_images 0.0" not in metrics(found.told["url"]))
        found.process.send_signal(signal.SIGTERM)
        code, said = found.end(signal.SIGINT)
    assert code == 130 and "stopped" not in said


def test_many_clients_get_their_own_answers_in_whatever_batches(small_run: Path) -> None:
    from eecompile import api

    images = tagged(240)
    session = EarlyExitSession(small_run)
    with api.serve(small_run, port=0, batch="fluid:8", policy="remaining", slo=0.05) as server:

        def asks(number: int) -> None:
            client = Client(server.url)
            for turn in range(6):
                rows = np.arange(number, 240, 16)[turn : turn + 1 + number % 4]
                status, found = client.ask("small", images[rows], id=f"{number}/{turn}")
                assert status == 200
                np.testing.assert_array_equal(found["logits"], session.run(images[rows]).logits)

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(asks, range(16)))


def test_a_client_that_goes_takes_what_waits_of_it_along(made: Made) -> None:
    server, model, client = made()
    model.gate.clear()
    with socket.create_connection(place(server.url)) as gone:
        body, headers = question(np.array([[5.0, 1.0], [6.0, 1.0]], np.float32), "x")
        head = [f"{name}: {value}" for name, value in headers.items()]
        lines = ["POST /v2/models/made/infer HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *head]
        gone.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        assert model.begun.wait(5)
        assert "eecompile_queue_images 2.0" in metrics(server.url)
    wait_for(lambda: "eecompile_queue_images 0.0" in metrics(server.url))
    assert "eecompile_requests_dropped_total 1.0" in metrics(server.url)
    model.gate.set()
    status, answer, _ = client.send(
        "POST", "/v2/models/made/infer", *question(np.array([[7.0, 1.0]], np.float32), "x")
    )
    assert status == 200 and answer["outputs"][0]["data"] == [7.0]
    assert [tags for _, tags in model.ran] == [[5.0], [7.0], [7.0]], "of the others only what ran already"


def test_a_client_that_goes_in_its_body_leaves_nothing(server: RunningServer, client: Client) -> None:
    whole = raw(tagged(1))
    with socket.create_connection(place(server.url)) as gone:
        gone.sendall(whole[:-20])
    assert client.ask("small", tagged(1))[0] == 200
    assert "eecompile_queue_images 0.0" in metrics(server.url)


def test_slow_heads_and_bodies_are_not_waited_for(small_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from eecompile import api
    from eecompile.server import limits

    monkeypatch.setattr(limits, "Limits", lambda **_: Limits(patience_s=0.3, least_rate=1000.0))
    with api.serve(small_run, port=0, max_body=10**6) as server:
        whole, begin = raw(tagged(1)), time.monotonic()
        silent, slow_head, slow_body, steady = (
            socket.create_connection(place(server.url), timeout=5) for _ in range(4)
        )
        slow_head.sendall(whole[:30])
        slow_body.sendall(whole[:-40])
        assert silent.recv(100) == b"" and slow_head.recv(100) == b"", "closed"
        answer = b"".join(iter(lambda: slow_body.recv(1000), b""))
        assert answer.startswith(b"HTTP/1.1 408") and b"connection: close" in answer.lower()
        assert b'{"error":"after ' in answer and b"came too slowly" in answer
        assert 0.25 < time.monotonic() - begin < 3
        steady.sendall(whole)  # 0.3 s late: of it, too, nothing had come
        assert steady.recv(100) == b""
        patient = socket.create_connection(place(server.url), timeout=5)
        large = raw(tagged(20))
        for start in range(0, len(large), 200):  # longer than 0.3 s, but faster than 1000 bytes/s
            patient.sendall(large[start : start + 200])
            time.sleep(0.05)
        assert patient.recv(15) == b"HTTP/1.1 200 OK"
        for one in (silent, slow_head, slow_body, steady, patient):
            one.close()


@pytest.mark.parametrize(
    "noise", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"POST /v2 HTTP/9.9\r\n\r\n", b"\x00" * 5000]
)
def test_noise_on_a_connection_harms_nobody(server: RunningServer, client: Client, noise: bytes) -> None:
    with socket.create_connection(place(server.url), timeout=5) as found:
        found.sendall(noise)
        answer = found.recv(1000)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert client.ask("small", tagged(1))[0] == 200


def test_stopped_under_load_it_answers_what_it_took_and_refuses_the_rest(small_run: Path, load: Any) -> None:
    from eecompile import api

    said: list[str] = []
    server = api.serve(small_run, port=0, progress=said.append)
    found = load(server.url, clients=12)
    wait_for(lambda: found.right > 30)
    server.stop()
    server.stop()  # again: nothing
    wait_for(lambda: found.lost == 12)
    taken = int(said[-1].removeprefix("stopped: ").split()[0])
    assert taken == found.right and found.wrong == []
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(place(server.url))


def test_while_it_stops_it_is_alive_not_ready_and_takes_no_more(made: Made) -> None:
    server, model, client = made()
    model.gate.clear()
    body = question(np.array([[3.0, 1.0]], np.float32), "x")
    client.connection.request("POST", "/v2/models/made/infer", *body)
    assert model.begun.wait(5)
    stops = threading.Thread(target=server.stop)
    stops.start()
    other = Client(server.url)
    wait_for(lambda: other.send("GET", "/v2/health/ready")[0] == 503)
    assert other.send("GET", "/v2/health/live")[0] == 200
    assert other.send("GET", "/v2/models/made/ready")[0] == 503
    status, told, headers = other.send("POST", "/v2/models/made/infer", *body)
    assert (status, headers["retry-after"]) == (503, "1") and "takes no more" in told["error"]
    model.gate.set()
    answer = client.connection.getresponse()
    assert answer.status == 200 and json.loads(answer.read())["outputs"][0]["data"] == [3.0]
    stops.join(5)
    assert not stops.is_alive()


def test_no_file_of_a_connection_stays_open(server: RunningServer) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no list of open files here")
    before = open_files()
    for _ in range(50):
        with socket.create_connection(place(server.url)) as gone:
            gone.sendall(raw(tagged(1))[:200])
    wait_for(lambda: open_files() <= before + 1)
