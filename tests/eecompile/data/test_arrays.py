"""Arrays by name: which there must be, and what messages call them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eecompile.data.arrays import check_keys, dataset_of
from passes.errors import InputError


def test_missing_arrays_are_named() -> None:
    with pytest.raises(InputError, match="`data` has no train_y, test_x, test_y"):
        check_keys(["train_x"], "`data`")
    with pytest.raises(InputError, match="has no val_y"):
        check_keys(["train_x", "train_y", "test_x", "test_y", "val_x"], "`data`")


def test_messages_and_notes_speak_of_what_was_given() -> None:
    x, y = np.zeros((40, 3, 4, 4), np.float32), np.arange(40) % 4
    arrays: dict[str, Any] = {"train_x": x, "train_y": y, "test_x": x[:4], "test_y": y[:4]}
    found = dataset_of(dict(arrays), 2, "name", "called", "where", {"a": "b"})
    assert found.notes[0].startswith("called has no val_x, val_y") and found.hashes == {"a": "b"}
    with pytest.raises(InputError, match="in where, train_x holds"):
        dataset_of({**arrays, "test_x": x[:4, :, :2]}, 2, "name", "called", "where", {})
