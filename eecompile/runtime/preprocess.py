"""Stored images → the float32 batch a model takes, as it is recorded with a compiled network."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from passes.errors import InputError

Layout = Literal["NCHW", "NHWC", "flat"]
Float32 = NDArray[np.float32]
Images = NDArray[Any]
Channels = tuple[float, ...]
PIXEL_WHITE = 255.0
AxisOrder = Literal["same", "NHWC->NCHW", "NCHW->NHWC", "flatten", "squeeze", "series"]
_PERMUTATIONS: dict[AxisOrder, tuple[int, int, int]] = {"NHWC->NCHW": (2, 0, 1), "NCHW->NHWC": (1, 2, 0)}


def axis_orders(stored: tuple[int, ...], wanted: tuple[int, ...]) -> list[AxisOrder]:
    """Return every way in which images of shape ``stored`` can be fed as ``wanted`` (both without batch)."""
    orders: list[AxisOrder] = ["same"] if stored == wanted else []
    if len(stored) == 3 and len(wanted) == 3:
        for name, permutation in _PERMUTATIONS.items():
            if tuple(stored[axis] for axis in permutation) == wanted:
                orders.append(name)
    if len(stored) == 3 and len(wanted) == 1 and int(np.prod(stored)) == wanted[0]:
        orders.append("flatten")
    if len(stored) == 3 and len(wanted) == 2 and tuple(size for size in stored if size != 1) == wanted:
        orders.append("squeeze")
    elif len(stored) == 3 and stored == (1, *wanted):  # [N, C, L], taken for grey images [N, H, W]
        orders.append("series")
    return orders


def reorder(x: Images, order: AxisOrder) -> Images:
    """Return images [N, …] in another axis order, as a view where possible."""
    if order == "same":
        return x
    if order == "flatten":
        return x.reshape(len(x), -1)
    if order == "squeeze":
        return x.reshape(len(x), *(size for size in x.shape[1:] if size != 1))
    if order == "series":
        return x[:, 0]
    return x.transpose(0, *(axis + 1 for axis in _PERMUTATIONS[order]))


@dataclass(frozen=True)
class Preprocess:
    """How a batch of stored images becomes the model's input: ``(x - mean) / std`` after reordering.

    Attributes:
        rule: Text form of the rule: a name of `RULES` or ``mean=…,std=…``; see `parse_rule`.
        mean: Subtracted, per channel of the model's input or one for all, in stored values.
        std: Divided by, likewise.
        order: Axis order change from the images as stored to the model's input.
        layout: Where the model's input has its channels.
        reverse_channels: Whether RGB becomes BGR (before mean and std apply).
        shape: Shape of one stored image; empty: unknown.
        white: Stored value that means white: 255, or 1; ``None`` for floats that are no longer pixels.
    """

    rule: str
    mean: Channels
    std: Channels
    order: AxisOrder = "same"
    layout: Layout = "NCHW"
    reverse_channels: bool = False
    shape: tuple[int, ...] = ()
    white: float | None = PIXEL_WHITE

    @property
    def name(self) -> str:
        """How it is shown to a user, e.g. ``imagenet, NHWC->NCHW, BGR``."""
        parts = [self.rule]
        parts += [self.order] if self.order != "same" else []
        parts += ["BGR"] if self.reverse_channels else []
        return ", ".join(parts)

    def apply(self, x: Images) -> Float32:
        """Return the model's input, float32 and contiguous, for a batch of stored images [N, …]."""
        x = reorder(x, self.order)
        axis = {"NCHW": 1, "NHWC": -1, "flat": -1}[self.layout]
        if self.reverse_channels:
            x = np.flip(x, axis)
        mean, std = self._numbers
        along = (-1,) if axis == -1 else (-1, *(1,) * (x.ndim - 1 - axis))
        # A copy even where nothing is to be done, so that no arithmetic behind it reaches the data set.
        out: Float32
        if mean is not None:
            out = np.subtract(x, mean.reshape(along), dtype=np.float32, order="C")
        elif std is not None:
            return np.divide(x, std.reshape(along), dtype=np.float32, order="C")  # in one pass
        else:
            out = np.array(x, np.float32, order="C")
        if std is not None:
            out /= std.reshape(along)
        return out

    @functools.cached_property
    def _numbers(self) -> tuple[Float32 | None, Float32 | None]:
        """Mean and standard deviation; ``None`` where they change nothing."""
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        return mean if mean.any() else None, std if (std != 1).any() else None

    def model_input(self, images: Images, wanted: tuple[int, ...]) -> Float32:
        """Return the model's input for images of a user, who may hold them otherwise than they were stored.

        uint8 images are brought to the scale of the stored ones; float32 images are taken to be on it.

        Args:
            images: [N, …] as stored, or [N, C, H, W]; uint8 or float32.
            wanted: Shape of the model's input without batch.

        Raises:
            InputError: Another type or shape, no image, or bytes where the stored images were no pixels.
        """
        if images.dtype not in (np.uint8, np.float32):
            raise InputError(
                f"images are {images.dtype}",
                "give uint8 pixels, or float32 on the scale of the data of the run",
            )
        rule = self._for_shape(images.shape, wanted)
        if images.dtype == np.uint8 and self.white != PIXEL_WHITE:
            if self.white is None:
                raise InputError(
                    "images are uint8, but the network was compiled on floats that are no pixels",
                    "give float32 images that are normalized as the data of the run were",
                )
            images = images.astype(np.float32) / np.float32(PIXEL_WHITE / self.white)
        return rule.apply(images)

    def _for_shape(self, given: tuple[int, ...], wanted: tuple[int, ...]) -> Preprocess:
        """Return the rule for images of shape ``given`` [N, …]."""
        expected = [self.shape] if self.shape else []
        if len(wanted) == 3 and self.layout != "flat":
            expected.append(wanted if self.layout == "NCHW" else (wanted[2], wanted[0], wanted[1]))
        names = " or ".join(str(["N", *shape]).replace("'", "") for shape in dict.fromkeys(expected))
        if given[1:] not in expected:
            hint = f"give {names}"
            hint += "; one image is a batch of one: images[None]" if tuple(given) in expected else ""
            raise InputError(f"images have shape {list(given)}, the network takes {names}", hint)
        if given[0] == 0:
            raise InputError("a batch of no images", f"give at least one: {names}")
        if given[1:] == self.shape:
            return self
        return replace(self, order="same" if self.layout == "NCHW" else "NCHW->NHWC")

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads back."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std), "shape": list(self.shape)}

    @staticmethod
    def from_json(record: object) -> Preprocess:
        """Read a recorded preprocessing.

        Raises:
            InputError: Keys missing, or values of the wrong kind.
        """
        try:
            fields = dict(cast("dict[str, Any]", record))
            mean, std = (tuple(float(v) for v in fields.pop(key)) for key in ("mean", "std"))
            shape, white = tuple(int(size) for size in fields.pop("shape")), fields.pop("white")
            white = None if white is None else float(white)
            result = Preprocess(mean=mean, std=std, shape=shape, white=white, **fields)
        except (TypeError, ValueError, KeyError) as error:
            raise InputError(
                f"the recorded preprocessing cannot be read: {error}", "make the run again"
            ) from error
        known_order = result.order in get_args(AxisOrder)
        if not known_order or result.layout not in ("NCHW", "NHWC", "flat") or not mean or not all(std):
            raise InputError(f"the recorded preprocessing is not valid: {record}", "make the run again")
        return result
