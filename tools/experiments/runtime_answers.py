"""Whether a session answers as the compiler does, on all images of a data set and at many batch sizes.

    python -m tools.experiments.runtime_answers RUN --data DATA [--sizes 1-64]

The compiler's own answers: logits of ``model.lowered.onnx`` at every exit, confidences by the rule of each
exit in numpy, thresholds of ``summary.json``. A session gets the images as they are stored, ``size`` at a
time, in an order that differs from size to size. Label and exit have to be the same for every image; what
differs is printed with how far its confidence is from the threshold, and makes the script fail.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np

from eecompile.data.dataset import Split
from eecompile.data.sources import load_data
from eecompile.exits.answers import answers
from eecompile.runtime.compiled_files import from_directory
from eecompile.runtime.drift import DriftWarning
from eecompile.runtime.early_exit_session import EarlyExitSession
from passes.model.graph import load


def main() -> None:
    """Compare, and print one line per session and size that differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory")
    parser.add_argument("--data", required=True, help="what it was made with")
    parser.add_argument("--sizes", default="1-64", metavar="A-B", help="batch sizes [default: 1-64]")
    options = parser.parse_args()
    low, high = (int(part) for part in options.sizes.split("-"))
    warnings.simplefilter("ignore", DriftWarning)  # heads know the training images
    start = time.monotonic()
    dataset = load_data(options.data)
    splits = (dataset.train, dataset.val, dataset.test)
    images = np.concatenate([split.x for split in splits])
    everything = Split(images, np.concatenate([split.y for split in splits]))
    recorded, _ = from_directory(options.run)
    flat = answers(load(options.run / "model.lowered.onnx"), everything, recorded.preprocess)
    thresholds = [np.float32(t) for t in recorded.thresholds[:-1] if t is not None]
    left_at, _ = flat.leaving(thresholds)
    label = np.stack([logits.argmax(axis=1) for logits in flat.logits])[left_at, np.arange(len(images))]
    nearest = np.abs(flat.confidence - np.array(thresholds)[:, None]).min(axis=0, initial=np.inf)
    shares = ", ".join(f"{100 * s:.1f} %" for s in np.bincount(left_at) / len(images))
    print(f"{len(images)} images; {shares} leave at each exit; nearest to a threshold: {nearest.min():.2g}")
    session = EarlyExitSession(options.run)
    wrong = 0
    for size in range(low, high + 1):
        order = np.random.default_rng(size).permutation(len(images))
        found_exit, found_label = np.empty((2, len(images)), np.int64)
        for first in range(0, len(order), size):
            chosen = order[first : first + size]
            found = session.run(images[chosen])
            found_exit[chosen], found_label[chosen] = found.exit, found.label
        different = np.flatnonzero((found_exit != left_at) | (found_label != label))
        wrong += len(different)
        for index in different[:3]:
            print(f"size {size}: image {index} differs, {nearest[index]:.2g} from a threshold")
    took = time.monotonic() - start
    print(f"sizes {low} to {high}: {wrong} of {len(images) * (high - low + 1)} answers differ; {took:.0f} s")
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
