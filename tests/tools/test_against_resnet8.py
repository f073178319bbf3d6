"""What is searched beside a static ResNet8, and on which images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eecompile.cache.store import MOST_BYTES
from eecompile.search.space.reading import read_space
from eecompile.search.worth.evaluation import DesignEvaluation, Question
from tools.experiments.against_resnet8 import PARTS, SearchedPart, fewer_images, space_text
from tools.experiments.all_designs import designs, front


def _space(part: SearchedPart, folder: Path, *, array: bool = True) -> Path:
    path = folder / "space.toml"
    path.write_text(space_text(part, (4, 8), 1, array))
    return path


@pytest.mark.parametrize(
    ("part", "count"), list(zip(PARTS, (1, 4, 1, 3, 12), strict=True)), ids=lambda item: str(item)[:20]
)
def test_each_part_searches_what_it_says(part: SearchedPart, count: int, tmp_path: Path) -> None:
    space = read_space(_space(part, tmp_path))
    assert space.designs == count
    assert (space.exits.at_most == 0) == (not part.exits)
    assert space.precision.placement == (("digital", "auto") if part.bits else ("digital",))
    assert space.training.epochs == 1


def test_fewer_images_are_evenly_of_all_classes_and_val_and_test_stay(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (60, 1, 8, 8)).astype(np.uint8), np.arange(60) % 3
    of = {"val": slice(20), "test": slice(30)}
    np.savez(
        tmp_path / "whole.npz",
        train_x=x, train_y=y, val_x=x[:20], val_y=y[:20], test_x=x[:30], test_y=y[:30],
    )  # fmt: skip
    with np.load(fewer_images(str(tmp_path / "whole.npz"), 15, tmp_path / "fewer.npz")) as found:
        assert np.bincount(found["train_y"]).tolist() == [5, 5, 5]
        for name, kept in of.items():
            np.testing.assert_array_equal(found[f"{name}_x"], x[kept])
            np.testing.assert_array_equal(found[f"{name}_y"], y[kept])
        labels = {image.tobytes(): label for image, label in zip(x, y, strict=True)}
        assert [labels[image.tobytes()] for image in found["train_x"]] == found["train_y"].tolist()


def test_designs_that_a_target_cannot_run_are_told_and_left_away(tmp_path: Path) -> None:
    told: list[str] = []
    path = tmp_path / "space.toml"
    path.write_text(
        "[backbone]\nfamily = 'resnet'\nwidth = 4\nblocks = 1\nstages = 2\n[exits]\nat_most = 0\n"
        "[precision]\nbackbone = ['usual', { stem = 2 }]\nplacement = 'digital'\n[training]\nepochs = 1\n"
    )
    question = Question(path, "diana", "digits", "auto", 0, tmp_path / "cache", MOST_BYTES)
    evaluation = DesignEvaluation(question, told.append)
    found = front(evaluation, "edp_j_cycles")
    assert len(designs(evaluation)) == 2
    assert [one.point["exits"] for one in found] == [[]]
    assert any(line.startswith("not tried: ") for line in told)
