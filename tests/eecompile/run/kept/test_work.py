"""What runs take from each other, and what none takes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile import api
from eecompile.cache.store import CacheStore
from eecompile.run import steps
from eecompile.training.recipe import JointRecipe, Recipe
from passes.errors import InputError
from tests.eecompile.small_models import write_images, write_skip_net
from tests.passes.quantized_nets import CLASSES, QuantizedNet
from tests.passes.quantized_nets import images as quantized_images

WHOLE = ["train", "quantize", "evaluate"]
FILES = (
    "summary.json", "model.exits.onnx", "model.quant.onnx", "model.lowered.onnx", "model.dynamic.onnx",
    "samples.npz", "exits.csv", "layers.csv", "schedule.trace.json",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def brief() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(steps, "Recipe", lambda: Recipe(samples=128))
        joint = JointRecipe(batch=16, bfloat16="no", epochs=1)
        patched.setattr(steps, "JointRecipe", lambda: joint)
        yield


@pytest.fixture(scope="module")
def one_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with network, images, a run of them, and the cache behind it."""
    folder = tmp_path_factory.mktemp("one_run")
    write_skip_net(folder / "net.onnx")
    write_images(folder / "images.npz")
    assert taken(folder, "first") == []
    return folder


@pytest.fixture
def files(one_run: Path, tmp_path: Path) -> Path:
    """The same, for one test."""
    return shutil.copytree(one_run, tmp_path / "files")


def run(at: Path, out: str, **options: Any) -> Any:
    given = {"data": str(at / "images.npz"), "exits": 1, "preprocess": "raw", "max_drop": 100.0}
    return api.run(at / "net.onnx", out=at / out, **{"cache": at / "cache", **given, **options})


def taken(at: Path, out: str, **options: Any) -> list[str]:
    """Return the steps that a run took from the cache."""
    found: list[str] = run(at, out, **options).info["from_cache"]
    return found


@pytest.mark.parametrize(
    ("changed", "left"),
    [
        ({}, WHOLE),
        ({"max_drop": 1.0}, WHOLE),
        ({"optimistic": True, "min_gain": 0.0}, WHOLE),
        ({"max_cost_ratio": 0.9, "speculate": True}, WHOLE),
        ({"recycle": True}, WHOLE[:2]),
        ({"bits": {"head": 8}}, WHOLE[:1]),
        ({"calibration": "minmax"}, WHOLE[:1]),
        ({"quantize": "none"}, WHOLE[:1]),
        ({"placement": "digital"}, WHOLE[:1]),
        ({"seed": 1}, []),
        ({"head": "linear"}, []),
        ({"epochs": 3}, []),
        ({"train": "joint"}, []),
        ({"target": "gap9"}, []),
        ({"objective": "latency"}, []),
        ({"confidence": "margin"}, []),
    ],
)
def test_a_run_takes_what_does_not_depend_on_what_is_new(
    files: Path, changed: dict[str, Any], left: list[str]
) -> None:
    assert taken(files, "out", **changed) == left


@pytest.mark.parametrize("changed", [{"max_drop": 1.0}, {"recycle": True}, {"calibration": "minmax"}])
def test_a_run_that_takes_a_part_ends_as_one_that_takes_nothing(files: Path, changed: dict[str, Any]) -> None:
    run(files, "out", **changed)
    run(files, "alone", cache=files / "empty", **changed)
    for name in FILES:
        assert (files / "out" / name).read_bytes() == (files / "alone" / name).read_bytes(), name


@pytest.mark.parametrize(
    "options",
    [{"quantize": "qat", "qat_epochs": 1}, {"train": "scratch", "epochs": 1}, {"confidence": "gate"}],
)
def test_what_is_taken_makes_the_same_files(files: Path, options: dict[str, Any]) -> None:
    run(files, "another", **options)
    assert taken(files, "out", **options) == WHOLE
    for name in (*FILES, "quantization.csv"):
        assert (files / "out" / name).read_bytes() == (files / "another" / name).read_bytes(), name


def test_other_images_and_another_network_are_others(files: Path) -> None:
    images = dict(np.load(files / "images.npz"))
    images["test_y"] = images["test_y"][::-1]
    np.savez(files / "images.npz", **images)
    assert taken(files, "out") == []
    assert taken(files, "out") == WHOLE
    model = onnx.load(files / "net.onnx")
    weights = next(item for item in model.graph.initializer if len(item.dims) == 4)
    changed = onnx.numpy_helper.to_array(weights) * np.float32(1.001)
    weights.CopyFrom(onnx.numpy_helper.from_array(changed, weights.name))
    onnx.save(model, files / "net.onnx")
    assert taken(files, "out") == []


