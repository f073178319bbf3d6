"""Runs are paired on the same test images, and only there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eecompile.exits.statistics import paired_change
from eecompile.run_files.samples import SAMPLES_NAME, Samples, write_samples
from eecompile.run_files.summary import load_summary
from eecompile.verbs.work.paired_runs import ANSWERS, AnsweredRun, PairedRun, answers_of, paired
from tests.eecompile.fabricated_run import run_info, samples, summary, write_run

IMAGES = {"images.npz": "ab" * 32}


def run_with(folder: Path, answers: Samples | None, images: dict[str, str] | None, **changes: Any) -> Path:
    """Write a run with answers and the SHA-256 of its images."""
    document = summary() | changes
    write_run(folder, document)
    if answers is not None:
        write_samples(folder, answers)
    told = run_info(True) | ({} if images is None else {"data_sha256": images})
    (folder / "run.json").write_text(json.dumps(told))
    return folder


def found(run: Path) -> AnsweredRun:
    return answers_of(run, load_summary(run))


@pytest.fixture
def other() -> Samples:
    """Answers of which the first twenty are wrong at all exits."""
    made = samples()
    prediction = made.test.prediction.copy()
    prediction[:, :20] = (made.test.label[:20] + 1) % 10
    return replace(made, test=replace(made.test, prediction=prediction))


def test_where_each_image_leaves_it_is_right_or_not(tmp_path: Path, other: Samples) -> None:
    one, two = (
        found(run_with(tmp_path / "a", samples(), IMAGES)),
        found(run_with(tmp_path / "b", other, IMAGES)),
    )
    assert one.test is not None
    where = one.test.leaves_at(one.thresholds)
    answer = one.test.prediction[where, np.arange(1000)]
    assert np.array_equal(one.correct, answer == one.test.label)
    pair = paired("B", one, two)
    assert (pair.run, pair.images, pair.reason) == ("B", 1000, "")
    assert pair.with_exits == paired_change(one.correct, two.correct)
    assert pair.with_exits is not None and pair.with_exits.gained == 0 and pair.with_exits.lost > 5
    assert pair.of("expected.accuracy") is pair.with_exits
    assert pair.of("static.accuracy_quant") is pair.without_exits is not None
    assert pair.without_exits.lost == pair.without_exits.gained == 0 and pair.of("drop.points") is None
    assert json.loads(json.dumps(pair.to_json()))["with_exits"]["lost"] == pair.with_exits.lost


def test_the_name_of_a_file_does_not_matter_its_hash_does(tmp_path: Path) -> None:
    one = found(run_with(tmp_path / "a", samples(), IMAGES))
    renamed = found(run_with(tmp_path / "b", samples(), {"moved.npz": "ab" * 32}))
    changed = found(run_with(tmp_path / "c", samples(), {"images.npz": "cd" * 32}))
    assert paired("B", one, renamed).reason == ""
    assert paired("C", one, changed).reason == "C was tested on other images than A"


@pytest.mark.parametrize(("ordered", "seed", "same"), [(False, 1, True), (True, 0, True), (True, 1, False)])
def test_another_seed_may_have_split_otherwise_and_sorted_labels_do_not_show_it(
    tmp_path: Path, ordered: bool, seed: int, same: bool
) -> None:
    answers = samples()
    if ordered:
        answers = replace(answers, test=replace(answers.test, label=np.sort(answers.test.label)))
    one = found(run_with(tmp_path / "a", answers, IMAGES))
    two = found(run_with(tmp_path / "b", answers, IMAGES, seed=seed))
    assert (paired("B", one, two).reason == "") is same


def test_fewer_images_are_others(tmp_path: Path) -> None:
    one = found(run_with(tmp_path / "a", samples(), IMAGES))
    fewer = found(run_with(tmp_path / "b", samples(test=900), IMAGES))
    assert "other images" in paired("B", one, fewer).reason


def test_why_there_are_no_answers_is_said(tmp_path: Path) -> None:
    one = found(run_with(tmp_path / "a", samples(), IMAGES))
    bare = found(run_with(tmp_path / "b", None, IMAGES))
    untold = found(run_with(tmp_path / "c", samples(), None))
    costs = found(write_run(tmp_path / "d", summary(with_data=False)))
    assert ANSWERS == SAMPLES_NAME
    assert paired("B", one, bare) == PairedRun("B", reason="B has no samples.npz")
    assert paired("B", bare, one).reason == "A has no samples.npz"
    assert paired("C", one, untold).reason == "C does not tell the SHA-256 of its images"
    assert paired("D", one, costs).reason == "D was made without images"
    with pytest.raises(ValueError, match="without answers"):
        _ = costs.correct


def test_the_file_of_a_run_stands_for_its_folder(tmp_path: Path) -> None:
    run = run_with(tmp_path / "a", samples(), IMAGES)
    assert answers_of(run / "summary.json", load_summary(run)).test is not None
