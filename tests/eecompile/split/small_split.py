"""A small run that is split, and what of it is asked for in tests."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

pytest.importorskip("torch", reason="heads of the run are trained with the extra 'train'")

from eecompile import api
from eecompile.exits import recycling
from eecompile.run import steps
from eecompile.split.radios import RADIOS
from eecompile.split.splitting import ReadySplit, SplitAsked, SplitResult, prepare, split_run
from eecompile.training.recipe import Recipe
from tests.eecompile.small_models import write_skip_net

WIFI = RADIOS["wifi"]
CLOCK = 1e5  # Hz: a device on which a link is worth its time


@functools.cache
def small_run(**other: Any) -> Path:
    """Return a run of a network on random images, labelled by the network itself; ``other``: its options."""
    folder = Path(tempfile.mkdtemp(prefix="small-split-"))
    model = write_skip_net(folder / "net.onnx")
    rng = np.random.default_rng(1)
    runner = ort.InferenceSession(str(model))
    arrays: dict[str, Any] = {}
    for name, count in (("train", 96), ("val", 80), ("test", 64)):
        images = rng.normal(0, 1, (count, 3, 16, 16)).astype(np.float32)
        images += rng.normal(0, 1, (count, 3, 1, 1)).astype(np.float32)
        answers = [runner.run(None, {"image": image[None]})[0].argmax() for image in images]
        arrays |= {f"{name}_x": images, f"{name}_y": np.array(answers)}
    np.savez(folder / "images.npz", **arrays)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(steps, "Recipe", lambda: Recipe(samples=512))
        api.run(
            model,
            target="gap9",
            data=str(folder / "images.npz"),
            exits=["relu_0", "add_0"],
            max_drop=20.0,
            optimistic=True,
            preprocess="raw",
            out=folder / "run",
            cache=folder / "cache",
            **other,
        )
    return folder / "run"


def asked(**other: Any) -> SplitAsked:
    """Return a question with some of it otherwise."""
    usual = SplitAsked(
        (1e4, 1e7), 1e-3, (0.0,), "latency", None, None, 1e-3, WIFI, WIFI.listen_w, CLOCK, None,
        small_run().parent / "split",
    )  # fmt: skip
    return replace(usual, **other)


@functools.cache
def chained_run() -> Path:
    """Return a run whose exits all take over answers, and leave where some in a row agree."""
    with pytest.MonkeyPatch.context() as patched:
        # its labels are the network's own answers, so on its own the final exit would take over nothing
        patched.setattr(recycling, "weight_of", lambda *_: 0.5)
        return small_run(recycle=True, confidence="patience")


@functools.cache
def prepared() -> ReadySplit:
    """Return what plans of the small run are chosen among."""
    return prepare(small_run(), asked(), lambda _: None)


@functools.cache
def small_split() -> SplitResult:
    """Return the small run, split for a band of rates and two losses."""
    return split_run(small_run(), asked(losses=(0.0, 0.05)), lambda _: None)


@functools.cache
def mixed_split() -> Path:
    """Return a folder whose first plan has an exit on the device and sends what it is not sure of."""
    from eecompile.runtime.split.records import Band
    from eecompile.split.choosing import Plan
    from eecompile.split.plan_files import write_split

    ready = prepared()
    offer = next(n for n, one in enumerate(ready.question.offers) if one.place.name == "add_0")
    middle = float(np.median(ready.run.samples.val.confidence[0]))
    plans = [Plan((0,), (middle,), offer, 0.0, 1.0), Plan((0,), (middle,), None, 1.0, 0.0)]
    bands = [Band(0.0, 0.0, 1.0, 0), Band(0.0, 1.0, float("inf"), 1)]
    out = small_run().parent / "mixed"
    told = {"objective": "latency", "rtt_s": 1e-3, "max_drop": 1.0}
    write_split(out, ready.run, ready.costs, plans, ready.question.offers, bands, told)
    return out
