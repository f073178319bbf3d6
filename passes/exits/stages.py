"""Cut a network with exits into stages, and make the decision behind each exit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import onnx_graphsurgeon as gs

from passes.base import Pass
from passes.exits.chain import ancestors, head_nodes
from passes.model.graph import tidy
from passes.rewrite.names import Names, make_way
from passes.state import Exit, state_of


@dataclass(frozen=True)
class Stage:
    """What runs between two exits.

    Attributes:
        exit: The exit at its end.
        nodes: Names of the nodes of backbone and head.
        entry: Name of the one tensor it reads.
    """

    exit: Exit
    nodes: frozenset[str]
    entry: str


def cut(graph: gs.Graph) -> list[Stage]:
    """Return the stages of ``graph``, shallow to deep: disjoint, together all nodes.

    Raises:
        ValueError: A stage reads more than one tensor of the stages before it, so that its exit
            does not hang on a mount.
    """
    outputs = {t.name: t for t in graph.outputs}
    before: set[str] = set()
    stages = []
    for item in state_of(graph).exits:
        nodes = ancestors([outputs[item.output]]) - before
        entries = {
            tensor.name
            for node in graph.nodes
            if node.name in nodes
            for tensor in node.inputs
            if isinstance(tensor, gs.Variable) and not tensor.is_empty()
            if not tensor.inputs or tensor.inputs[0].name not in nodes
        }
        if len(entries) != 1:
            raise ValueError(f"stage of exit '{item.name}' reads {sorted(entries)}, expected one tensor")
        stages.append(Stage(item, frozenset(nodes), entries.pop()))
        before |= nodes
    return stages


def cut_apart(graph: gs.Graph) -> list[Stage]:
    """Cut ``graph`` into stages, each head reading a Clip of its own instead of what the stage hands on.

    A tensor that leaves a graph has its channels first; one that does not may stay in the order the
    runtime computes in. On onnxruntime the repeated Clip costs a tenth of the pooling it speeds up.
    """
    state = state_of(graph)
    for item in state.exits:
        make_way(graph, item.name, {node.name for node in head_nodes(graph, item)} if item.head else ())
    names, tensors = Names(graph), graph.tensors()
    stages = cut(graph)
    for number, (stage, deeper) in enumerate(pairwise(stages)):
        mount = tensors[deeper.entry]
        clip = mount.inputs[0] if mount.inputs else None
        readers = [node for node in mount.outputs if node.name in stage.nodes]
        if clip is None or clip.op != "Clip" or not readers:
            continue
        own = gs.Variable(names.fresh(f"{mount.name}/{stage.exit.name}"), mount.dtype, list(mount.shape))
        again = gs.Node("Clip", names.fresh(f"{clip.name}/{stage.exit.name}"), {}, list(clip.inputs), [own])
        for reader in readers:
            reader.inputs = [own if tensor is mount else tensor for tensor in reader.inputs]
        graph.nodes.append(again)
        state.origins[again.name] = state.origins.get(clip.name, ())
        if clip.name in state.layers:
            state.layers[again.name] = state.layers[clip.name]
        stages[number] = replace(stage, nodes=stage.nodes | {again.name})
    tidy(graph)
    return stages


def require_thresholds(step: Pass, graph: gs.Graph) -> None:
    """Raise the pass's error unless every early exit has a threshold."""
    exits = state_of(graph).exits
    if not exits:
        raise step.broken(graph, "the graph has no exits", "run insert-exits first")
    missing = [e.name for e in exits[:-1] if e.threshold is None]
    if missing:
        what = f"exits without a threshold: {', '.join(missing)}"
        raise step.broken(graph, what, "choose thresholds first: `eecompile run` on images does")
    if state_of(graph).symbolic:
        raise step.broken(graph, "the weights are absent", "a shape-only model cannot be run")
    outputs = {t.name for t in graph.outputs}
    if not all(e.output in outputs for e in exits):
        raise step.broken(graph, "its exits are no outputs", "give the flat network: model.exits.onnx")
    try:
        cut(graph)
    except ValueError as error:
        raise step.broken(graph, str(error), "put exits on mounts: `eecompile inspect` lists them") from error


def free_names(nodes: Iterable[gs.Node], names: Sequence[str], kept: Sequence[gs.Tensor]) -> None:
    """Rename the tensors ``nodes`` write under one of ``names``, which the outputs need; not ``kept``."""
    for node in nodes:
        for tensor in node.outputs:
            if tensor.name in names and not any(tensor is k for k in kept):
                tensor.name = f"{tensor.name}/{node.name}"
