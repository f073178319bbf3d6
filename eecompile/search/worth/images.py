"""The images of a search, and how they become the input of its networks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import onnx_graphsurgeon as gs

from eecompile.data.dataset import Dataset, Images
from eecompile.data.fit import fit_to_model
from eecompile.data.for_network import open_data
from eecompile.data.images_hash import images_hash
from eecompile.data.in_memory import ImageSource
from eecompile.data.preprocess import preprocesses, standardizing
from eecompile.data.sources import load_data
from eecompile.runtime.preprocess import Preprocess
from passes.errors import InputError

AUTO = "auto"


@dataclass(frozen=True)
class SearchImages:
    """Images that all designs are trained and judged on.

    Attributes:
        dataset: Train, val and test.
        preprocess: From stored images to the input of a network.
        shape: Of the input, [1, channels, rows, columns].
    """

    dataset: Dataset
    preprocess: Preprocess
    shape: tuple[int, ...]

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.dataset.classes

    @cached_property
    def hash(self) -> str:
        """What tells them from other images."""
        return images_hash(self.dataset, self.preprocess)


def for_families(spec: ImageSource, rule: str, seed: int) -> SearchImages:
    """Load images for backbones that are built for them.

    Args:
        spec: What `eecompile.data.sources.load_data` takes.
        rule: A preprocessing rule, or ``auto``: mean 0 and deviation 1.
        seed: Of a validation split that has to be carved.

    Raises:
        InputError: These are no images.
    """
    dataset = load_data(spec, seed)
    shape = _shape_of(dataset.train.x, dataset.name)
    dataset = fit_to_model(dataset, shape, dataset.classes)
    told = standardizing(dataset.train.x) if rule == AUTO else rule
    return SearchImages(dataset, preprocesses(told, dataset.train.x, shape)[0], shape)


def for_network(graph: gs.Graph, spec: ImageSource, rule: str, seed: int, where: str) -> SearchImages:
    """Load images for a network of the user, and find out how they become its input."""
    dataset, choice = open_data(graph, spec, rule, seed, where)
    return SearchImages(dataset, choice.preprocess, tuple(int(d) for d in graph.inputs[0].shape))


def _shape_of(stored: Images, name: str) -> tuple[int, ...]:
    """Return the input that takes images as they are stored: channels first."""
    size = stored.shape[1:]
    if len(size) == 2:
        return (1, 1, *size)
    if len(size) == 3:
        rows, columns, channels = size if size[-1] in (1, 3) else (*size[1:], size[0])
        return (1, channels, rows, columns)
    raise InputError(
        f"{name} holds data of shape {list(size)}, and families of backbones read images",
        "name a network of your own in the space (`file`), or give images",
    )
