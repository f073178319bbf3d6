"""What is said of each exit: its reliability on all images, its confusion on those that leave."""

from __future__ import annotations

import numpy as np

from eecompile.report.answers import exit_answers
from eecompile.run_files.summary import Summary
from tests.eecompile.fabricated_run import samples, summary


def test_every_image_is_in_each_reliability_and_in_one_confusion() -> None:
    made = samples()
    found = exit_answers(Summary.model_validate(summary()), made)
    where = made.test.leaves_at([0.9127, 0.8443])
    assert [item.name for item in found] == ["exit_0", "exit_1", "final"]
    assert [item.confusion.images for item in found] == np.bincount(where, minlength=3).tolist()
    assert [item.reliability and item.reliability.images for item in found] == [1000] * 3
    drawn = [item.reliability is not None and item.reliability.threshold_x is not None for item in found]
    assert drawn == [True, True, False]
    assert found[0].confusion.names[3] == "class 3"
