"""The supernet of a design: its backbone with every head that may be there on every mount, trained together.

What was trained is kept in the cache, by all that it depends on; a training that was interrupted goes on from
its last epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import onnx
import onnx_graphsurgeon as gs

from eecompile.cache.content import network_hash
from eecompile.cache.key import Key
from eecompile.cache.store import CacheStore
from eecompile.search.backbones.final_head import close_with
from eecompile.search.space.design import Design
from eecompile.search.space.searched_backbones import OwnBackbone
from eecompile.search.space.space import Space
from eecompile.search.worth.images import SearchImages
from passes.exits.added_head import reading_on
from passes.exits.insert_exits import InsertExits, add_rival_heads
from passes.exits.recognise import classifier_exits
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.state import copy_graph, state_of

FORM = 1
"""Of how supernets are trained: another one makes other networks."""


@dataclass(frozen=True)
class Supernets:
    """Builds and trains the supernets of a space.

    Attributes:
        space: What is searched.
        images: What they are trained on.
        cache: Where they are kept.
        seed: Of all that is drawn.
        progress: Told a line now and then.
    """

    space: Space
    images: SearchImages
    cache: CacheStore
    seed: int
    progress: Callable[[str], None] = lambda _: None

    @property
    def epochs(self) -> tuple[int | None, ...]:
        """Epochs that each rung adds to those before; ``None``: what the recipe says."""
        training = self.space.training
        if training.epochs is None:
            return (None,)
        ends = (*training.rungs, training.epochs)
        return tuple(end - start for start, end in zip((0, *ends[:-1]), ends, strict=True))

    def untrained(self, design: Design) -> gs.Graph:
        """Return the supernet of a design before it is trained; weights of a family are absent.

        Raises:
            InputError: The images do not fit it.
        """
        images = self.images
        graph = self.space.graph(design, images.shape, images.classes)
        final = self.space.exits.final_heads[0]
        if final is not None:
            close_with(graph, final, self.seed)
        classifier_exits(graph)
        mounts = self.space.mounts(graph)
        if not mounts:
            return graph
        tensors = graph.tensors()
        heads = {
            mount: self.space.heads_on(reading_on(tensors[mount], graph).shape, images.classes)
            for mount in mounts
        }
        InsertExits(mounts, ",".join(heads[mount][0].name for mount in mounts), self.seed)(graph)
        add_rival_heads(graph, {mount: found[1:] for mount, found in heads.items()}, self.seed)
        return graph

    def key(self, design: Design, rung: int) -> Key:
        """Return the key of a supernet that was trained up to a rung."""
        parts = {
            "form": FORM,
            "network": network_hash(self.untrained(design)),
            "images": self.images.hash,
            "epochs": self.epochs[: rung + 1],
            "seed": self.seed,
            "own": self._own,
        }
        return Key.of("supernet", parts, f"{design.backbone}, rung {rung}")

    def trained(self, design: Design, rung: int) -> gs.Graph:
        """Return the supernet of a design, trained up to a rung; from the cache if it is there."""
        key = self.key(design, rung)
        return graph_of_bytes(self.cache.get(key, lambda: bytes_of_graph(self._train(design, rung, key))))

    @property
    def _own(self) -> bool:
        return isinstance(self.space.backbones, OwnBackbone)

    def _train(self, design: Design, rung: int, key: Key) -> gs.Graph:
        from eecompile.training.checkpoint import Checkpoints
        from eecompile.training.contract import Course, TrainingImages
        from eecompile.training.joint import train_jointly
        from eecompile.training.recipe import FRESH, JointRecipe

        graph = self.trained(design, rung - 1) if rung else self.untrained(design)
        recipe = JointRecipe() if self._own else FRESH
        if (epochs := self.epochs[rung]) is not None:
            recipe = replace(recipe, epochs=epochs)
        scratch = rung == 0 and not self._own
        if scratch:
            from eecompile.training.fresh_weights import draw_network

            draw_network(graph, self.seed)
        drawn = [item.name for item in state_of(graph).exits[:-1]] if rung == 0 else []
        dataset = self.images.dataset
        images = TrainingImages(dataset.train, dataset.val, self.images.preprocess)
        folder = self.cache.folder / "training" / key.digest
        checkpoints = Checkpoints(folder, {}, resume=True)
        course = Course(self.seed, self.progress, checkpoints)
        trained = copy_graph(graph)
        train_jointly(trained, images, recipe, course, drawn, scratch=scratch)
        checkpoints.clear()
        return trained


def bytes_of_graph(graph: gs.Graph) -> bytes:
    """Return a network as the cache keeps it: a model file."""
    data: bytes = to_model(graph).SerializeToString(deterministic=True)
    return data


def graph_of_bytes(data: bytes) -> gs.Graph:
    """Return the network that was kept."""
    return from_model(onnx.load_model_from_string(data), "a network of the cache")
