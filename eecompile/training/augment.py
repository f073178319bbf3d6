"""What is done to training images: moved, mirrored, blanked in part, as stored and batch by batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from eecompile.data.dataset import Split, evenly
from eecompile.training.recipe import AUTO, MEAN, YES, JointRecipe

Array = NDArray[Any]
MIRRORED = 1024
"""So many images tell whether mirroring is noticed."""
FLIP_TOLERANCE = 0.05
_NEIGHBOURS = 4096


def image_axes(images: Array) -> tuple[int, int]:
    """Height and width of stored images [N, C, H, W] or [N, H, W, C]; channels are the small axis."""
    return (1, 2) if images.shape[3] < images.shape[1] else (2, 3)


def minds_no_mirror(images: Array, labels: Array, answers: Callable[[Array], Array]) -> bool:
    """Mirroring is taken as an augmentation only if ``answers`` are nearly as right on mirrored images.

    Args:
        images: Stored images [N, …, …, …].
        labels: [N].
        answers: From stored images to class numbers.
    """
    x, y = evenly(images, MIRRORED), evenly(labels, MIRRORED)
    mirrored = np.flip(x, axis=image_axes(x)[1])
    plain, turned = (float((answers(shown) == y).mean()) for shown in (x, mirrored))
    return plain - turned <= FLIP_TOLERANCE


def nearest_answers(train: Split) -> Callable[[Array], Array]:
    """Return the class of the nearest training image, for networks that know nothing yet."""
    known, labels = evenly(train.x, _NEIGHBOURS), evenly(train.y, _NEIGHBOURS)

    def flat(images: Array) -> NDArray[np.float32]:
        found: NDArray[np.float32] = images.reshape(len(images), -1).astype(np.float32)
        found -= found.mean(axis=1, keepdims=True)
        return found

    keys = flat(known)
    sizes = (keys**2).sum(axis=1)

    def answers(images: Array) -> Array:
        distance = sizes[None, :] - 2 * (flat(images) @ keys.T)
        found: Array = labels[distance.argmin(axis=1)]
        return found

    return answers


@dataclass(frozen=True)
class Augmentation:
    """Ways in which images [N, …, …, …] are changed; those without two spatial axes stay as they are.

    Attributes:
        shift: Share of height and width by which images are moved at most.
        mirror: Half of them are mirrored.
        cutout: Share of height and width that is blanked.
        fill: Value of what is blanked or comes in, one or per channel; ``None``: the edge is repeated, and
            blanked with 0.
    """

    shift: float
    mirror: bool
    cutout: float
    fill: Array | None = None

    @staticmethod
    def of(recipe: JointRecipe, train: Split, answers: Callable[[Array], Array]) -> Augmentation:
        """Return that of a recipe for images; ``answers`` tell whether mirroring is noticed."""
        if train.x.ndim != 4:
            return Augmentation(0.0, False, 0.0)
        mirror = recipe.mirror == YES
        if recipe.mirror == AUTO:
            mirror = minds_no_mirror(train.x, train.y, answers)
        fill = None
        if recipe.border == MEAN or recipe.cutout:
            some = evenly(train.x, _NEIGHBOURS)
            fill = some.mean(axis=(0, *image_axes(some)), keepdims=True)[0].astype(train.x.dtype)
        return Augmentation(recipe.shift, mirror, recipe.cutout, fill if recipe.border == MEAN else None)

    def apply(self, images: Array, rng: np.random.Generator) -> Array:
        """Return changed copies of a batch of stored images."""
        if images.ndim != 4:
            return images
        axes = image_axes(images)
        images = self._moved(images, axes, rng)
        if self.mirror:
            turned = rng.random(len(images)) < 0.5
            images[turned] = np.flip(images[turned], axis=axes[1])
        if self.cutout:
            self._blank(images, axes, rng)
        return images

    def _moved(self, images: Array, axes: tuple[int, int], rng: np.random.Generator) -> Array:
        reach = [max(1, int(self.shift * images.shape[axis])) if self.shift else 0 for axis in axes]
        if not any(reach):
            return images.copy()
        pads = [(0, 0)] * 4
        for axis, r in zip(axes, reach, strict=True):
            pads[axis] = (r, r)
        if self.fill is None:
            padded = np.pad(images, pads, mode="edge")
        else:
            shape = [n + sum(pad) for n, pad in zip(images.shape, pads, strict=True)]
            padded = np.broadcast_to(self.fill, shape).copy()
            inside = tuple(slice(low, low + n) for n, (low, _) in zip(images.shape, pads, strict=True))
            padded[inside] = images
        size = tuple(images.shape[axis] for axis in axes)
        windows = sliding_window_view(padded, size, axis=axes)  # its places are where the pixels were
        rows, columns = (rng.integers(0, 2 * r + 1, len(images)) for r in reach)
        if axes == (2, 3):
            return np.ascontiguousarray(windows[np.arange(len(images)), :, rows, columns])
        # [N, C, H, W] of images that are stored [N, H, W, C]
        return np.ascontiguousarray(windows[np.arange(len(images)), rows, columns].transpose(0, 2, 3, 1))

    def _blank(self, images: Array, axes: tuple[int, int], rng: np.random.Generator) -> None:
        """Blank a square around a random place, as far as it is inside (DeVries and Taylor 2017)."""
        inside = []
        for axis in axes:
            size = images.shape[axis]
            side = max(1, round(self.cutout * size))
            first = rng.integers(0, size, (len(images), 1)) - side // 2
            place = np.arange(size)[None, :]
            shape = [len(images), 1, 1, 1]
            shape[axis] = size
            inside.append(((place >= first) & (place < first + side)).reshape(shape))
        blank = np.broadcast_to(inside[0] & inside[1], images.shape)
        fill = np.zeros((1, 1, 1), images.dtype) if self.fill is None else self.fill
        np.copyto(images, fill, where=blank)
