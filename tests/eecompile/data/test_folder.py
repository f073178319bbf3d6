"""Folders of images: splits, classes, and what is no image."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from eecompile.data.dataset import SPLITS
from eecompile.data.folder import load_folder
from eecompile.data.sources import load_data
from passes.errors import InputError

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")


def write_images(folder: Path, count: int, value: int, mode: str = "RGB") -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        colour = value if mode == "L" else (value, 0, number)
        Image.new(mode, (6, 4), colour).save(folder / f"{number:03}.png")


def test_folder_of_classes_is_divided_per_class(tmp_path: Path) -> None:
    for value, name in enumerate(("bird", "cat", "dog")):
        write_images(tmp_path / "pets" / name, 20, value)
    dataset = load_data(str(tmp_path / "pets"))
    assert dataset.class_names == ("bird", "cat", "dog") and dataset.name == "pets"
    assert [np.bincount(dataset.split(name).y).tolist() for name in ("train", "val", "test")] == [
        [14] * 3,
        [3] * 3,
        [3] * 3,
    ]
    for name in ("train", "val", "test"):
        split = dataset.split(name)
        assert split.x.shape[1:] == (3, 4, 6) and (split.x[:, 0, 2, 2] == split.y).all()
    assert "70/15/15" in dataset.notes[0]
    before = dataset.hashes["pets"]
    Image.new("RGB", (6, 4), (9, 9, 9)).save(tmp_path / "pets" / "cat" / "000.png")
    assert load_data(str(tmp_path / "pets")).hashes["pets"] != before


def test_folder_with_splits_and_grey_images(tmp_path: Path) -> None:
    for split, count in (("train", 20), ("test", 5)):
        for value, name in enumerate(("no", "yes")):
            write_images(tmp_path / split / name, count, value, "L")
    dataset = load_data(str(tmp_path))
    assert [len(dataset.train), len(dataset.val), len(dataset.test)] == [36, 4, 10]
    assert dataset.test.x.shape == (10, 1, 4, 6) and (dataset.test.x[:, 0, 0, 0] == dataset.test.y).all()
    write_images(tmp_path / "val" / "yes", 3, 1, "L")
    assert load_data(str(tmp_path)).val.y.tolist() == [1, 1, 1]
    write_images(tmp_path / "val" / "maybe", 1, 1, "L")
    with pytest.raises(InputError, match="maybe is a class that the training images do not have"):
        load_data(str(tmp_path))


def test_bad_folders(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="0 class folders"):
        load_data(str(tmp_path / "empty"))
    write_images(tmp_path / "half" / "train" / "a", 1, 0)
    with pytest.raises(InputError, match="has train but no test"):
        load_data(str(tmp_path / "half"))
    for name in "ab":
        write_images(tmp_path / "sizes" / name, 10, 0)
    odd = tmp_path / "sizes" / "b" / "odd.png"
    Image.new("RGB", (7, 4)).save(odd)
    with pytest.raises(InputError, match=r"odd.png is 7x4 but .*000.png is 6x4"):
        load_data(str(tmp_path / "sizes"))
    noise = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    Image.fromarray(noise).save(odd)
    odd.write_bytes(odd.read_bytes()[:70])
    with pytest.raises(InputError, match=r"odd.png cannot be read as an image"):
        load_data(str(tmp_path / "sizes"))


def two_classes(root: Path, count: int = 10) -> Path:
    for value, name in enumerate(("no", "yes")):
        write_images(root / name, count, value)
    return root


def test_only_images_of_visible_folders_count_however_deep(tmp_path: Path) -> None:
    root = two_classes(tmp_path / "data")
    write_images(root / ".cache", 2, 7)
    (root / "README.md").write_text("two classes")
    (root / "no" / "labels.csv").write_text("0")
    write_images(root / "yes" / "more" / "png", 4, 1)
    (root / "yes" / "more" / "001.PNG").write_bytes((root / "yes" / "001.png").read_bytes())
    dataset = load_folder(root)
    assert dataset.class_names == ("no", "yes") and dataset.classes == 2
    total = sum(np.bincount(dataset.split(name).y, minlength=2) for name in SPLITS)
    assert np.asarray(total).tolist() == [10, 15]
    assert dataset.description == "image folder with 2 classes, 25 images"


@pytest.mark.parametrize("others", [("bicycle",), ("val", "car"), ("test2",)])
def test_train_may_be_a_class(tmp_path: Path, others: tuple[str, ...]) -> None:
    for value, name in enumerate(sorted(("train", *others))):
        write_images(tmp_path / name, 10, value)
    assert load_folder(tmp_path).class_names == tuple(sorted(("train", *others)))


def test_only_if_all_are_grey_there_is_one_channel(tmp_path: Path) -> None:
    root = two_classes(tmp_path / "data")
    Image.new("L", (6, 4), 77).save(root / "no" / "000.png")
    Image.new("1", (6, 4), 1).save(root / "yes" / "000.png")
    dataset = load_folder(root)
    whole = np.concatenate([dataset.split(name).x for name in SPLITS])
    assert whole.shape == (20, 3, 4, 6)
    greys = {int(image[0, 0, 0]) for image in whole if len(np.unique(image)) == 1 and image[0, 0, 0] > 1}
    assert greys == {77, 255}, "grey is the same in all channels, and white is 255"
    for name in ("no", "yes"):
        for path in (root / name).iterdir():
            Image.open(path).convert("1" if name == "no" else "L").save(path)
    assert load_folder(root).train.x.shape[1:] == (1, 4, 6)


def test_rows_and_columns_and_colours_stay_in_their_places(tmp_path: Path) -> None:
    root = two_classes(tmp_path / "data")
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    for path in root.rglob("*.png"):
        Image.fromarray(pixels).save(path)
    x = load_folder(root).test.x
    assert x.dtype == np.uint8
    assert x[0, 2, 1, 3] == pixels[1, 3, 2] and x[0, 0, 3, 5] == pixels[3, 5, 0]


def test_the_seed_divides(tmp_path: Path) -> None:
    root = two_classes(tmp_path / "data", 20)
    first, again, other = (load_folder(root, seed).test.x[:, 2, 0, 0].tolist() for seed in (0, 0, 1))
    assert first == again != other
    for name in ("train", "test"):
        two_classes(tmp_path / "splits" / name, 20)
    first, again, other = (
        load_folder(tmp_path / "splits", seed).val.x[:, 2, 0, 0].tolist() for seed in (0, 0, 1)
    )
    assert first == again != other
    (note,) = load_folder(tmp_path / "splits", 1).notes
    assert note == "no val folder: 4 of the training images serve as validation images (seed 1)"


def test_the_hash_knows_content_and_names_but_not_the_place(tmp_path: Path) -> None:
    def digest(root: Path) -> str:
        return load_folder(root).hashes["data"]

    first = two_classes(tmp_path / "data")
    second = two_classes(tmp_path / "elsewhere" / "data")
    assert digest(first) == digest(second)
    (second / "no" / "003.png").rename(second / "no" / "003a.png")
    assert digest(first) != digest(second)


@pytest.mark.parametrize(
    ("mode", "suffix"), [("I;16", ".png"), ("I;16", ".tif"), ("I", ".tif"), ("F", ".tif")]
)
def test_pixels_wider_than_a_byte_are_refused(tmp_path: Path, mode: str, suffix: str) -> None:
    """Pillow cuts them off at 255: of 16 bits hardly anything would be left but white."""
    root = two_classes(tmp_path / "data")
    wide = root / "no" / f"wide{suffix}"
    Image.new(mode, (6, 4), 5000).save(wide)
    with pytest.raises(InputError, match=f"wide{suffix} has pixels of type {mode[0]}"):
        load_folder(root)


def test_few_images_and_folders_without_images_are_refused(tmp_path: Path) -> None:
    root = two_classes(tmp_path / "few", 2)
    with pytest.raises(InputError, match=r"4 images in .*few are too few for three splits"):
        load_folder(root)
    (tmp_path / "one" / "only").mkdir(parents=True)
    with pytest.raises(InputError, match="1 class folders, at least two are needed"):
        load_folder(tmp_path / "one")
    two_classes(tmp_path / "half" / "train")
    (tmp_path / "half" / "test" / "no").mkdir(parents=True)
    with pytest.raises(InputError, match=r"there are no images in .*test(.|\n)*half/train/<class>/"):
        load_folder(tmp_path / "half")


def test_without_pillow_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(InputError, match=r"needs Pillow(.|\n)*eecompile\[images\]"):
        load_folder(tmp_path)
