"""Cut a network with exits into stages, and make the decision behind each exit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import onnx_graphsurgeon as gs

from passes.base import Pass
from passes.exits.chain import ancestors, own_names
from passes.model.graph import tidy
from passes.rewrite.names import Names, make_way
from passes.state import Exit, state_of


@dataclass(frozen=True)
class Stage:
    """What runs between two exits.

    Attributes:
        exit: The exit at its end.
        nodes: Names of the nodes of backbone and head.
        entries: Names of the tensors it reads that it does not write: of the stages before it, not only the
            last one, or the model's input. Logits of the exits before are among them where its confidence
            rule reads these.
        before: Names of the logits that its confidence rule reads beside its own.
    """

    exit: Exit
    nodes: frozenset[str]
    entries: tuple[str, ...]
    before: tuple[str, ...] = ()


def cut(graph: gs.Graph) -> list[Stage]:
    """Return the stages of ``graph``, shallow to deep: disjoint, together all nodes.

    Raises:
        ValueError: A stage without work of its own, as its exit lies on the way to one before it; or one that
            reads nothing.
    """
    outputs = {t.name: t for t in graph.outputs}
    before: set[str] = set()
    stages: list[Stage] = []
    for item in state_of(graph).exits:
        nodes = ancestors([outputs[item.output]]) - before
        if not nodes:
            raise ValueError(
                f"exit '{item.name}' needs nothing that exits before it do not: it is no later one"
            )
        entries = {
            tensor.name: None
            for node in graph.nodes
            if node.name in nodes
            for tensor in node.inputs
            if isinstance(tensor, gs.Variable) and not tensor.is_empty()
            if not tensor.inputs or tensor.inputs[0].name not in nodes
        }
        if not entries:
            raise ValueError(f"stage of exit '{item.name}' reads no tensor: it does not depend on the input")
        read = tuple(stage.exit.output for stage in stages) if item.confidence.reads_before else ()
        entries |= dict.fromkeys(read)
        stages.append(Stage(item, frozenset(nodes), tuple(entries), read))
        before |= nodes
    return stages


def handed_on(graph: gs.Graph, stages: Sequence[Stage], number: int) -> list[gs.Tensor]:
    """Return the tensors that stage ``number`` writes and later ones read, in the order they are read."""
    tensors, nodes = graph.tensors(), stages[number].nodes
    wanted = dict.fromkeys(name for later in stages[number + 1 :] for name in later.entries)
    found = [tensors[name] for name in wanted]
    return [tensor for tensor in found if tensor.inputs and tensor.inputs[0].name in nodes]


def cut_apart(graph: gs.Graph) -> list[Stage]:
    """Cut ``graph`` into stages, each head reading a Clip of its own instead of what the stage hands on.

    A tensor that leaves a graph has its channels first; one that does not may stay in the order the
    runtime computes in. On onnxruntime the repeated Clip costs a tenth of the pooling it speeds up.
    """
    state = state_of(graph)
    for item in state.exits:
        make_way(graph, item.name, own_names(graph, item))
    names = Names(graph)
    stages = cut(graph)
    for number in range(len(stages) - 1):
        for mount in handed_on(graph, stages, number):
            stages[number] = _with_clip_of_its_own(graph, names, stages[number], mount)
    tidy(graph)
    return stages


def _with_clip_of_its_own(graph: gs.Graph, names: Names, stage: Stage, mount: gs.Tensor) -> Stage:
    """Let what reads ``mount`` in the stage that writes it read a Clip of its own, if a Clip writes it."""
    state, clip = state_of(graph), mount.inputs[0]
    readers = [node for node in mount.outputs if node.name in stage.nodes]
    if clip.op != "Clip" or not readers:
        return stage
    own = gs.Variable(names.fresh(f"{mount.name}/{stage.exit.name}"), mount.dtype, list(mount.shape))
    again = gs.Node("Clip", names.fresh(f"{clip.name}/{stage.exit.name}"), {}, list(clip.inputs), [own])
    for reader in readers:
        reader.inputs = [own if tensor is mount else tensor for tensor in reader.inputs]
    graph.nodes.append(again)
    state.origins[again.name] = state.origins.get(clip.name, ())
    if clip.name in state.layers:
        state.layers[again.name] = state.layers[clip.name]
    return replace(stage, nodes=stage.nodes | {again.name})


def require_thresholds(step: Pass, graph: gs.Graph) -> None:
    """Raise the pass's error unless every early exit has a threshold."""
    exits = state_of(graph).exits
    if not exits:
        raise step.broken(graph, "the graph has no exits", "run insert-exits first")
    apart = [e.name for e in exits if e.apart]
    if apart:
        what = f"exits whose answer is computed only where an input leaves: {', '.join(apart)}"
        raise step.broken(graph, what, "a threshold decides by logits that are there before")
    missing = [e.name for e in exits[:-1] if e.threshold is None]
    if missing:
        what = f"exits without a threshold: {', '.join(missing)}"
        raise step.broken(graph, what, "choose thresholds first: `eecompile run` on images does")
    for item in exits:
        if item.confidence.unfitted:
            what = f"the {item.confidence.unfitted} of '{item.confidence.name}' at {item.name} is not fitted"
            raise step.broken(graph, what, "`eecompile run` on images does")
    if state_of(graph).symbolic:
        raise step.broken(graph, "the weights are absent", "a shape-only model cannot be run")
    outputs = {t.name for t in graph.outputs}
    if not all(e.output in outputs for e in exits):
        raise step.broken(graph, "its exits are no outputs", "give the flat network: model.exits.onnx")
    try:
        cut(graph)
    except ValueError as error:
        raise step.broken(graph, str(error), "list the exits from shallow to deep") from error


def free_names(nodes: Iterable[gs.Node], names: Sequence[str]) -> None:
    """Rename the tensors ``nodes`` write under one of ``names``, which the outputs need."""
    for node in nodes:
        for tensor in node.outputs:
            if tensor.name in names:
                tensor.name = f"{tensor.name}/{node.name}"