def test_other_grids_of_a_network_that_came_quantized_are_others(tmp_path: Path) -> None:
    """In float the networks are the same."""
    arrays: dict[str, Any] = {}
    for number, name in enumerate(("train", "val", "test")):
        part = slice(32 * number, 32 * number + 32)
        arrays |= {f"{name}_x": quantized_images(96)[part], f"{name}_y": np.arange(32) % CLASSES}
    np.savez(tmp_path / "images.npz", **arrays)
    for grids in ({}, {"logits": None}):
        onnx.save(QuantizedNet(grids=grids).model(), tmp_path / "net.onnx")
        assert taken(tmp_path, "out", head="linear", target="diana") == []
    assert taken(tmp_path, "out", head="linear", target="diana") == WHOLE


def test_an_entry_that_was_cut_short_is_made_again(files: Path) -> None:
    for path in (files / "cache").glob("run/*/*.entry"):
        path.write_bytes(path.read_bytes()[:-20])
    assert taken(files, "out") == []
    assert taken(files, "out") == WHOLE


def test_the_folder_of_the_cache_is_the_one_that_was_told(files: Path, own_cache: Path) -> None:
    assert taken(files, "out", cache=None) == []
    assert len(CacheStore(own_cache).entries()) == len(WHOLE)
    assert taken(files, "out", cache=None) == WHOLE


def test_a_folder_that_cannot_be_written(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (files / "file").write_text("")
    with pytest.raises(InputError, match="is a file, not a folder"):
        run(files, "out", cache=files / "file")
    told: list[str] = []
    monkeypatch.setenv("EECOMPILE_CACHE", str(files / "file" / "below"))
    run(files, "out", cache=None, progress=told.append)
    assert any(line.startswith("nothing is kept for other runs: cannot write to the cache") for line in told)


# Imports once, and forks for each line: what is killed is a run, not a Python that imports torch.
COMMAND = """
import functools, os, sys, traceback
from pathlib import Path
import torch
import eecompile.run.main, eecompile.training.frozen_heads
import eecompile.run.steps as steps
from eecompile import api
steps.Recipe = functools.partial(steps.Recipe, samples=800, batch=4)
at = Path(sys.argv[1])
for line in sys.stdin:
    out, cache = line.split()
    child = os.fork()
    if not child:
        try:
            api.run(at / "net.onnx", data=str(at / "images.npz"), exits=1, preprocess="raw", max_drop=100.0,
                    out=at / out, cache=at / cache)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Runs:
    """A program that runs one after the other, each in a process of its own."""

    def __init__(self, at: Path) -> None:
        self.program = subprocess.Popen(
            [sys.executable, "-c", COMMAND, str(at)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def __enter__(self) -> Runs:
        return self

    def __exit__(self, *_: object) -> None:
        self.program.communicate()

    def _number(self) -> int:
        assert self.program.stdout is not None
        return int(self.program.stdout.readline())

    def begin(self, out: str, cache: str) -> int:
        """Start a run; return its process."""
        assert self.program.stdin is not None
        self.program.stdin.write(f"{out} {cache}\n")
        self.program.stdin.flush()
        return self._number()

    def end(self) -> int:
        """Wait for the run that was started; return its exit code."""
        return self._number()


@pytest.mark.slow
def test_a_run_that_is_killed_ten_times_ends_as_one_that_is_not(files: Path) -> None:
    shutil.rmtree(files / "cache")
    with Runs(files) as runs:
        runs.begin("whole", "another")
        began = time.monotonic()
        assert runs.end() == 0
        seconds, chance = time.monotonic() - began, random.Random(0)
        ended = []
        for _ in range(10):
            process = runs.begin("out", "cache")
            time.sleep(chance.uniform(0, seconds))
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            ended.append(runs.end())
        assert set(ended) <= {0, -signal.SIGKILL} and -signal.SIGKILL in ended
        runs.begin("out", "cache")
        assert runs.end() == 0
    for name in FILES:
        assert (files / "out" / name).read_bytes() == (files / "whole" / name).read_bytes(), name


@pytest.mark.slow
def test_of_two_runs_at_once_one_does_the_work(files: Path) -> None:
    shutil.rmtree(files / "cache")
    with Runs(files) as one, Runs(files) as other:
        one.begin("one", "cache")
        other.begin("other", "cache")
        assert [one.end(), other.end()] == [0, 0]
    done = [json.loads((files / out / "run.json").read_text())["from_cache"] for out in ("one", "other")]
    assert sorted([*done[0], *done[1]]) == sorted(WHOLE), "each step was done once"
    assert (files / "one/summary.json").read_bytes() == (files / "other/summary.json").read_bytes()
