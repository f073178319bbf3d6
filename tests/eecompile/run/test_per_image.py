"""Answers per image of a run whose answers are made up, and which images of it are shown."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from eecompile.data.dataset import Dataset, Split
from eecompile.run.evidence import Evidence
from eecompile.run.per_image import SHOWN, choose_shown, samples_of
from eecompile.run_files.samples import Samples
from eecompile.runtime.preprocess import Preprocess
from tests.eecompile.fabricated_run import samples
from tests.eecompile.run.made_evidence import IMAGES, LEAVES_AT, THRESHOLD, WRONG, made_answers


def samples_with(kept: tuple[int, ...] = (0, 1), shape: tuple[int, ...] = (1, 8, 8)) -> Samples:
    """Return the answers per image of such a run; images are of ``shape``, their values count on."""
    values = np.arange(IMAGES * int(np.prod(shape))).astype(np.uint8)
    images = Split(values.reshape(IMAGES, *shape), np.zeros(IMAGES, np.int64))
    known = SimpleNamespace(
        val=made_answers(),
        lowered_test=made_answers(),
        at_hand=np.arange(IMAGES),
        kept=kept,
        chosen=SimpleNamespace(figures=SimpleNamespace(thresholds=(THRESHOLD,) * len(kept))),
        dataset=Dataset("made up", images, images, images, 2, class_names=("cat", "dog")),
        preprocess=Preprocess("raw", (0.0,), (1.0,)),
    )
    return samples_of(cast(Evidence, known))


def test_answers_are_those_of_the_exits_of_the_files() -> None:
    found = samples_with()
    for split in (found.val, found.test):
        assert split.leaves_at([0.8, 0.8]).tolist() == LEAVES_AT
        assert [set(np.flatnonzero(~row).tolist()) for row in split.correct] == list(WRONG)
        assert split.static.tolist() == split.prediction[-1].tolist()
        assert split.probability[2] == pytest.approx(0.7)
        assert split.probability[:2] == pytest.approx(split.confidence)
    assert found.class_names == ("cat", "dog")
    fewer = samples_with((1,))
    assert np.array_equal(fewer.val.confidence, found.val.confidence[1:])
    assert np.array_equal(fewer.test.prediction, found.test.prediction[1:])
    assert np.array_equal(fewer.test.static, found.test.static)


def test_images_are_shown_by_exit_right_ones_apart_from_wrong_ones() -> None:
    shown = samples_with().shown
    table = list(zip(shown.exit.tolist(), shown.group.tolist(), shown.index.tolist(), strict=True))
    right = {0: {0, 1, 2}, 1: {5, 6, 7}, 2: {8, 9, 10}}
    wrong = {0: {3, 4}, 1: set(), 2: {11}}
    for number in range(3):
        assert {i for e, group, i in table if e == number and group < 2} == right[number]
        assert {i for e, group, i in table if e == number and group == 2} == wrong[number]
    assert len({i for _, _, i in table}) == len(table), "none twice"
    values = np.arange(IMAGES * 64).astype(np.uint8).reshape(IMAGES, 8, 8)
    assert np.array_equal(shown.pixels[..., 0], values[shown.index])


def test_data_that_are_no_images_are_not_shown_and_that_is_said() -> None:
    shown = samples_with(shape=(64,)).shown
    assert len(shown.index) == len(shown.pixels) == 0 and "vectors of 64 numbers" in shown.note


def test_surest_and_least_sure_are_at_the_ends() -> None:
    test = samples().test
    thresholds = [0.7, 0.6]
    index, number, group = choose_shown(test, thresholds)
    where = test.leaves_at(thresholds)
    for exit_ in range(3):
        sure = test.confidence[exit_] if exit_ < 2 else test.probability[exit_]
        mine = (where == exit_) & test.correct[exit_]
        ranked = np.flatnonzero(mine)[np.argsort(-sure[mine], kind="stable")]
        assert index[(number == exit_) & (group == 0)].tolist() == ranked[:SHOWN].tolist()
        assert index[(number == exit_) & (group == 1)].tolist() == ranked[::-1][:SHOWN].tolist()
        bad = (where == exit_) & ~test.correct[exit_]
        worst = np.sort(sure[bad])[::-1][:SHOWN]
        assert sure[index[(number == exit_) & (group == 2)]].tolist() == worst.tolist()


def test_equally_sure_images_are_taken_from_everywhere_and_one_without_probability_comes_last() -> None:
    test = samples(test=400).test
    confidence = np.ones_like(test.confidence)
    probability = test.probability.copy()
    confidence[:, -3:] = np.nan
    probability[2, -1] = np.nan
    label = test.prediction[0].copy()
    everything = replace(test, label=label, confidence=confidence, probability=probability)
    index, number, group = choose_shown(everything, [0.9, 0.9])
    surest = index[(number == 0) & (group == 0)]
    assert surest[0] == 0 and surest[-1] == 396 and np.diff(surest).min() > 40
    assert set(index[number == 2].tolist()) == {397, 398, 399}, "NaN reaches no threshold"
    assert index[number == 2][-1] == 399 or index[(number == 2) & (group == 2)][-1] == 399
