"""What is told of a training, as it stands in files."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile.training.contract import TrainingLog, watched
from eecompile.training.recipe import Recipe
from tests.eecompile.training.small import split


def test_the_images_that_are_watched_are_counted() -> None:
    assert watched(split(60, 0)) == "val (60 images)"
    assert watched(split(2100, 0)) == "val (2,000 of 2,100 images)"


def test_a_log_stands_in_files_as_a_document() -> None:
    log = TrainingLog("frozen", ["exit_0"], Recipe(batch=7), 3, "val (60 images)")
    log.epochs = [{"epoch": 1, "loss": 1.5, "rate": 0.1, "accuracy": {"exit_0": 0.5}}]
    log.details = {"copies": 9}
    found = json.loads(json.dumps(log.to_json()))
    assert found.pop("seconds") >= 0
    assert found.pop("recipe")["batch"] == 7
    assert found == {
        "trainer": "frozen", "trained": ["exit_0"], "copies": 9, "seed": 3, "accuracy_on": "val (60 images)",
        "epochs": [{"epoch": 1, "loss": 1.5, "rate": 0.1, "accuracy": {"exit_0": 0.5}}],
    }  # fmt: skip
