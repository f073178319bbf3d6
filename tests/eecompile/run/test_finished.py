from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from eecompile.data.images_hash import images_hash
from eecompile.data.preprocess import preprocesses
from eecompile.data.sources import load_data
from eecompile.run.finished import Finished, differences
from eecompile.run_files.summary import StudyFigures, StudyPoint
from passes.errors import InputError
from tests.eecompile.search.small import write_images

FIGURES = StudyFigures(
    accuracy_val=0.75, accuracy=0.5, edp_j_cycles=2.0, energy_pj=4.0, latency_cycles=8.0, macs=16.0,
    worst_latency_cycles=9.0,
)  # fmt: skip


def test_only_the_images_of_the_search_are_taken(tmp_path: Path) -> None:
    path = str(write_images(tmp_path))
    data = load_data(path, 0)
    unit, raw = (preprocesses(rule, data.train.x, (1, 1, 8, 8))[0] for rule in ("unit", "raw"))
    finished = Finished("found", 1, 2, "design", FIGURES, None, {}, unit, images_hash(data, unit))
    finished.check_images(data, path)
    for other in (replace(finished, preprocess=raw), replace(finished, images="")):
        with pytest.raises(InputError, match="holds other images than those the search found"):
            other.check_images(data, path)


def test_each_figure_that_differs_is_told() -> None:
    found = FIGURES.model_copy(update={"accuracy": 0.25, "macs": 16.0 * (1 + 1e-12)})
    point = StudyPoint(study="found", trial=1, point=2, design="design", told=FIGURES, found=found)
    assert [text.partition(":")[0] for text in differences(point)] == [
        "accuracy is 0.25 here, and the search found had 0.5"
    ]
    assert not list(differences(point.model_copy(update={"found": FIGURES})))
