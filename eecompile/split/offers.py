"""What may be sent: a cut and a codec, with the answers behind it and the bytes it takes, image by image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.data.dataset import Split, evenly
from eecompile.runtime.preprocess import PIXEL_WHITE, Preprocess
from eecompile.runtime.split.feature_codec import FLOAT_BITS, HEAD, FeatureCodec
from eecompile.split.codecs import entropy_bytes, fitted_codecs
from eecompile.split.device_costs import CutPlace, DeviceCosts
from eecompile.split.parts import CutParts, Float32, each_batch

Array = NDArray[Any]
FIT_IMAGES = 256
"""Training images that codecs are fitted on."""
MUST_AGREE = 0.5
"""Of training images a codec leaves the answers of at least so many as they are."""


@dataclass(frozen=True)
class Behind:
    """What a split's images come to behind an offer.

    Attributes:
        label: [N] int64, the server's answers.
        payload_bytes: [N] float64, measured, with our own head.
        entropy_bytes: Mean over the images: the empirical entropy of what is sent, without any head.
    """

    label: NDArray[np.int64]
    payload_bytes: NDArray[np.float64]
    entropy_bytes: float


@dataclass(frozen=True)
class Offer:
    """A way to go on elsewhere.

    Attributes:
        place: Where the network is cut.
        codec: How the tensor there is sent.
        server_s: Seconds the server needs behind it.
        agree: Share of training images whose answer stays.
        mean_bytes: Of the bodies of training images.
    """

    place: CutPlace
    codec: FeatureCodec
    server_s: float
    agree: float
    mean_bytes: float

    @property
    def words(self) -> str:
        """What it is, in a few words."""
        return f"{self.place.name}, {self.codec.words}"


def offers_of(
    costs: DeviceCosts,
    parts: Callable[[CutPlace], CutParts],
    train: Split,
    preprocess: Preprocess,
    server_s: Callable[[CutPlace], float],
    watch: Callable[[str], None],
) -> list[Offer]:
    """Return what may be sent, fitted on training images; what another offer beats in all ways is left out.

    Args:
        costs: Of the device.
        parts: Both sides of a cut.
        train: Training images.
        preprocess: From stored images to the model's input.
        server_s: Seconds of the server behind a cut.
        watch: Told of each cut.
    """
    images = preprocess.apply(evenly(train.x, FIT_IMAGES))
    found: list[tuple[Offer, tuple[float, ...]]] = []
    for place in costs.cuts:
        watch(place.name)
        sides = parts(place)
        axis, limits = _channels(place, images.shape, train, preprocess)
        seconds = server_s(place)
        device = costs.until(place.layers, ())
        for one in fitted_codecs(place, sides, sides.features(images), axis, limits):
            if one.agree >= MUST_AGREE:
                rank = (device[0], device[1], device[0] + seconds, one.mean_bytes, -one.agree)
                found.append((Offer(place, one.codec, seconds, one.agree, one.mean_bytes), rank))
    return [offer for offer, rank in found if not any(_beats(other, rank) for _, other in found)]


def behind(
    offers: Sequence[Offer],
    parts: Callable[[CutPlace], CutParts],
    split: Split,
    preprocess: Preprocess,
    watch: Callable[[int], None] = lambda _: None,
) -> list[Behind]:
    """Run the later part on what a server decodes of each image of a split, for each offer."""
    total = len(split)
    labels = [np.empty(total, np.int64) for _ in offers]
    sizes = [np.empty(total) for _ in offers]
    sent: list[list[Array]] = [[] for _ in offers]
    places = {offer.place.tensor: offer.place for offer in offers}
    for tensor, place in places.items():
        sides = parts(place)

        def use(piece: slice, images: Float32, tensor: str = tensor, sides: CutParts = sides) -> None:
            features = sides.features(images)
            for number, offer in enumerate(offers):
                if offer.place.tensor == tensor:
                    codec = offer.codec
                    codes = codec.codes(features)
                    labels[number][piece] = sides.logits(codec.restored(codes)).argmax(1)
                    bodies = [codec.body(image[None])[1] for image in features]
                    sizes[number][piece] = [HEAD.size + len(body) for body in bodies]
                    if codec.bits != FLOAT_BITS:
                        sent[number].append(codes)
                    watch(len(images))

        each_batch(split, preprocess, use)
    return [
        Behind(
            label,
            size,
            entropy_bytes(np.concatenate(codes), offer.codec.axis) if codes else float("nan"),
        )
        for label, size, codes, offer in zip(labels, sizes, sent, offers, strict=True)
    ]


def _beats(one: Sequence[float], than: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, than, strict=True)) and tuple(one) != tuple(than)


def _channels(
    place: CutPlace, given: tuple[int, ...], train: Split, preprocess: Preprocess
) -> tuple[int, tuple[Array, Array] | None]:
    """Return the axis of a cut's channels, and the limits of each where pixels say them."""
    of_images = place.layers == 0 and place.shape[1:] == given[1:]
    axis = len(place.shape) - 1 if of_images and preprocess.layout == "NHWC" else 1
    if not of_images or place.dtype != "float32" or train.x.dtype != np.uint8:
        return axis, None
    ends = np.zeros((2, *train.x.shape[1:]), np.uint8)
    ends[1] = PIXEL_WHITE
    values = np.moveaxis(preprocess.apply(ends), axis, 1).reshape(2, place.shape[axis], -1)
    return axis, (values.min((0, 2)), values.max((0, 2)))
