"""A run directory is read with its images, or what is wrong is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from eecompile.data.in_memory import ImagesInMemory
from eecompile.split.reading import read_run
from passes.errors import InputError
from tests.eecompile.split.small_split import small_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return shutil.copytree(small_run(), tmp_path / "run")


def test_images_are_those_of_the_run(run: Path, tmp_path: Path) -> None:
    found = read_run(run, None)
    assert len(found.dataset.val) == len(found.samples.val.label) == 80 and found.symbolic
    moved = shutil.copy(small_run().parent / "images.npz", tmp_path / "images.npz")
    assert len(read_run(run, str(moved)).dataset.test) == 64
    arrays = dict(np.load(moved))
    arrays["test_x"] = arrays["test_x"] + 1
    np.savez(tmp_path / "others.npz", **arrays)
    with pytest.raises(InputError, match="holds other images"):
        read_run(run, str(tmp_path / "others.npz"))
    with pytest.raises(InputError, match="holds other images"):
        read_run(run, ImagesInMemory({name: values[:10] for name, values in arrays.items()}))


def test_images_in_memory_have_to_be_given_again(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "in_memory": ["data"]}))
    with pytest.raises(InputError, match="were given in memory"):
        read_run(run, None)


def test_what_is_missing_is_said(run: Path) -> None:
    (run / "samples.npz").unlink()
    with pytest.raises(InputError, match="has no answers of images"):
        read_run(run, None)
    (run / "run.json").write_text("{}")
    with pytest.raises(InputError, match="is of no run with images"):
        read_run(run, None)
    (run / "run.json").unlink()
    with pytest.raises(InputError, match=r"cannot read .*run\.json"):
        read_run(run, None)
