"""What a text names: a known set, an ``.npz``, a folder of images, or nothing there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eecompile.data.sources import load_data
from passes.errors import InputError
from tests.shared_files import SHARED


def test_digits_are_the_same_whatever_the_seed() -> None:
    first, second = load_data("digits"), load_data("digits", seed=5)
    assert first.hashes == second.hashes
    assert np.array_equal(first.test.x, second.test.x)


def test_wrong_kinds_of_path(tmp_path: Path) -> None:
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    for spec, message in (
        (str(tmp_path / "folder.npz"), "is a folder"),
        (str(tmp_path / "notes.txt"), "neither an .npz"),
        (str(tmp_path / "absent.npz"), "there is no file"),
        ("a" * 5000, "cannot be read: File name too long"),
        ("", "empty"),
        ("cifar01", "did you mean 'cifar10'"),
    ):
        with pytest.raises(InputError, match=message):
            load_data(spec)


@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="no shared images (EECOMPILE_SHARED)")
def test_real_images() -> None:
    cifar = load_data(str(SHARED / "data" / "cifar10_lossless_subset.npz"))
    assert [len(cifar.split(name)) for name in ("train", "val", "test")] == [8068, 611, 1000]
    assert cifar.classes == 10 and cifar.train.x.dtype == np.uint8
    fashion = load_data("fashion_mnist", root=SHARED / "data")
    assert fashion.train.x.shape == (54000, 1, 28, 28) and len(fashion.test) == 10000
    assert np.bincount(fashion.val.y).tolist() == [600] * 10
