"""Nothing the library does to its process outlives a verb: a notebook or service calls them, too."""

from __future__ import annotations

import gc
import locale
import logging
import os
import random
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch

from eecompile import api
from eecompile.cli import main as cli
from eecompile.run import steps
from eecompile.training.recipe import Recipe
from tests.eecompile.fabricated_run import write_run
from tests.eecompile.small_models import write_images, write_skip_net


def loggers() -> dict[str, object]:
    """Return what loggers are set to, but for those that are as they come into being."""
    named = {"root": logging.root, **logging.root.manager.loggerDict}
    found = {
        name: (logger.level, list(logger.handlers), logger.propagate, logger.disabled)
        for name, logger in named.items()
        if isinstance(logger, logging.Logger)
    }
    return {name: settings for name, settings in found.items() if settings != (0, [], True, False)}


def state() -> dict[str, object]:
    """Return all that a process shares, as it is now."""
    draws = np.random.get_state(legacy=False)
    assert isinstance(draws, dict)
    with ThreadPoolExecutor(1) as new_thread:
        threads_to_come = new_thread.submit(torch.get_num_threads).result()
    return {
        "torch deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        "torch generator": torch.get_rng_state().numpy().tobytes(),
        "torch gradients": (torch.is_grad_enabled(), torch.is_anomaly_enabled()),
        "torch defaults": (torch.get_default_dtype(), torch.get_default_device()),
        "torch threads": (torch.get_num_threads(), torch.get_num_interop_threads(), threads_to_come),
        "numpy generator": (draws["state"]["key"].tobytes(), draws["state"]["pos"], draws["has_gauss"]),
        "numpy errors": np.geterr(),
        "numpy printing": np.get_printoptions(),
        "random": random.getstate(),
        "collector": (gc.isenabled(), gc.get_threshold(), gc.get_debug()),
        "loggers": loggers(),
        "streams": (id(sys.stdin), id(sys.stdout), id(sys.stderr), id(print)),
        "warnings": list(warnings.filters),
        "warning printer": warnings.showwarning,
        "environment": dict(os.environ),
        "folder": os.getcwd(),  # noqa: PTH109 - what the process has
        "path": list(sys.path),
        "recursion": sys.getrecursionlimit(),
        "hooks": (sys.excepthook, threading.excepthook, sys.gettrace(), sys.getprofile()),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "locale": locale.setlocale(locale.LC_ALL),
        "threads": threading.active_count(),
    }


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a network, images and a run; all that verbs import is imported."""
    write_skip_net(tmp_path / "net.onnx")
    write_images(tmp_path / "images.npz")
    write_run(tmp_path / "run")
    monkeypatch.setattr(steps, "Recipe", lambda: Recipe(samples=500))
    import sklearn.datasets

    from eecompile.verbs.work import doctor

    doctor.examine()
    assert sklearn
    kept = random.getstate(), torch.get_rng_state(), torch.are_deterministic_algorithms_enabled()
    # other than at the start of a process: what is set to a constant, and not given back, shows
    random.seed(5)
    torch.manual_seed(77)
    np.random.seed(7)
    yield tmp_path
    random.setstate(kept[0])
    torch.set_rng_state(kept[1])
    torch.use_deterministic_algorithms(kept[2])


VERBS: dict[str, Callable[[Path], object]] = {
    "run with data": lambda at: api.run(
        at / "net.onnx", data=str(at / "images.npz"), exits=1, out=at / "out", preprocess="raw"
    ),
    "run, all trained": lambda at: api.run(
        at / "net.onnx",
        data=str(at / "images.npz"),
        exits=1,
        out=at / "out",
        preprocess="raw",
        train="joint",
        epochs=1,
        max_drop=100,
    ),
    "run": lambda at: api.run(at / "net.onnx", out=at / "out"),
    "cost": lambda at: api.cost(at / "net.onnx", exits=1, speculate=True),
    "cost by search": lambda at: api.cost(at / "net.onnx", "edge_tpu_quad", schedule="layers"),
    "opt with data": lambda at: api.opt(
        at / "net.onnx",
        "canonicalize,insert-exits{at=1},quantize,fold-qdq",
        data=str(at / "images.npz"),
        preprocess="raw",
        out=at / "new.onnx",
        verify_each=True,
    ),
    "quantize": lambda at: api.quantize(
        at / "net.onnx", str(at / "images.npz"), preprocess="raw", out=at / "quantized", calibration="entropy"
    ),
    "inspect": lambda at: api.inspect(at / "net.onnx"),
    "report": lambda at: api.report(at / "run"),
    "compare": lambda at: api.compare([at / "run", at / "run"]),
    "targets": lambda _: api.targets("diana"),
    "passes": lambda _: api.passes(),
    "doctor": lambda _: api.doctor(),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_leaves_the_process_as_it_was(files: Path, verb: str) -> None:
    before = state()
    VERBS[verb](files)
    after = state()
    assert [name for name in before if before[name] != after[name]] == []


def test_training_does_not_ask_for_the_global_state(files: Path) -> None:
    """The same files come out, whatever the caller has set."""
    VERBS["run with data"](files)
    first = (files / "out" / "model.quant.onnx").read_bytes()
    torch.manual_seed(4)
    torch.use_deterministic_algorithms(True)
    with np.errstate(all="raise", under="ignore"):
        VERBS["run with data"](files)
    assert (files / "out" / "model.quant.onnx").read_bytes() == first


def test_a_failed_training_gives_the_threads_back(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        torch.set_num_threads(1)
        raise ZeroDivisionError

    monkeypatch.setattr("eecompile.training.frozen_heads.HeadTraining.run", fail)
    before = state()
    with pytest.raises(ZeroDivisionError):
        VERBS["run with data"](files)
    assert state()["torch threads"] == before["torch threads"]


class Lines:
    """A stream that keeps what is written."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


def test_what_another_thread_prints_meanwhile_is_printed(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Lines()
    monkeypatch.setattr(sys, "stdout", out)
    stop, written = threading.Event(), 0

    def talk() -> None:
        nonlocal written
        while not stop.wait(0.0005):
            print(f"line {written}")
            written += 1

    talker = threading.Thread(target=talk)
    talker.start()
    try:
        VERBS["opt with data"](files)
    finally:
        stop.set()
        talker.join()
    assert written > 50
    assert out.text.splitlines() == [f"line {number}" for number in range(written)]


def test_the_command_line_gives_the_signal_handler_back(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["eecompile", "compare", str(files / "run"), str(files / "run")])
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 0
    assert re.search(r"\b0 of \d+ figures differ", capsys.readouterr().out)
    assert signal.getsignal(signal.SIGTERM) is before
