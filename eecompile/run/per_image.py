"""From what a run found out to its answers per image, and to the few test images that are shown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eecompile.data.dataset import evenly
from eecompile.data.drawable import drawable
from eecompile.exits.answers import Answers
from eecompile.run.evidence import Evidence
from eecompile.run_files.samples import Samples, ShownImages, SplitSamples
from passes.confidence import MAX_SOFTMAX

SHOWN = 8
"""Images per exit and group."""

Int64 = NDArray[np.int64]


def samples_of(evidence: Evidence) -> Samples:
    """Return the answers of the network of the files on val and test, and test images to look at."""
    val, test = (_split(seen.select(evidence.kept)) for seen in (evidence.val, evidence.lowered_test))
    thresholds = [float(t) for t in evidence.chosen.figures.thresholds]
    return Samples(val, test, _shown(evidence, test, thresholds), evidence.dataset.class_names)


def _split(seen: Answers) -> SplitSamples:
    prediction = np.stack([z.argmax(axis=1) for z in seen.logits]).astype(np.int32)
    return SplitSamples(
        seen.labels.astype(np.int32),
        seen.confidence,
        prediction,
        np.stack([MAX_SOFTMAX.evaluate(z) for z in seen.logits]),
        static=seen.static_prediction.astype(np.int32),
    )


def _shown(evidence: Evidence, test: SplitSamples, thresholds: list[float]) -> ShownImages:
    at = evidence.at_hand
    index, number, group = choose_shown(test.part(at), thresholds)
    stored = evidence.dataset.test.x[index]
    index = at[index]
    pixels, note = drawable(stored, evidence.preprocess)
    if not len(pixels):
        return ShownImages.none(note)
    return ShownImages(index.astype(np.int32), number.astype(np.int32), group.astype(np.int32), pixels, note)


def choose_shown(test: SplitSamples, thresholds: list[float]) -> tuple[Int64, Int64, Int64]:
    """Return numbers of test images to show [K], the exit where each leaves, and its group.

    Of the images that leave at an exit: those that are right and surest, right and least sure, and wrong
    (the surest first). No image is shown twice. Sureness is the confidence of an early exit, and at the final
    one the largest probability. Where more are equally sure than are shown, they are taken evenly, because
    data sets are often sorted by class.
    """
    where, right = test.leaves_at(thresholds), test.correct
    found: list[tuple[int, int, int]] = []
    for number in range(len(right)):
        sure = test.confidence[number] if number < len(test.confidence) else test.probability[number]
        leaving = np.flatnonzero(where == number)
        good, bad = leaving[right[number, leaving]], leaving[~right[number, leaving]]
        surest = _most(good, sure[good])
        rest = np.setdiff1d(good, surest)
        for group, images in enumerate((surest, _most(rest, -sure[rest]), _most(bad, sure[bad]))):
            found += [(int(image), number, group) for image in images]
    table = np.array(found, np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def _most(images: Int64, score: NDArray[np.float32]) -> Int64:
    """Return up to ``SHOWN`` images of the largest score, the largest first; evenly where many are equal."""
    score = np.where(np.isnan(score), -np.inf, score)
    if len(images) <= SHOWN:
        return images[np.argsort(-score, kind="stable")]
    least = np.sort(score)[-SHOWN]
    above, equal = images[score > least], images[score == least]
    first = above[np.argsort(-score[score > least], kind="stable")]
    return np.concatenate([first, evenly(equal, SHOWN - len(first))])
