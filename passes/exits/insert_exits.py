"""Put exit heads on mounts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import onnx_graphsurgeon as gs

from passes.base import Pass
from passes.confidence import MAX_SOFTMAX, confidence_rule
from passes.errors import InputError
from passes.exits.added_head import add_head, reading_on
from passes.exits.chain import head_nodes, number_exits, order_outputs
from passes.exits.mounts import find_mounts, given_names, is_number, resolve_mounts, split_names
from passes.exits.recognise import check_classifier, classifier_exits
from passes.heads.designs import AUTO, HeadDesign, on_features, parse_heads
from passes.heads.families import NO_REUSE
from passes.heads.layers import layer_names
from passes.model.graph import tidy
from passes.operator_sets import FLOAT_LINEAR
from passes.rewrite.names import make_way
from passes.state import Exit, decline, state_of

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class InsertExits(Pass):
    """Add an early exit at each of the given mounts; the network's own classifier becomes ``final``.

    1. ``at`` holds mounts (short names, tensor or node names), or one number: so many early exits in
       all, on the best-ranked mounts.
    2. Each exit reads its mount through a head whose logits become a graph output ``exit_<k>``, numbered
       from shallow to deep.
    3. Head weights are drawn from a seeded He normal distribution until training replaces them; in a
       shape-only graph they are symbolic.
    4. A mount that has an exit already is left as it is; all exits are then numbered anew.
    5. On a quantized tensor the mount is the integers, and a head has a DequantizeLinear of its own.
    6. The new exits record their head and ``confidence``, the rule their threshold is compared by
       (``max_softmax``, ``margin``, ``entropy``, ``patience`` or ``gate``; with a parameter, in quotes:
       ``"max_softmax{temperature=1.5}"``); so does ``final`` where these are the first exits.
    7. ``head`` is ``auto`` (``conv`` on maps of at least 8 places per axis, else ``linear``) or a family, its
       genes where they are not the first ones: ``linear``, ``mlp``, ``conv{size=8|10|16|32,
       kernel=3|5,expansion=auto|1|2,modules=1|2|3,pool=false|true}``, ``separable{kernel=3|2}``
       and ``feature``; all have ``reuse=none|logits|features``. Several heads, separated by commas, are one
       for each mount of ``at`` as it is written there, or in the order of the network for a number.
    8. With ``reuse`` the logits of the exit before are added to those of this one, or what the classifier of
       that exit reads is read by this one's too; the exit records which it reads. The first exit has none
       before it: a head that was given for all is built without there, which is declined with the reason.
    """

    name: ClassVar[str] = "insert-exits"
    at: tuple[str, ...] = ("2",)
    head: str = AUTO
    seed: int = 0
    confidence: str = MAX_SOFTMAX.name

    def requires(self, graph: gs.Graph) -> None:
        """One classifier output of shape [1, classes], or exits this pass made; a head and a rule we know."""
        parse_heads(self.head)
        confidence_rule(self.confidence)
        if not state_of(graph).exits and len(graph.outputs) != 1:
            check_classifier(graph)
            raise self.broken(
                graph,
                f"the graph has {len(graph.outputs)} outputs, so its exits are there already",
                "give a network with one output to insert exits",
            )

    def run(self, graph: gs.Graph) -> bool:
        """Insert the heads, shallow to deep."""
        state = state_of(graph)
        rule = confidence_rule(self.confidence)
        *early, final = classifier_exits(graph)
        wanted = self._wanted(graph, {e.mount for e in early})
        if not wanted:
            return False
        tensors = graph.tensors()
        chosen = [(tensors[tensor], design) for tensor, design in wanted.items()]
        names = [f"exit_{number}" for number in range(len(early), len(early) + len(chosen))]
        for name in names:
            make_way(graph, name)
            if name in graph.tensors():
                raise InputError(
                    f"the network has an input or output called '{name}', which is the name of an exit",
                    "rename it",
                )
        *early, final = state.exits  # their tensors may have been in the way
        if not early:
            final = replace(final, confidence=rule)
        order = {mount.tensor: index for index, mount in enumerate(find_mounts(graph))}
        rng = np.random.default_rng(self.seed)
        for name, (tensor, design) in zip(names, chosen, strict=True):
            before = [e for e in early if order[e.mount] < order[tensor.name]]
            found = on_features(design, reading_on(tensor, graph).shape)
            if found.reuse != NO_REUSE and not before:
                found = self._without_reuse(graph, tensor, found, len(chosen))
            made = Exit(name, tensor.name, name, confidence=rule, head=found)
            early.append(add_head(graph, made, before[-1] if before else None, rng))
            early.sort(key=lambda e: order[e.mount])
        state.exits = [*early, final]
        number_exits(graph)
        order_outputs(graph)
        tidy(graph)
        return True

    def _without_reuse(self, graph: gs.Graph, mount: gs.Tensor, design: HeadDesign, exits: int) -> HeadDesign:
        """Return the head of the first exit, given for all; raises InputError if it was given for it."""
        if exits == 1 or len(parse_heads(self.head)) > 1:
            raise InputError(
                f"head '{design.name}' at '{mount.name}': there is no exit before it",
                "leave `reuse` away there, or insert an exit before it",
            )
        first = design.alone()
        decline(graph, self.name, mount.name, f"no exit is before it: its head is {first.name}")
        return first

    def _wanted(self, graph: gs.Graph, taken: set[str]) -> dict[str, HeadDesign | None]:
        """Return the tensors that get an exit and the heads they get, in the order of the network."""
        heads = parse_heads(self.head)
        if len(self.at) == 1 and is_number(self.at[0]):
            asked = int(self.at[0])
            left = asked - len(taken) if asked > 0 else asked
            if asked > 0 >= left:
                return {}
            if taken and len(heads) > 1:
                raise InputError(
                    f"of {asked} exits {len(taken)} are there already: which heads are for the others?",
                    "name the mounts, or one head for all",
                )
            mounts = resolve_mounts(graph, str(left))
            self._check_count(len(heads), asked)
            given = heads * left if len(heads) == 1 else heads
            return dict(zip((mount.tensor for mount in mounts), given, strict=True))
        asked_names = self.at if len(self.at) > 1 else tuple(split_names(graph, self.at[0]))
        self._check_count(len(heads), len(asked_names))
        given = heads * len(asked_names) if len(heads) == 1 else heads
        busy = _names_of(graph, taken)
        by_name = {name: head for name, head in zip(asked_names, given, strict=True) if name not in busy}
        if not by_name:
            return {}
        by_tensor = {tensor: by_name[name] for tensor, name in given_names(graph, tuple(by_name)).items()}
        return {mount.tensor: by_tensor[mount.tensor] for mount in resolve_mounts(graph, tuple(by_name))}

    def _check_count(self, heads: int, mounts: int) -> None:
        if heads not in (1, mounts):
            raise InputError(
                f"{heads} heads for {mounts} exit{'s' if mounts != 1 else ''}",
                "give one head for all, or one for each, separated by commas",
            )


def _names_of(graph: gs.Graph, tensors: Collection[str]) -> set[str]:
    """Return all names by which ``tensors`` may be asked for."""
    writers = {n.outputs[0].name: n.name for n in graph.nodes}
    mounts = [mount for mount in find_mounts(graph) if mount.tensor in tensors]
    return {name for m in mounts for name in (m.name, m.tensor, writers.get(m.tensor, m.name))}


def add_rival_heads(
    graph: gs.Graph, designs: Sequence[HeadDesign] | Mapping[str, Sequence[HeadDesign]], seed: int = 0
) -> None:
    """Give every mount with one inserted exit another exit for each of ``designs`` it lacks.

    ``designs`` are those of all mounts, or of each, by the name of its tensor.

    Such a graph is material to choose from: of the exits of one mount, one at most is to be kept. A head with
    ``reuse`` reads, of the mount before, the exit with the same head, else the one that is the same but for
    ``reuse``, else the first; on the first mount there is none.
    """
    state = state_of(graph)
    *early, final = state.exits
    rivals = [designs[item.mount] if isinstance(designs, Mapping) else designs for item in early]
    for number in range(len(early), len(early) + sum(map(len, rivals)) + 1):
        make_way(graph, f"exit_{number}")
    *early, final = state.exits  # their tensors may have been in the way
    rng = np.random.default_rng(seed)
    exits: list[Exit] = []
    before: list[Exit] = []  # those of the mount before
    for item, others in zip(early, rivals, strict=True):
        here = [item]
        for design in others:
            if design == item.head or (design.reuse != NO_REUSE and not before):
                continue
            name = f"exit_{len(early) + len(exits) + len(here)}"  # numbered anew below
            made = replace(item, name=name, output=name, head=design, reads="")
            here.append(add_head(graph, made, _to_reuse(design, before), rng))
        exits += here
        before = here
    state.exits = [*exits, final]
    number_exits(graph)
    order_outputs(graph)
    tidy(graph)


def _to_reuse(design: HeadDesign, exits: Sequence[Exit]) -> Exit | None:
    """Return which of ``exits``, all of one mount, a head reads that reuses something."""
    for wanted in (design, design.alone()):
        if found := [item for item in exits if item.head == wanted]:
            return found[0]
    return exits[0] if exits else None


def head_parameters(graph: gs.Graph, item: Exit) -> dict[str, Array]:
    """Return the weights of the head of an exit in a float graph.

    Keys are those of its layers (:func:`passes.heads.layers.layer_names`): ``conv.weight``, ``conv_1.bias`` …
    """
    nodes = head_nodes(graph, item)
    return {
        f"{name}.{kind}": tensor.values
        for node, name in zip(nodes, layer_names([node.op for node in nodes]), strict=True)
        if node.op in FLOAT_LINEAR
        for tensor, kind in zip(node.inputs[1:], ("weight", "bias"), strict=False)
        if isinstance(tensor, gs.Constant)
    }
