"""What the compiler knows about a graph beyond its nodes: exits, origins, layers, declined rewrites.

``onnx_graphsurgeon`` drops node and model metadata, so this state hangs on the graph object,
keyed by node and tensor names, and ``passes.model.graph`` writes it into the file and reads it back.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import onnx_graphsurgeon as gs

from passes.confidence import MAX_SOFTMAX, ConfidenceRule
from passes.heads.designs import HeadDesign
from passes.number_formats import Precision

GRIDS_OF_NODES = ("converter", "affine")


@dataclass(frozen=True)
class Exit:
    """One exit of the network, in order of depth; the final classifier is the last.

    Attributes:
        name: ``exit_0`` … ; the last one is ``final``.
        mount: Tensor the head reads.
        output: Name of the logits tensor, shape [1, classes].
        threshold: An input leaves here if its confidence is at least this; ``None``: not chosen
            yet, or the final exit.
        confidence: Rule by which its confidence is computed, with its parameters.
        head: What its head was built as; ``None``: the head is the user's own.
        apart: Its head runs only where an input leaves here: the file decides before, by something else than
            its logits. Later exits do not pay for it, and no threshold of its logits can take the decision.
        reads: Name of the earlier exit whose logits or features its head reads; empty for none.
    """

    name: str
    mount: str
    output: str
    threshold: float | None = None
    confidence: ConfidenceRule = MAX_SOFTMAX
    head: HeadDesign | None = None
    apart: bool = False
    reads: str = ""

    @property
    def head_name(self) -> str:
        """The head as it is written, family and genes; empty for the user's own head."""
        return "" if self.head is None else self.head.name

    def to_json(self) -> dict[str, Any]:
        """Return the exit as it stands in files: rule and head by name, other things where they are set.

        ``confidence_parameters`` are those of the rule that are not the usual ones.
        """
        found: dict[str, Any] = {
            "name": self.name,
            "mount": self.mount,
            "output": self.output,
            "threshold": self.threshold,
            "confidence": self.confidence.name,
            "head": self.head_name,
        }
        parameters = self.confidence.parameters
        found |= {"confidence_parameters": parameters} if parameters else {}
        return found | ({"apart": True} if self.apart else {}) | ({"reads": self.reads} if self.reads else {})


@dataclass(frozen=True)
class Leaving:
    """How an early exit decides in the file it came from, before it is recorded as an exit.

    Attributes:
        confidence: Rule of its confidence.
        threshold: An input leaves where that is at least this; ``None``: by nothing that is a threshold of a
            known rule.
        apart: What it answers is computed only where an input leaves, by layers with weights.
    """

    confidence: ConfidenceRule = MAX_SOFTMAX
    threshold: float | None = None
    apart: bool = False


@dataclass(frozen=True)
class Decline:
    """Why a pass left a node alone.

    Attributes:
        pass_name: Name of the pass, as in its text form.
        subject: Node or tensor name.
        reason: One sentence for the user.
    """

    pass_name: str
    subject: str
    reason: str


@dataclass(frozen=True)
class QuantGrid:
    """The integer grid of one tensor: real = scale * (q - zero_point), q in [low, high].

    ``scale`` has one element, or one per channel of ``axis``.
    """

    scale: tuple[float, ...]
    zero_point: int
    low: int
    high: int
    dtype: str
    axis: int | None = None


@dataclass
class GraphState:
    """Side information of one graph; copied with it, saved with it.

    Attributes:
        metadata: Model metadata of the user's file, kept as it was.
        origins: Node name -> names of the nodes of the user's model it came from.
        layers: Node name -> name of the fused layer it belongs to (set by ``fuse-layers``).
        exits: The exits, shallow to deep; empty for a plain network.
        declined: What passes left alone, and why; newest run of a pass replaces its older entries.
        symbolic: Weights are absent; shapes are real, values are not.
        softmax: The user's network ended in Softmax, which was set apart from the logits.
        precisions: Node name -> what it computes with, chosen by target and core; nodes that have none take
            what they are given.
        grids: Tensor name -> integer grid, chosen by calibration, read by ``quantize``; those inside a
            convolution of an analog array under ``<node>/converter`` and ``<node>/affine``.
        history: Text forms of the passes that ran.
        leavings: What the outputs but the last are where they were ways of an ``If``: early exits, shallow to
            deep; empty where exits are told by the network alone.
    """

    metadata: dict[str, str] = field(default_factory=dict)
    origins: dict[str, tuple[str, ...]] = field(default_factory=dict)
    layers: dict[str, str] = field(default_factory=dict)
    exits: list[Exit] = field(default_factory=list)
    declined: list[Decline] = field(default_factory=list)
    symbolic: bool = False
    softmax: bool = False
    precisions: dict[str, Precision] = field(default_factory=dict)
    grids: dict[str, QuantGrid] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)
    leavings: list[Leaving] = field(default_factory=list)

    def rename(self, nodes: Mapping[str, str], tensors: Mapping[str, str]) -> None:
        """Take over that nodes and tensors have got other names: old -> new."""

        def node(name: str) -> str:
            return nodes.get(name, name)

        def tensor(name: str) -> str:
            return tensors.get(name, name)

        self.origins = {node(name): origin for name, origin in self.origins.items()}
        self.layers = {node(name): node(layer) for name, layer in self.layers.items()}
        self.precisions = {node(name): precision for name, precision in self.precisions.items()}
        # grids inside a node are called by it
        parts = {f"{old}/{part}": f"{new}/{part}" for old, new in nodes.items() for part in GRIDS_OF_NODES}
        self.grids = {parts.get(name, tensor(name)): grid for name, grid in self.grids.items()}
        subjects = {**tensors, **nodes}
        self.declined = [replace(d, subject=subjects.get(d.subject, d.subject)) for d in self.declined]
        self.exits = [replace(e, mount=tensor(e.mount), output=tensor(e.output)) for e in self.exits]


def state_of(graph: gs.Graph) -> GraphState:
    """Return the state of ``graph``, made empty on first use."""
    found = graph.__dict__.get("eecompile_state")
    if found is None:
        found = GraphState()
        graph.__dict__["eecompile_state"] = found
    return found  # type: ignore[no-any-return]


def copy_graph(graph: gs.Graph) -> gs.Graph:
    """Return an independent copy of ``graph`` with its state; weight arrays are shared."""
    clone = graph.copy()
    clone.__dict__["eecompile_state"] = copy.deepcopy(state_of(graph))
    return clone


def set_origin(graph: gs.Graph, node: gs.Node, sources: Iterable[gs.Node]) -> None:
    """Record that ``node`` came from ``sources``: it inherits the union of their origins, in order."""
    origins = state_of(graph).origins
    merged: dict[str, None] = {}
    for source in sources:
        merged.update(dict.fromkeys(origins.get(source.name, ())))
    origins[node.name] = tuple(merged)


def decline(graph: gs.Graph, pass_name: str, subject: str, reason: str) -> None:
    """Record why ``pass_name`` left ``subject`` (a node or tensor name) alone."""
    entry = Decline(pass_name, subject, reason)
    declined = state_of(graph).declined
    if entry not in declined:
        declined.append(entry)
