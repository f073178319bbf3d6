"""The embedded data set: scikit-learn's handwritten digits, no download."""

from __future__ import annotations

import numpy as np

from eecompile.data.dataset import Dataset, Split, sha256_of, stratified_order

SHARES = (0.5, 0.25, 0.25)
SPLIT_SEED = 0


def load_digits() -> Dataset:
    """Return 1797 images of shape [1, 8, 8], uint8, in 50 % train, 25 % val, 25 % test.

    The stored values 0..16 are brought to 0..255, the range of every other uint8 image, so that the
    preprocessing rules mean the same here. Validation and test get more than usual because a
    tight bound on an accuracy drop needs images there more than a head on digits needs training.
    """
    from sklearn.datasets import load_digits as sklearn_digits

    images, labels = sklearn_digits(return_X_y=True)
    x = np.rint(images * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    y = labels.astype(np.int64)
    train, val, test = (Split(x[part], y[part]) for part in stratified_order(y, SHARES, SPLIT_SEED))
    return Dataset(
        name="digits",
        train=train,
        val=val,
        test=test,
        classes=10,
        class_names=tuple("0123456789"),
        description="handwritten digits, 8x8, from scikit-learn (values 0..16 scaled to 0..255)",
        hashes={"digits": sha256_of([x.tobytes(), y.tobytes()])},
    )
