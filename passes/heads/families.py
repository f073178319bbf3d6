"""The families of exit heads: name, genes, and the layers they make of the shape of the features.

All are narrow where they can be: an image that does not leave pays for the head as well. What they pool, they
pool by windows that neither overlap nor leave out more than part of one, so that at most so many places
are left per axis: a map that is small enough stays as it is, and nothing is ever enlarged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from passes.heads.layers import HeadLayer, Shape, shape_behind

GeneValue = bool | int | str
# By name of the gene: one of its values.
Genes = Mapping[str, Any]

FINAL_SIZE = 4
"""Places per axis that a classifier reads: maps are pooled to at most so many (arXiv 2512.04705)."""
SEPARABLE_CHANNELS = 32
RELU6 = 6.0
MLP_FACTOR = 8


@dataclass(frozen=True)
class Gene:
    """What may be chosen of a head.

    Attributes:
        name: As it is written.
        values: What it may be.
        default: What it is where nothing is said.
        words: What it says, to complete "it is …".
        spatial: It says something of maps alone; features without spatial axes have none of it.
    """

    name: str
    values: tuple[GeneValue, ...]
    default: GeneValue
    words: str
    spatial: bool = False


NO_REUSE, LOGITS, FEATURES = "none", "logits", "features"
REUSE = Gene(
    "reuse",
    (NO_REUSE, LOGITS, FEATURES),
    NO_REUSE,
    "what it takes over from the exit before: its logits are added to those of this exit, or what its "
    "classifier reads is read by this one too",
)


@dataclass(frozen=True)
class HeadFamily:
    """A kind of head.

    Attributes:
        name: As it is written, in files too.
        words: What it is, in one sentence.
        spatial: How many spatial axes its features may have.
        own_genes: Its genes, but for ``reuse``, which every family has.
        layers: From the shape of the features (channels first, no batch) and the values of its genes to its
            layers up to the vector that the classifier reads.
    """

    name: str
    words: str
    spatial: tuple[int, ...]
    own_genes: tuple[Gene, ...]
    layers: Callable[[Shape, Genes], tuple[HeadLayer, ...]]

    @property
    def genes(self) -> tuple[Gene, ...]:
        """All of its genes, in the order in which they are written."""
        return (*self.own_genes, REUSE)


def pool_to(spatial: tuple[int, ...], size: int) -> tuple[HeadLayer, ...]:
    """Max-pool, kernel = stride, so that at most ``size`` is left per axis; nothing if it is already."""
    kernel = tuple(math.ceil(s / size) for s in spatial)
    return (HeadLayer("MaxPool", kernel, kernel),) if max(kernel, default=1) > 1 else ()


def flat(shape: Shape, size: int = FINAL_SIZE) -> tuple[HeadLayer, ...]:
    """Max-pool to at most ``size`` per axis and flatten; nothing on a vector."""
    return (*pool_to(shape[1:], size), HeadLayer("Flatten")) if len(shape) > 1 else ()


def _linear(shape: Shape, _genes: Genes) -> tuple[HeadLayer, ...]:
    return flat(shape)


def _mlp(shape: Shape, _genes: Genes) -> tuple[HeadLayer, ...]:
    width = MLP_FACTOR * shape[0]
    return (*flat(shape), HeadLayer("Gemm", channels=width, hidden=True, ceiling=RELU6))


def _conv(shape: Shape, genes: Genes) -> tuple[HeadLayer, ...]:
    layers: list[HeadLayer] = []
    for _ in range(genes["modules"]):
        module = _module(shape, genes)
        layers += module
        shape = shape_behind(module, shape)
    return (*layers, *flat(shape, min(genes["size"] // 2, FINAL_SIZE + 1)))


def _module(shape: Shape, genes: Genes) -> tuple[HeadLayer, ...]:
    width, rank = _width(shape[0], genes["expansion"]), len(shape) - 1
    if rank == 0:
        return (HeadLayer("Gemm", channels=width, hidden=True),)
    conv = HeadLayer("Conv", (genes["kernel"],) * rank, (2,) * rank, width)
    layers = (*pool_to(shape[1:], genes["size"]), conv)
    return (*layers, *_halved(shape_behind(layers, shape)[1:])) if genes["pool"] else layers


def _width(channels: int, expansion: GeneValue) -> int:
    """Return the channels of a module on ``channels``; ``auto``: twice as many, within 32 and 64."""
    if expansion == "auto":
        return min(64, max(32, math.ceil(2 * channels / 16) * 16))
    return int(expansion) * channels


def _halved(spatial: tuple[int, ...]) -> tuple[HeadLayer, ...]:
    kernel = tuple(min(2, size) for size in spatial)
    return (HeadLayer("MaxPool", kernel, kernel),) if max(kernel) > 1 else ()


def _separable(shape: Shape, genes: Genes) -> tuple[HeadLayer, ...]:
    ones, width = (1,) * (len(shape) - 1), SEPARABLE_CHANNELS
    pointwise = HeadLayer("Conv", ones, ones, width)
    kernel, twos = tuple(genes["kernel"] * k for k in ones), tuple(2 * k for k in ones)
    depthwise = HeadLayer("Conv", kernel, twos, width, depthwise=True)
    return (pointwise, depthwise, *flat(shape_behind((pointwise, depthwise), shape)))


def _feature(_shape: Shape, _genes: Genes) -> tuple[HeadLayer, ...]:
    return ()


_CONV_GENES = (
    Gene(
        "size",
        (8, 10, 16, 32),
        8,
        "the most places per axis that a module reads; larger maps are pooled",
        True,
    ),
    Gene("kernel", (3, 5), 3, "the size of its kernels", True),
    Gene(
        "expansion",
        ("auto", 1, 2),
        "auto",
        "how many times as many channels a module writes as it reads; auto: twice, within 32 and 64",
    ),
    Gene("modules", (1, 2, 3), 1, "how many modules follow each other"),
    Gene("pool", (False, True), False, "whether a max-pool of 2 follows each convolution", True),
)
_SEPARABLE_GENES = (
    Gene("kernel", (3, 2), 3, "the size of its depthwise kernel: many cores take odd ones alone", True),
)
_VECTOR, _MAPS, _ANY = (0,), (1, 2), (0, 1, 2)

# linear and mlp are those of arXiv 2512.04705. AEBNAS, from which conv has its genes, resizes to `size` by
# interpolation to 8 or 10 and averages at the end; here maps are pooled, never enlarged, and 4 or 5 places
# stay. Sizes of 16 and 32 and a third module are ours: a head on the first maps of a network sees more.
# T-RecX has a separable head with a 2x2 kernel.
_FAMILIES = (
    HeadFamily("linear", "max-pool to at most 4 places per axis, fully connected layer", _ANY, (), _linear),
    HeadFamily(
        "mlp",
        "max-pool to at most 4 places per axis, fully connected layer of 8 times the channels with ReLU6, "
        "fully connected layer",
        _ANY,
        (),
        _mlp,
    ),
    HeadFamily(
        "conv",
        "one to three modules (max-pool to at most 8, 10, 16 or 32 places per axis, convolution of stride 2 "
        "with ReLU; of a vector a fully connected layer with ReLU), max-pool to at most half as many places "
        "(5 at most), fully connected layer",
        _ANY,
        _CONV_GENES,
        _conv,
    ),
    HeadFamily(
        "separable",
        "1x1 convolution to 32 channels, depthwise convolution of stride 2, each with ReLU, max-pool to at "
        "most 4 places per axis, fully connected layer",
        _MAPS,
        _SEPARABLE_GENES,
        _separable,
    ),
    HeadFamily(
        "feature", "fully connected layer on a vector, or on what is read of tokens", _VECTOR, (), _feature
    ),
)
FAMILIES: dict[str, HeadFamily] = {family.name: family for family in _FAMILIES}
