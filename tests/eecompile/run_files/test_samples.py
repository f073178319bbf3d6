"""``samples.npz``: written and read back, and what is damaged is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eecompile.exits.thresholds import leaves_at
from eecompile.run_files.samples import SAMPLES_NAME, Samples, ShownImages, read_samples, write_samples
from passes.errors import InputError
from tests.eecompile.fabricated_run import samples

Arrays = dict[str, np.ndarray[Any, Any]]


def same(one: Samples, other: Samples) -> bool:
    pairs = zip(one.arrays().items(), other.arrays().items(), strict=True)
    return all(a == b and x.dtype == y.dtype and np.array_equal(x, y) for (a, x), (b, y) in pairs)


def test_what_is_written_is_read_back_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    made = samples()
    write_samples(tmp_path, made)
    first = (tmp_path / SAMPLES_NAME).read_bytes()
    found = read_samples(tmp_path, 3)
    assert found is not None and same(found, made)
    assert found.class_names == made.class_names and found.shown.note == ""
    write_samples(tmp_path, found)
    assert (tmp_path / SAMPLES_NAME).read_bytes() == first


def test_a_reason_why_nothing_is_shown_and_classes_without_names_are_read_back(tmp_path: Path) -> None:
    made = samples(val=3, test=9)
    write_samples(tmp_path, Samples(made.val, made.test, ShownImages.none("No images.")))
    found = read_samples(tmp_path, 3)
    assert found is not None
    assert (found.shown.note, len(found.shown.pixels), found.class_names) == ("No images.", 0, ())


def test_no_file_is_no_error(tmp_path: Path) -> None:
    assert read_samples(tmp_path, 3) is None


def test_an_image_leaves_where_the_rule_of_the_files_says() -> None:
    val = samples().val
    thresholds = [0.9, 0.5]
    expected = leaves_at(val.confidence, [np.float32(t) for t in thresholds])
    assert np.array_equal(val.leaves_at([*thresholds, None]), expected)
    assert set(expected.tolist()) == {0, 1, 2}
    assert val.correct[1].tolist() == [a == b for a, b in zip(val.prediction[1], val.label, strict=True)]


def changed(**values: Any) -> Callable[[Arrays], Arrays]:
    return lambda arrays: arrays | {name: np.asarray(value) for name, value in values.items()}


def without(name: str) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {key: value for key, value in arrays.items() if key != name}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (without("test_label"), "no test_label"),
        (without("shown_note"), "shown_note"),
        (changed(val_confidence=np.zeros((1, 6), np.float32)), r"val_confidence is float32 \[1, 6\]"),
        (changed(val_confidence=np.zeros((2, 6))), r"val_confidence is float64 \[2, 6\]"),
        (changed(test_static=np.zeros(5, np.int32)), r"test_static is int32 \[5\]"),
        (changed(val_label=np.zeros(0, np.int32)), "val_label is empty"),
        (changed(shown_index=np.array([3, 5, 80], np.int32)), "none of the test images"),
        (changed(shown_group=np.array([0, 1, 3], np.int32)), "none of the test images, exits or groups"),
        (changed(shown_exit=np.array([0, -1, 2], np.int32)), "none of the test images, exits"),
        (changed(shown_exit=np.array([0], np.int32)), "not one exit and group"),
        (changed(shown_pixels=np.zeros((2, 8, 8, 1), np.uint8)), "shown_pixels"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, damage: Callable[[Arrays], Arrays], said: str) -> None:
    np.savez(tmp_path / SAMPLES_NAME, **damage(samples(val=6, test=9).arrays()))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=said) as caught:
        read_samples(tmp_path, 3)
    assert SAMPLES_NAME in caught.value.message


def test_answers_of_other_exits_are_refused(tmp_path: Path) -> None:
    write_samples(tmp_path, samples(val=6, test=9))
    with pytest.raises(InputError, match="does not fit the run"):
        read_samples(tmp_path, 2)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_archive_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SAMPLES_NAME).write_bytes(content)
    with pytest.raises(InputError, match="cannot read"):
        read_samples(tmp_path, 3)


def test_objects_are_never_unpacked(tmp_path: Path) -> None:
    arrays = changed(class_names=np.array([{}], object))(samples(val=6, test=9).arrays())
    np.savez(tmp_path / SAMPLES_NAME, **arrays)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="cannot read"):
        read_samples(tmp_path, 3)
