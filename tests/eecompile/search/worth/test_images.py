from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eecompile.search.worth.images import for_families
from passes.errors import InputError
from tests.eecompile.search.small import write_images


def test_images_say_what_their_networks_read(tmp_path: Path) -> None:
    found = for_families(str(write_images(tmp_path)), "auto", 0)
    assert (found.shape, found.classes, len(found.dataset.train)) == ((1, 1, 8, 8), 3, 256)
    read = found.preprocess.apply(found.dataset.train.x)
    assert read.shape == (256, 1, 8, 8) and abs(read.mean()) < 1e-3 and abs(read.std() - 1) < 1e-3
    unit = for_families(str(tmp_path / "images.npz"), "unit", 0)
    assert unit.preprocess.apply(unit.dataset.train.x).min() >= 0 and unit.hash != found.hash


@pytest.mark.parametrize(
    ("stored", "shape"),
    [((10, 6, 5, 3), (1, 3, 6, 5)), ((10, 3, 6, 5), (1, 3, 6, 5)), ((10, 2, 6, 5), (1, 2, 6, 5))],
)
def test_channels_come_first(tmp_path: Path, stored: tuple[int, ...], shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        f"{name}_x": rng.integers(0, 255, stored, np.uint8) for name in ("train", "val", "test")
    }
    arrays |= {f"{name}_y": np.arange(10) % 2 for name in ("train", "val", "test")}
    np.savez(tmp_path / "a.npz", **arrays)
    found = for_families(str(tmp_path / "a.npz"), "unit", 0)
    assert found.shape == shape
    assert found.preprocess.apply(found.dataset.val.x).shape == (10, *shape[1:])


def test_vectors_are_no_images(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {f"{name}_x": np.zeros((10, 7), np.float32) for name in ("train", "val", "test")}
    arrays |= {f"{name}_y": np.arange(10) % 2 for name in ("train", "val", "test")}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match="families of backbones read images"):
        for_families(str(tmp_path / "a.npz"), "auto", 0)
