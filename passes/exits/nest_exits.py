"""One model that exits early by itself: stages nested in ``If``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_graphsurgeon as gs

from passes.base import Pass
from passes.exits.stages import Stage, cut_apart, free_names, require_thresholds
from passes.rewrite.names import Names
from passes.state import state_of

OUTPUTS = ("logits", "exit", "confidence")


@dataclass(frozen=True)
class NestExits(Pass):
    """Nest the stages so that a stock runtime runs a stage only if no exit before it was taken.

    1. Outputs are ``logits`` float32 [1, classes], ``exit`` int64 [1], ``confidence`` float32 [1].
    2. An input leaves at the first exit whose confidence, by the rule of that exit, >= threshold,
       compared in float32.
    3. A rule that reads the logits of earlier exits reads them where they are, outside its body.
    4. Initializers lie inside the body that uses them: onnxruntime then fuses and prepacks them.
    """

    name: ClassVar[str] = "nest-exits"

    def requires(self, graph: gs.Graph) -> None:
        """Exits with thresholds."""
        if not _is_nested(graph):
            require_thresholds(self, graph)

    def run(self, graph: gs.Graph) -> bool:
        """Nest from the deepest stage outwards."""
        if _is_nested(graph):
            return False
        stages = cut_apart(graph)
        known, names = {n.name for n in graph.nodes}, Names(graph)
        made = [_body(graph, names, number, stage) for number, stage in enumerate(stages)]
        free_names(graph.nodes, OUTPUTS)
        nodes, results = made[-1]
        for number in range(len(stages) - 2, -1, -1):
            deeper = gs.Graph(nodes, [], results, name=f"stage_{number + 1}", opset=graph.opset)
            nodes, own = made[number]
            nodes, results = _branch(stages[number], number, nodes, own, deeper)
        for tensor, name in zip(results, OUTPUTS, strict=True):
            tensor.name = name
        graph.nodes = nodes
        graph.outputs = results
        bodies = [body for node in nodes for body in node.subgraphs(recursive=True)]
        added = (node.name for part in [graph, *bodies] for node in part.nodes)
        state_of(graph).origins.update((name, ()) for name in added if name not in known)
        return True


def _is_nested(graph: gs.Graph) -> bool:
    return tuple(t.name for t in graph.outputs) == OUTPUTS


def _body(graph: gs.Graph, names: Names, number: int, stage: Stage) -> tuple[list[gs.Node], list[gs.Tensor]]:
    """Return the nodes of a stage with its decision, and its [logits, exit, confidence]."""
    nodes = [n for n in graph.nodes if n.name in stage.nodes]
    for node in nodes:  # a constant shared between stages would be lifted to the outer graph
        for index, tensor in enumerate(node.inputs):
            if isinstance(tensor, gs.Constant) and len(tensor.outputs) > 1:
                node.inputs[index] = gs.Constant(names.fresh(f"{tensor.name}/{node.name}"), tensor.values)
    logits = next(t for t in graph.outputs if t.name == stage.exit.output)
    name = stage.exit.name
    confidence = gs.Variable(f"{name}/confidence", np.float32, [1])
    before = [t for output in stage.before for t in graph.outputs if t.name == output]
    nodes.extend(stage.exit.confidence.nodes(name, logits, confidence, before))
    number_tensor = gs.Variable(f"{name}/exit", np.int64, [1])
    value = gs.Constant(f"{name}/number", np.array([number], np.int64))
    nodes.append(gs.Node("Identity", f"{name}/number", {}, [value], [number_tensor]))
    return nodes, [logits, number_tensor, confidence]


def _branch(
    stage: Stage, number: int, nodes: list[gs.Node], own: list[gs.Tensor], deeper: gs.Graph
) -> tuple[list[gs.Node], list[gs.Tensor]]:
    """Append the ``If``: leave with ``own`` results, or run ``deeper``."""
    name = stage.exit.name
    threshold = gs.Constant(f"{name}/threshold", np.array([stage.exit.threshold], np.float32))
    confident = gs.Variable(f"{name}/confident", np.bool_, [1])
    nodes = [*nodes, gs.Node("GreaterOrEqual", f"{name}/compare", {}, [own[2], threshold], [confident])]
    left, copies = [], []
    for tensor, kind in zip(own, OUTPUTS, strict=True):
        copied = gs.Variable(f"{name}/leave/{kind}", tensor.dtype, list(tensor.shape))
        copies.append(gs.Node("Identity", f"{name}/leave/{kind}", {}, [tensor], [copied]))
        left.append(copied)
    leave = gs.Graph(copies, [], left, name=f"leave_{number}", opset=deeper.opset)
    results = [
        gs.Variable(f"{name}/result/{k}", t.dtype, list(t.shape)) for t, k in zip(own, OUTPUTS, strict=True)
    ]
    branches = {"then_branch": leave, "else_branch": deeper}
    return [*nodes, gs.Node("If", f"{name}/if", branches, [confident], results)], results
