from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eecompile.search.study.record import Record
from eecompile.search.study.storage import open_storage
from passes.errors import InputError
from tests.eecompile.search.study.test_coordinator import facts
from tests.eecompile.search.study.toy import Toy, search


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture
def postgres() -> Iterator[str]:
    """A server of its own on localhost; it does not run as root."""
    if shutil.which("initdb") is None or shutil.which("pg_ctl") is None:
        pytest.skip("PostgreSQL is not installed")
    pytest.importorskip("psycopg", reason="its driver is not installed")
    folder, port = Path(tempfile.mkdtemp()), free_port()
    user = "nobody" if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)

    def call(*command: object) -> None:
        subprocess.run([str(c) for c in command], check=True, capture_output=True, user=user, cwd=folder)

    data = folder / "data"
    call("initdb", "-D", data, "-A", "trust", "-U", "tester")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    call("pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", "start")
    try:
        yield f"postgresql+psycopg://tester@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", "-D", data, "-m", "fast", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[str]:
    """Optuna's gRPC proxy in front of a file."""
    pytest.importorskip("grpc", reason="gRPC is not installed")
    port = free_port()
    code = (
        "import optuna, sys\n"
        "from eecompile.search.study.storage import open_storage\n"
        f"storage = open_storage('sqlite:///{tmp_path}/proxied.db')\n"
        f"optuna.storages.run_grpc_proxy_server(storage, host='127.0.0.1', port={port})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"grpc://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("kind", ["postgres", "proxy", "journal"])
def test_two_workers_find_what_one_finds_wherever_the_study_is(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"journal:{tmp_path / 'study.log'}" if kind == "journal" else request.getfixturevalue(kind)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = search(tmp_path / "one", Toy(tmp_path / "one" / "log"), 6)
    two = search(tmp_path / "two", Toy(tmp_path / "two" / "log", 0.05), 6, workers=2, url=url)
    assert facts(one) == facts(two)
    lines = (tmp_path / "two" / "log").read_text().splitlines()
    assert len(lines) == len(set(lines)) == 6


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "'nonsense' is no storage of a study"),
        ("oracle9://x", "is no storage of a study"),
        ("grpc://localhost", "names no host and port"),
        ("sqlite:////nowhere/at/all/study.db", "does not answer: unable to open database file"),
        (
            "postgresql+psycopg://me:secret@127.0.0.1:1/x",
            r"storage postgresql\+psycopg://me@127.0.0.1:1/x does not",
        ),
        ("journal:/nowhere/at/all/study.log", "cannot be opened"),
    ],
)
def test_what_is_no_storage_or_does_not_answer(url: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        open_storage(url)
    assert "secret" not in str(error.value)


def test_a_proxy_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("grpc", reason="gRPC is not installed")
    monkeypatch.setattr("eecompile.search.study.storage._ANSWER_SECONDS", 0.2)
    with pytest.raises(InputError, match=r"nothing answers at grpc://127\.0\.0\.1:1"):
        open_storage("grpc://127.0.0.1:1")


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


@pytest.mark.parametrize(
    ("url", "needed"),
    [("postgresql+psycopg://me@127.0.0.1:{}/x", "psycopg"), ("grpc://127.0.0.1:{}", "grpc")],
)
def test_a_server_that_never_says_a_word_is_not_waited_for(
    url: str, needed: str, silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(needed, reason="its driver is not installed")
    monkeypatch.setattr("eecompile.search.study.storage._ANSWER_SECONDS", 2)
    with pytest.raises(InputError, match=r"does not answer: .*timeout|nothing answers at"):
        open_storage(url.format(silent))


def test_a_file_that_may_only_be_read(tmp_path: Path) -> None:
    search(tmp_path, Toy(tmp_path / "log"), 1)
    url = f"sqlite:///file:{tmp_path}/study.db?mode=ro&uri=true"
    with pytest.raises(InputError, match="may only be read: attempt to write a readonly database") as error:
        search(tmp_path, Toy(tmp_path / "log"), 2, url=url)
    assert "copy the study's file" in error.value.hint


def test_a_storage_of_another_version_of_optuna(tmp_path: Path) -> None:
    search(tmp_path, Toy(tmp_path / "log"), 1)
    with sqlite3.connect(tmp_path / "study.db") as database:
        database.execute("UPDATE version_info SET schema_version = 1, library_version = '0.1'")
        database.execute("UPDATE alembic_version SET version_num = 'v0.1'")
    with pytest.raises(InputError, match="made with another version of Optuna") as error:
        search(tmp_path, Toy(tmp_path / "log"), 2)
    assert "optuna storage upgrade" in error.value.hint


def test_a_proxy_that_is_gone_in_the_middle(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import grpc

    record = Record.start(proxy, "study", ("minimize",), {})

    class Gone(grpc.RpcError):  # type: ignore[misc]
        def details(self) -> str:
            return "connection refused"

    def gone(*_: object, **__: object) -> None:
        raise Gone

    monkeypatch.setattr(record._storage, "get_all_trials", gone)
    with pytest.raises(InputError, match=r"storage grpc://127.0.0.1:\d+ does not answer: connection refused"):
        record.trials()
