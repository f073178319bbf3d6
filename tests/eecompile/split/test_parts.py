"""Both sides of a cut answer together as the run has recorded."""

from __future__ import annotations

import numpy as np
import pytest

from eecompile.split.parts import CutParts, each_batch, labels_of
from tests.eecompile.split.small_split import prepared


@pytest.mark.parametrize("symbolic", [True, False])
def test_behind_every_cut_the_answers_are_those_of_the_run(symbolic: bool) -> None:
    ready = prepared()
    split = ready.run.dataset.val
    for place in ready.costs.cuts:
        parts = CutParts.of(ready.run.alone, place.tensor, symbolic)
        assert parts.batch == (128 if symbolic else 1)
        found = np.empty(len(split), np.int64)

        def use(piece: slice, images: object, parts: CutParts = parts, found: object = found) -> None:
            features = parts.features(images)  # type: ignore[arg-type]
            found[piece] = parts.logits(features).argmax(1)  # type: ignore[index]

        each_batch(split, ready.run.preprocess, use)
        np.testing.assert_array_equal(found, ready.run.samples.val.prediction[-1])
        np.testing.assert_array_equal(labels_of(parts, split, ready.run.preprocess), found)
