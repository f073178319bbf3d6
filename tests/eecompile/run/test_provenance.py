"""What a run says of itself: warnings, disagreements, its command line, the versions it ran with."""

from __future__ import annotations

import importlib.metadata
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eecompile.data.preprocess_choice import PreprocessChoice
from eecompile.deployment.proof import Agreement
from eecompile.exits.answers import Answers
from eecompile.run import provenance
from eecompile.run.options import RunOptions
from eecompile.runtime.preprocess import Preprocess
from passes.confidence import MAX_SOFTMAX
from targets.objective import LATENCY


@pytest.mark.parametrize(
    ("images", "max_drop", "warned"),
    [
        (99, 5.0, True),
        (100, 1.0, False),
        (100, 0.9, True),
        (611, 1.0, False),
        (10_000, 0.0, False),
        (99, 0.0, True),
    ],
)  # fmt: skip
def test_few_validation_images_are_warned_of(images: int, max_drop: float, warned: bool) -> None:
    assert bool(provenance.few_images(images, max_drop)) is warned


def test_the_warning_says_what_one_image_is_worth() -> None:
    (text,) = provenance.few_images(40, 1.0)
    assert "only 40 images: one image is 2.5 points, so a bound of 1 points" in text


def tried(warning: str | None) -> PreprocessChoice:
    return PreprocessChoice(Preprocess("raw", (0.0,), (1.0,)), 0.123, 60, (("raw", 0.123),), warning)


def test_logits_without_numbers_are_counted_and_said() -> None:
    logits = np.ones((5, 3), np.float32)
    broken = logits.copy()
    broken[[1, 3], 2] = np.nan
    labels = np.zeros(5, np.int64)
    assert provenance.no_answers(Answers((logits, logits), labels, (MAX_SOFTMAX,))) == []
    (text,) = provenance.no_answers(Answers((broken, logits), labels, (MAX_SOFTMAX,)))
    assert text.startswith("the logits of 2 of 5 test images hold NaN")


def test_near_chance_is_told_with_what_was_seen() -> None:
    assert provenance.caution(tried("the labels may be shuffled")) == (
        "Accuracy is near chance (12.3 % on 60 validation images): the savings below mean nothing."
    )
    assert provenance.caution(tried(None)) is None


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ((10, 10, 10, 10, 10), ""),
        ((10, 10, 9, 10, 10), "dynamic exit the same on 9 of 10 test images"),
        (
            (10, 0, 10, 10, 7),
            "dynamic prediction the same on 0 of 10 test images; stages exit the same on 7 of 10 test images",
        ),
    ],
)
def test_forms_that_disagree_are_told_each(counts: tuple[int, ...], told: str) -> None:
    assert provenance.disagreement(Agreement(*counts)) == told


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({}, ["--target", "diana", "--objective", "edp"]),
        ({"target": "gap9", "objective": LATENCY}, ["--target", "gap9", "--objective", "latency"]),
        (
            {"exits": ("relu_2", "a b"), "told": {"exits"}},
            ["--target", "diana", "--exits", "relu_2,a b", "--objective", "edp"],
        ),
        (
            {"optimistic": True, "max_drop": 1.0, "seed": 7, "told": {"optimistic", "max_drop"}},
            ["--target", "diana", "--objective", "edp", "--max-drop", "1.0", "--optimistic"],
        ),
        (
            {"recycle": False, "speculate": True, "told": {"recycle", "speculate"}},
            ["--target", "diana", "--objective", "edp", "--speculate", "--recycle", "off"],
        ),
        (
            {"data": "my data.npz", "out": Path("out"), "told": {"data", "out"}},
            ["--target", "diana", "--data", "my data.npz", "--out", "out", "--objective", "edp"],
        ),
    ],
)
def test_the_command_line_holds_target_objective_and_what_was_told(
    options: dict[str, Any], more: list[str]
) -> None:
    made = RunOptions(Path("my net.onnx"), **{**options, "told": frozenset(options.get("told", ()))})
    assert shlex.split(provenance.command(made)) == ["eecompile", "run", "my net.onnx", *more]


def test_versions_are_those_installed_and_what_is_absent_is_said_to_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "torch":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = provenance.versions()
    assert found.pop("torch") == "not installed"
    assert {"numpy", "onnx", "onnx-graphsurgeon", "onnxruntime", "eecompile"} == found.keys()
    for name in ("numpy", "onnx", "onnxruntime"):
        assert found[name] == __import__(name).__version__
