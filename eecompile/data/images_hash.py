"""What tells images, as a network gets them, from others."""

from __future__ import annotations

from eecompile.cache.content import hash_of
from eecompile.data.dataset import Dataset
from eecompile.runtime.preprocess import Preprocess


def images_hash(dataset: Dataset, preprocess: Preprocess) -> str:
    """Return a hash of all splits and of how they become the input of a network, wherever they lie."""
    splits = (dataset.train, dataset.val, dataset.test)
    return hash_of([preprocess, *(part for split in splits for part in (split.x, split.y))])
