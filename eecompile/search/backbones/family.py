"""What a family of backbones is: a name, genes, and a function that returns a graph."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from passes.errors import EecompileError, InputError, did_you_mean
from passes.exits.mounts import find_mounts
from passes.exits.recognise import check_classifier
from passes.model.graph import infer_shapes
from passes.option_text import print_named
from passes.state import state_of

Number = int | float
Shape = tuple[int, ...]
Genes = Mapping[str, Number]
# Tensors called so are what a block ends with: ``block_3``, ``stage_2.block_0``.
_BLOCK = re.compile(r"(?:.*\.)?block_\d+")


@dataclass(frozen=True)
class BackboneGene:
    """What may be chosen of a backbone: a number. Of two values the larger one costs no less, or it falls.

    Attributes:
        name: As it is written.
        default: What it is where nothing is said; a whole number if all values are.
        low: Smallest value.
        high: Largest value.
        words: What it says, to complete "it is …".
        values: All there are, rising, where not every number from ``low`` to ``high`` is one.
        makes_blocks: With another value there are other blocks, and so other mounts.
        falls: Of two values the larger one costs no more.
        shares: A network with one value is a slice of that with the value that costs most: leading channels,
            centres of kernels, leading blocks, maps of the same size. So they may share weights.
    """

    name: str
    default: Number
    low: Number
    high: Number
    words: str
    values: tuple[Number, ...] = ()
    makes_blocks: bool = False
    falls: bool = False
    shares: bool = False

    @property
    def range(self) -> str:
        """The values, in words."""
        if self.values:
            return f"one of {', '.join(f'{value:g}' for value in self.values)}"
        kind = "a whole number" if isinstance(self.default, int) else "a number"
        return f"{kind} from {self.low:g} to {self.high:g}"

    def check(self, value: object) -> Number:
        """Return ``value`` as the kind of number this gene has.

        Raises:
            InputError: It is none of the values.
        """
        whole = isinstance(self.default, int)
        number = isinstance(value, int) or (isinstance(value, float) and not whole)
        if isinstance(value, bool) or not isinstance(value, int | float) or not number:
            raise InputError(f"{value!r} is not {self.range}", f"it is {self.words}")
        if not self.low <= value <= self.high or (self.values and value not in self.values):
            raise InputError(f"{value:g} is not {self.range}", f"it is {self.words}")
        return value if whole else float(value)


@dataclass(frozen=True)
class BackboneFamily:
    """A family of backbones; third parties give theirs to the entry point group ``eecompile.backbones``.

    Attributes:
        name: As it is written.
        words: What it is, in one sentence.
        genes: What may be chosen.
        build: ``build(input_shape, classes, **genes)`` returns a flat float graph: opset 21, one input of
            ``input_shape`` (1, channels, rows, columns), one output of logits [1, classes], static shapes, no
            exits, no BatchNormalization (training puts it in itself). Names of nodes are the same for all
            values of genes, as weights are handed on by them; the tensor that a block ends with is called
            ``….block_<number>``. Weights may be absent (symbolic): training draws them.
    """

    name: str
    words: str
    genes: tuple[BackboneGene, ...]
    build: Callable[..., gs.Graph]

    def gene(self, name: str) -> BackboneGene:
        """Return the gene called ``name``; raises InputError for an unknown one."""
        for gene in self.genes:
            if gene.name == name:
                return gene
        raise InputError(
            f"backbone '{self.name}' has no gene '{name}'", did_you_mean(name, [g.name for g in self.genes])
        )

    def values(self, given: Mapping[str, object]) -> dict[str, Number]:
        """Return the values of all genes in their order, those that are not given by default.

        Raises:
            InputError: An unknown gene, or a value outside its range.
        """
        for name in given:
            self.gene(name)
        found: dict[str, Number] = {}
        for gene in self.genes:
            try:
                found[gene.name] = gene.check(given.get(gene.name, gene.default))
            except InputError as error:
                raise InputError(f"{self.name}.{gene.name}: {error.message}", error.hint) from None
        return found

    def text(self, given: Mapping[str, object]) -> str:
        """Return the text of one of its backbones, with the values of all genes."""
        return print_named(self.name, self.values(given))

    def graph(self, input_shape: Shape, classes: int, given: Mapping[str, object] | None = None) -> gs.Graph:
        """Return one of its backbones; its weights are absent or of no meaning until they are drawn.

        Args:
            input_shape: (1, channels, rows, columns).
            classes: How many logits it has, 2 at least.
            given: Values of genes.

        Raises:
            InputError: A wrong value, or the function of the family returned what is no backbone.
        """
        values = self.values(given or {})
        if len(input_shape) != 4 or input_shape[0] != 1 or min(input_shape) < 1:
            raise InputError(
                f"backbone '{self.name}' reads images of shape [1, channels, rows, columns], not "
                f"{list(input_shape)}",
                "give images with channels, rows and columns",
            )
        if classes < 2:
            raise InputError(
                f"a classifier has 2 classes at least, not {classes}", "give images of more classes"
            )
        try:
            graph = self.build(tuple(input_shape), classes, **values)
            self._check(graph, tuple(input_shape), classes)
        except EecompileError:
            raise
        except Exception as error:
            raise self._broken(f"raised {type(error).__name__}: {error}") from error
        return graph

    def _check(self, graph: object, input_shape: Shape, classes: int) -> None:
        if not isinstance(graph, gs.Graph):
            raise self._broken(f"returned {type(graph).__name__}, not a graph of onnx_graphsurgeon")
        if graph.opset != 21:
            raise self._broken(f"returned opset {graph.opset}, not 21")
        read = [tuple(tensor.shape) for tensor in graph.inputs]
        if read != [input_shape] or graph.inputs[0].dtype != np.float32:
            raise self._broken(f"reads {read}, not float32 {list(input_shape)}")
        infer_shapes(graph)
        made = [tuple(tensor.shape) for tensor in graph.outputs]
        if made != [(1, classes)]:
            raise self._broken(f"answers {made}, not logits [1, {classes}]")
        normal = next((node.name for node in graph.nodes if node.op == "BatchNormalization"), None)
        if normal is not None:
            raise self._broken(f"has BatchNormalization '{normal}', which training puts in itself")
        if state_of(graph).exits:
            raise self._broken("has exits; a backbone has none")
        check_classifier(graph)

    def _broken(self, what: str) -> InputError:
        return InputError(
            f"backbone '{self.name}': its function {what}",
            "tell those who wrote the family; `help` says more",
        )


def mounts_of_blocks(graph: gs.Graph) -> tuple[str, ...]:
    """Return the tensors of a backbone where exits may go, shallow to deep.

    Those are the ends of its blocks (see :class:`BackboneFamily`) but the last, which the classifier itself
    reads. A graph without blocks, as a user's file is, has all its mounts.
    """
    legal = [mount.tensor for mount in find_mounts(graph) if mount.ok]
    blocks = block_ends(graph)
    return tuple(name for name in legal if name in blocks[:-1]) if blocks else tuple(legal)


def block_ends(graph: gs.Graph) -> tuple[str, ...]:
    """Return the tensors that blocks end with, in the order of the network."""
    names = (tensor.name for node in graph.nodes for tensor in node.outputs)
    return tuple(name for name in names if _BLOCK.fullmatch(name))
