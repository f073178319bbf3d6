"""The supernet of a design: its backbone with every head that may be there on every mount, trained together.

What was trained is kept in the cache, by all that it depends on; a training that was interrupted goes on from
its last epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from shutil import rmtree
from typing import TYPE_CHECKING

import onnx_graphsurgeon as gs

from eecompile.cache.bundle import bytes_of_graph, graph_of_bytes
from eecompile.cache.content import network_hash
from eecompile.cache.key import Key
from eecompile.cache.store import CacheStore
from eecompile.pruning.goal import PruningGoal
from eecompile.search.backbones.final_head import add_final_heads, close_with, closing_of
from eecompile.search.backbones.inherit import inherit
from eecompile.search.space.design import Design
from eecompile.search.space.searched_backbones import OwnBackbone
from eecompile.search.space.space import Space, check_chains
from eecompile.search.worth.images import SearchImages
from eecompile.search.worth.shared import SharedFamily
from eecompile.search.worth.sibling import Sibling
from eecompile.search.worth.stopwatch import TRAINING, Stopwatch
from passes.errors import InputError
from passes.exits.added_head import reading_on
from passes.exits.chain import head_nodes
from passes.exits.exit_chains import add_chained_exits
from passes.exits.insert_exits import InsertExits, add_rival_heads
from passes.exits.recognise import classifier_exits
from passes.state import copy_graph, state_of
from targets.evaluation.report import CostReport

if TYPE_CHECKING:  # training is an extra
    from eecompile.training.checkpoint import Checkpoints
    from eecompile.training.contract import Course, TrainingImages
    from eecompile.training.recipe import JointRecipe

NetworkCost = Callable[[gs.Graph], CostReport]
FORM = 1
"""Of how supernets are trained: another one makes other networks."""


@dataclass(frozen=True)
class Reach:
    """How far a supernet is trained, and from where.

    Attributes:
        rung: The rung it has reached, 0 first.
        start: The trained supernet of a sibling that it started from (:attr:`Sibling.text`); empty: from
            fresh weights, or those of the user's network.
    """

    rung: int
    start: str = ""


@dataclass(frozen=True)
class Supernets:
    """Builds and trains the supernets of a space.

    Attributes:
        space: What is searched.
        images: What they are trained on.
        cache: Where they are kept.
        seed: Of all that is drawn.
        cost: The whole schedule of a network, for pruning.
        quick: One that is found sooner.
        costs_text: What these depend on.
        progress: Told a line now and then.
        watch: Told when a network is trained.
    """

    space: Space
    images: SearchImages
    cache: CacheStore
    seed: int
    cost: NetworkCost
    quick: NetworkCost
    costs_text: str
    progress: Callable[[str], None] = lambda _: None
    watch: Stopwatch = field(default_factory=Stopwatch)
    _keys: dict[tuple[str, Reach], Key] = field(default_factory=dict, repr=False)
    _built: dict[str, gs.Graph] = field(default_factory=dict, repr=False)  # the last one

    @property
    def epochs(self) -> tuple[int | None, ...]:
        """Epochs that each rung adds to those before; ``None``: what the recipe says."""
        training = self.space.training
        if training.epochs is None:
            return (None,)
        ends = (*training.rungs, training.epochs)
        return tuple(end - start for start, end in zip((0, *ends[:-1]), ends, strict=True))

    def backbone(self, design: Design) -> gs.Graph:
        """Return the backbone of a design without exits; weights are absent where it is drawn later.

        One that is pruned was trained alone first, and then to answer as before.

        Raises:
            InputError: The images do not fit it.
            NoSolutionError: The goal of pruning cannot be reached.
        """
        graph = self.space.graph(design, self.images.shape, self.images.classes)
        finals = self.space.exits.final_heads
        final = finals[closing_of(finals)]
        if final is not None:
            close_with(graph, final, self.seed)
        classifier_exits(graph)
        goal = design.goal
        if goal is None:
            return graph
        parts = self._parts(graph) | {"goal": str(goal), "costs": self.costs_text}
        key = Key.of("pruned", parts, f"{design.backbone}, {goal}")
        return self.made(key, lambda checkpoints: self._pruned(graph, goal, checkpoints))

    def untrained(self, design: Design) -> gs.Graph:
        """Return the supernet of a design before it is trained, with all heads on all mounts.

        Of several final heads all but one are exits on the last block, behind the early ones.

        Raises:
            InputError: The images do not fit it.
            NoSolutionError: The goal of pruning cannot be reached.
        """
        if design.text not in self._built:
            graph = self._with_heads(self.backbone(design))
            self._built.clear()
            self._built[design.text] = graph
        return copy_graph(self._built[design.text])

    def _with_heads(self, graph: gs.Graph) -> gs.Graph:
        mounts = self.space.mounts(graph)
        if mounts:
            tensors = graph.tensors()
            heads = {
                mount: self.space.heads_on(reading_on(tensors[mount], graph).shape, self.images.classes)
                for mount in mounts
            }
            exits = self.space.exits
            if exits.reads_before:
                check_chains(list(heads.values()), exits.at_most)
                add_chained_exits(graph, heads, self.seed, exits.at_most)
            else:
                InsertExits(mounts, ",".join(heads[mount][0].name for mount in mounts), self.seed)(graph)
                add_rival_heads(graph, {mount: found[1:] for mount, found in heads.items()}, self.seed)
        add_final_heads(graph, self.space.exits.final_heads, self.seed)
        return graph

    def _parts(self, graph: gs.Graph) -> dict[str, object]:
        """Return what all trainings of a network depend on."""
        return {
            "form": FORM,
            "network": network_hash(graph),
            "images": self.images.hash,
            "epochs": self.space.training.epochs,
            "seed": self.seed,
            "own": self._own,
        }

    def _pruned(self, graph: gs.Graph, goal: PruningGoal, checkpoints: Checkpoints) -> gs.Graph:
        """Return a backbone that was trained alone, if it was not, and pruned."""
        from eecompile.pruning.prune import prune
        from eecompile.training.recipe import PRUNED

        plain = copy_graph(graph)
        if not self._own:
            self._train_jointly(
                plain, self._recipe(self.space.training.epochs), checkpoints.part("alone"), []
            )
        recipe = PRUNED
        if (epochs := self.space.training.epochs) is not None:
            recipe = replace(PRUNED, epochs=epochs)
        course = self._course(checkpoints.part("pruned"))
        with self.watch.on(TRAINING):
            return prune(plain, goal, self.training_images, recipe, course, self.cost, self.quick).graph

    def key(self, design: Design, reach: Reach) -> Key:
        """Return the key of a supernet; it is built for that, once."""
        asked = design.text, reach
        if asked not in self._keys:
            start = Sibling.of(reach.start).digest
            epochs: dict[str, object] = {"epochs": self.epochs[: reach.rung + 1], "start": start}
            told = f"{design.text}, rung {reach.rung}"
            if self.space.training.share:
                epochs, told = {"shared": self.shared_key(design.family).digest}, design.text
            self._keys[asked] = Key.of("supernet", self._parts(self.untrained(design)) | epochs, told)
        return self._keys[asked]

    def trained(self, design: Design, reach: Reach) -> gs.Graph:
        """Return the trained supernet of a design; from the cache if it is there.

        Raises:
            InputError: The sibling that it starts from left the cache, and cannot be made again.
        """
        key = self.key(design, reach)
        if self.space.training.share:
            return self.made(key, lambda _: self._slice(design))
        return self.made(key, lambda checkpoints: self._train(design, reach, checkpoints))

    def made(self, key: Key, make: Callable[[Checkpoints], gs.Graph]) -> gs.Graph:
        """Return a trained network: from the cache if it is there, else ``make`` trains it.

        Args:
            key: What it depends on.
            make: Trains it; what it gets keeps its state after each epoch, until the network is in the cache.
        """
        folder = self.cache.training(key)

        def train() -> bytes:
            from eecompile.training.checkpoint import Checkpoints

            return bytes_of_graph(make(Checkpoints.kept_in(folder)))

        data = self.cache.get(key, train)
        rmtree(folder, ignore_errors=True)
        return graph_of_bytes(data)

    def shared_key(self, family: str) -> Key:
        """Return the key of the network whose weights all designs of a family share."""
        found = self._shared_family(family)
        siblings = {name: list(values) for name, values in found.choices.items()}
        parts = self._parts(found.absent(found.largest)) | {"siblings": siblings}
        return Key.of("shared", parts, f"shared weights of {family}")

    def shared(self, family: str) -> gs.Graph:
        """Return the network whose weights all designs of a family share, as it is trained: normalized.

        Raises:
            InputError: A design that is no slice of the largest one.
        """
        key = self.shared_key(family)
        return self.made(key, lambda checkpoints: self._train_shared(family, checkpoints))

    def _shared_family(self, family: str) -> SharedFamily:
        item = next(item for item in self.space.families if item.name == family)
        return SharedFamily(self.space, item, self.untrained)

    def _train_shared(self, family: str, checkpoints: Checkpoints) -> gs.Graph:
        from eecompile.training.shared.shared_training import SharedTraining, Siblings

        found = self._shared_family(family)
        siblings = Siblings(found.smallest, found.draw, found.build)
        recipe = self._recipe(self.space.training.epochs)
        training = SharedTraining(
            found.build(found.largest), self.training_images, recipe, self._course(checkpoints), siblings
        )
        with self.watch.on(TRAINING):
            training.run()
        return training.form

    def _slice(self, design: Design) -> gs.Graph:
        """Return the supernet of a design with its slice of the weights that are shared."""
        from eecompile.training.fresh_weights import draw_network
        from eecompile.training.shared.cut_out import cut_out

        graph = self.untrained(design)
        draw_network(graph, self.seed)
        train = self.images.dataset.train
        recipe = self._recipe(self.space.training.epochs)
        whole = self.shared(design.family)
        with self.watch.on(TRAINING):
            cut_out(graph, whole, train, self.images.preprocess, recipe)
        return graph

    @property
    def _own(self) -> bool:
        return isinstance(self.space.backbones, OwnBackbone)

    def _train(self, design: Design, reach: Reach, checkpoints: Checkpoints) -> gs.Graph:
        rung = reach.rung
        graph = self.trained(design, replace(reach, rung=rung - 1)) if rung else self.untrained(design)
        drawn = [item.name for item in state_of(graph).exits[:-1]] if rung == 0 else []
        if rung == 0 and reach.start:
            drawn = self._inherit(graph, Sibling.of(reach.start))
        has_weights = rung > 0 or self._own or design.goal is not None or bool(reach.start)
        teaches = rung == 0 and has_weights and not reach.start
        recipe = self._recipe(self.epochs[rung], teaches=teaches)
        self._train_jointly(graph, recipe, checkpoints, drawn, scratch=not has_weights)
        return graph

    def _inherit(self, graph: gs.Graph, start: Sibling) -> list[str]:
        """Give a supernet the weights of a sibling; return the exits whose heads got none."""
        from eecompile.training.fresh_weights import draw_network

        data = self.cache.read(Key("supernet", start.digest, ""))
        sibling = self._again(start) if data is None else graph_of_bytes(data)
        draw_network(graph, self.seed)
        inherited = set(inherit(graph, sibling))
        return [
            item.name
            for item in state_of(graph).exits[:-1]
            if not any(node.name in inherited for node in head_nodes(graph, item))
        ]

    def _again(self, sibling: Sibling) -> gs.Graph:
        """Train a supernet anew that left the cache: what depends on it is then what it was, to the bit."""
        gone = "the supernet of the sibling that a design starts from is not in the cache any more"
        if sibling.params is None:
            raise InputError(gone, "let the cache be larger, or search without `inherit`")
        design, reach = self.space.design(sibling.params), Reach(sibling.rung, sibling.start)
        if self.key(design, reach).digest != sibling.digest:
            raise InputError(f"{gone}, and would come out otherwise", "start another search")
        self.progress("what it starts from left the cache: it is trained again")
        return self.trained(design, reach)

    def _recipe(self, epochs: int | None, *, teaches: bool = False) -> JointRecipe:
        """Return how a network is trained; ``teaches``: it knows how to answer, and its exits learn that."""
        from eecompile.training.recipe import FRESH, JointRecipe

        recipe = JointRecipe() if teaches or self._own else FRESH
        return recipe if epochs is None else replace(recipe, epochs=epochs)

    def _train_jointly(
        self,
        graph: gs.Graph,
        recipe: JointRecipe,
        checkpoints: Checkpoints,
        drawn: Sequence[str],
        *,
        scratch: bool = True,
    ) -> None:
        from eecompile.training.fresh_weights import draw_network
        from eecompile.training.joint import train_jointly

        if scratch:
            draw_network(graph, self.seed)
        course = self._course(checkpoints)
        with self.watch.on(TRAINING):
            train_jointly(graph, self.training_images, recipe, course, drawn, scratch=scratch)

    @property
    def training_images(self) -> TrainingImages:
        """What networks are trained on, and the images to see how far they are."""
        from eecompile.training.contract import TrainingImages

        dataset = self.images.dataset
        return TrainingImages(dataset.train, dataset.val, self.images.preprocess)

    def _course(self, checkpoints: Checkpoints) -> Course:
        from eecompile.training.contract import Course

        return Course(self.seed, self.progress, checkpoints)
