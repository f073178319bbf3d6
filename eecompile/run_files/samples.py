"""``samples.npz``: what the network of the files answered, image by image, and a few images to look at."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.thresholds import leaves_at
from passes.errors import InputError
from passes.files import write_atomic

SAMPLES_NAME = "samples.npz"

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Bools = NDArray[np.bool_]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class SplitSamples:
    """Answers of the lowered network on N images, at all exits of the files, the final one last.

    Attributes:
        label: [N] int32 class numbers.
        confidence: [exits - 1, N] float32, by the rule of each early exit; what thresholds are compared with.
        prediction: [exits, N] int32 class numbers.
        probability: [exits, N] float32, the largest softmax probability.
        static: [N] int32, the answer of the static network: what a drop is counted against.
    """

    label: Int32
    confidence: Float32
    prediction: Int32
    probability: Float32
    static: Int32

    @property
    def correct(self) -> Bools:
        """Whether the answer at each exit is right, [exits, N]."""
        right: Bools = self.prediction == self.label
        return right

    def part(self, images: Int64) -> SplitSamples:
        """Return the answers on some of the images, by their positions."""
        return SplitSamples(
            self.label[images], self.confidence[:, images], self.prediction[:, images],
            self.probability[:, images], self.static[images],
        )  # fmt: skip

    def leaves_at(self, thresholds: Sequence[float | None]) -> Int64:
        """Return for each image [N] the number of the exit it leaves at.

        Args:
            thresholds: One per early exit; that of the final exit, ``None``, may follow.
        """
        return leaves_at(self.confidence, [np.float32(t) for t in thresholds if t is not None])


@dataclass(frozen=True)
class ShownImages:
    """A few test images, each of a group: why it is shown.

    Attributes:
        index: [K] int32, numbers of the images in the test split.
        exit: [K] int32, number of the exit at which each leaves.
        group: [K] int32, numbers of :data:`GROUPS`.
        pixels: [K, H, W, 1 or 3] uint8.
        note: What was done to them to draw them; or why there are none; else empty.
    """

    index: Int32
    exit: Int32
    group: Int32
    pixels: Pixels
    note: str = ""

    @staticmethod
    def none(note: str) -> ShownImages:
        """Return that nothing is shown, with the reason."""
        nothing = np.zeros(0, np.int32)
        return ShownImages(nothing, nothing, nothing, np.zeros((0, 1, 1, 1), np.uint8), note)


GROUPS = ("right, surest", "right, least sure", "wrong, surest")


@dataclass(frozen=True)
class Samples:
    """All of ``samples.npz``; ``class_names`` is empty where the data name no classes."""

    val: SplitSamples
    test: SplitSamples
    shown: ShownImages
    class_names: tuple[str, ...] = ()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of the file: ``val_label``, …, ``shown_pixels``, ``class_names``."""
        parts = {"val": self.val, "test": self.test, "shown": self.shown}
        found = {
            f"{part}_{name}": np.asarray(value)
            for part, content in parts.items()
            for name, value in vars(content).items()
        }
        return found | {"class_names": np.array(self.class_names, np.str_)}


def write_samples(folder: Path, samples: Samples) -> None:
    """Write ``samples.npz``; the same samples make the same bytes."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **samples.arrays())  # type: ignore[arg-type]
    write_atomic(folder / SAMPLES_NAME, stream.getvalue())


def read_samples(folder: Path, exits: int) -> Samples | None:
    """Return the samples of a run directory; ``None`` where it has none: no data, or an earlier version.

    Args:
        folder: The run directory.
        exits: How many exits its files have, the final one included.

    Raises:
        InputError: A file that cannot be read, or is damaged or of another run.
    """
    path = folder / SAMPLES_NAME
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"cannot read {path}: {error}", "the file is damaged; repeat the run") from None
    try:
        val, test = (_split(arrays, part, exits) for part in ("val", "test"))
        shown = ShownImages(
            _array(arrays, "shown_index", np.int32, (-1,)),
            _array(arrays, "shown_exit", np.int32, (-1,)),
            _array(arrays, "shown_group", np.int32, (-1,)),
            _array(arrays, "shown_pixels", np.uint8, (len(arrays.get("shown_index", ())), -1, -1, -1)),
            str(arrays["shown_note"]),
        )
        limits = ((shown.index, len(test.label)), (shown.exit, exits), (shown.group, len(GROUPS)))
        if any(len(numbers) and not 0 <= numbers.min() <= numbers.max() < end for numbers, end in limits):
            raise ValueError("shown images are none of the test images, exits or groups")
        if len(shown.exit) != len(shown.index) or len(shown.group) != len(shown.index):
            raise ValueError("not one exit and group per shown image")
        return Samples(val, test, shown, tuple(str(name) for name in arrays["class_names"]))
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path} does not fit the run: {error.args[0]}",
            "the file is damaged or of another run; repeat it",
        ) from None


def _split(arrays: dict[str, NDArray[Any]], part: str, exits: int) -> SplitSamples:
    label = _array(arrays, f"{part}_label", np.int32, (-1,))
    if not len(label):
        raise ValueError(f"{part}_label is empty")
    return SplitSamples(
        label,
        _array(arrays, f"{part}_confidence", np.float32, (exits - 1, len(label))),
        _array(arrays, f"{part}_prediction", np.int32, (exits, len(label))),
        _array(arrays, f"{part}_probability", np.float32, (exits, len(label))),
        _array(arrays, f"{part}_static", np.int32, label.shape),
    )


def _array(arrays: dict[str, NDArray[Any]], name: str, kind: type, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return an array; -1 in ``shape`` is any size.

    Raises:
        KeyError: It is not there.
        ValueError: Another type or shape.
    """
    if name not in arrays:
        raise KeyError(f"no {name}")
    found = arrays[name]
    fits = found.ndim == len(shape) and all(
        want in (-1, size) for want, size in zip(shape, found.shape, strict=True)
    )
    if found.dtype != kind or not fits:
        raise ValueError(f"{name} is {found.dtype} {list(found.shape)}")
    return found
