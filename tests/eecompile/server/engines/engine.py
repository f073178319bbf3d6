"""Servers of others in environments of their own, and what is asked of each of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eecompile.runtime.early_exit_session import EarlyExitSession
from tests.eecompile.runtime.small_run import images_of

ROOT = Path(__file__).parents[4]
_PATIENCE_S = 180.0
OUTPUTS = ("logits", "label", "exit", "confidence")


def environment(base: Path, extra: str) -> Path:
    """Return the folder of commands of a new environment with the checkout and one extra of it."""
    left_out = shutil.ignore_patterns(".*", "build", "dist", "runs", "*.egg-info", "__pycache__")
    source = shutil.copytree(ROOT, base / "source", ignore=left_out)
    subprocess.run([sys.executable, "-m", "venv", base / "env"], check=True)
    commands = base / "env" / "bin"
    pip: list[str | Path] = [commands / "python", "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    subprocess.run([*pip, f"{source}[{extra}]"], check=True)
    return commands


def free_port() -> int:
    """Return a port that nobody listened on just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def running(command: Sequence[object], folder: Path, told: Mapping[str, str], port: int) -> Iterator[str]:
    """Run a server until it is ready for ``small``; give its address, and stop it."""
    log = folder.parent / "log.txt"
    outside = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    with log.open("w") as written:
        process = subprocess.Popen(
            [str(part) for part in command], cwd=folder, env={**outside, **told}, stdout=written,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    url, end = f"http://127.0.0.1:{port}", time.monotonic() + _PATIENCE_S
    try:
        while True:
            try:
                urllib.request.urlopen(f"{url}/v2/models/small/ready", timeout=5).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    pytest.fail(f"{command} is not ready:\n{log.read_text()[-4000:]}")
                time.sleep(0.5)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def infer(
    url: str, images: NDArray[Any], outputs: Sequence[str] = (), entry: str = "images"
) -> dict[str, NDArray[Any]]:
    """Return the outputs for images, by name; raises HTTPError where they are refused."""
    kind = "UINT8" if images.dtype == np.uint8 else "FP32"
    given = {"name": entry, "datatype": kind, "shape": images.shape, "data": images.ravel().tolist()}
    asked = {"id": "7", "inputs": [given], "outputs": [{"name": name} for name in outputs]}
    if not outputs:
        del asked["outputs"]
    body = json.dumps(asked).encode()
    request = urllib.request.Request(
        f"{url}/v2/models/small/infer", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        document = json.load(answer)
    assert document["model_name"] == "small" and document["id"] == "7"
    return {
        row["name"]: np.array(row["data"], np.float64).reshape(row["shape"]) for row in document["outputs"]
    }


def check(url: str, run: Path) -> None:
    """Check that a server answers as the session does: alone, many at once, and what it refuses."""
    session = EarlyExitSession(run)
    floats = images_of(24)[:-1]
    pixels = np.random.default_rng(3).integers(0, 256, (9, *floats.shape[1:]), dtype=np.uint8)
    assert len(set(session.run(floats).exit.tolist())) == 3
    for images in (floats[:1], floats, pixels[:1], pixels):
        _same(infer(url, images), session, images)
    parts = [images[n : n + 1 + n % 3] for n in range(8) for images in (floats, pixels)]
    with ThreadPoolExecutor(16) as threads:
        for part, found in zip(parts, threads.map(lambda part: infer(url, part), parts), strict=True):
            _same(found, session, part)
    assert [*infer(url, floats[:2], ["exit"])] == ["exit"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        infer(url, floats[:, :1])
    with refused.value as answer:
        assert answer.code == 400 and "shape" in json.load(answer)["error"]
    with urllib.request.urlopen(f"{url}/v2/models/small", timeout=60) as answer:
        assert [row["name"] for row in json.load(answer)["outputs"]] == [*OUTPUTS]


def _same(found: Mapping[str, NDArray[Any]], session: EarlyExitSession, images: NDArray[Any]) -> None:
    wanted = session.run(images)
    assert [*found] == [*OUTPUTS]
    for name, values in found.items():
        assert values.shape == getattr(wanted, name).shape
        np.testing.assert_allclose(values, getattr(wanted, name), rtol=1e-5)
