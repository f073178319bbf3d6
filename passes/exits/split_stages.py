"""One model per stage: early exit by not running the next model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import onnx_graphsurgeon as gs

from passes.base import Pass
from passes.errors import InputError
from passes.exits.stages import cut_apart, free_names, handed_on, require_thresholds
from passes.model.graph import tidy
from passes.state import state_of

LOGITS, CONFIDENCE = "logits", "confidence"


@dataclass(frozen=True)
class SplitStages(Pass):
    """Keep one stage of a network with exits.

    1. Stage 0 reads the model input, stage k the tensors that the stages before it hand on under the same
       names, or the model input once more.
    2. Every stage gives ``logits`` [1, classes] and ``confidence`` [1] of its exit, by the rule of that
       exit; all but the last also give the tensors that later stages read, and the logits that rules of
       later exits do.
    """

    name: ClassVar[str] = "split-stages"
    stage: int = 0

    def requires(self, graph: gs.Graph) -> None:
        """Exits with thresholds, and a stage of that number."""
        if _is_stage(graph):
            return
        require_thresholds(self, graph)
        count = len(state_of(graph).exits)
        if not 0 <= self.stage < count:
            raise InputError(f"there is no stage {self.stage}", f"the network has stages 0 to {count - 1}")

    def run(self, graph: gs.Graph) -> bool:
        """Reduce ``graph`` to the stage."""
        if _is_stage(graph):
            return False
        state = state_of(graph)
        stages = cut_apart(graph)
        stage = stages[self.stage]
        tensors = graph.tensors()
        logits = tensors[stage.exit.output]
        confidence = gs.Variable(CONFIDENCE, np.float32, [1])
        kept = [n for n in graph.nodes if n.name in stage.nodes]
        handed = handed_on(graph, stages, self.stage)
        entries = [tensors[name] for name in stage.entries]
        # before nodes are cut off: what is handed on has one name on both sides
        free_names(graph.nodes, (LOGITS, CONFIDENCE))
        for entry in entries:
            entry.inputs.clear()
        graph.inputs = entries
        for node in graph.nodes:
            if node.name not in stage.nodes:  # tensors of the stage must not know it as a reader
                node.inputs.clear()
        old, logits.name = logits.name, LOGITS
        before = [tensors[name] for name in stage.before]
        decision = stage.exit.confidence.nodes(stage.exit.name, logits, confidence, before)
        if any(tensor is logits for tensor in handed):  # an output has one name
            copied = gs.Variable(old, logits.dtype, list(logits.shape))
            decision.append(gs.Node("Identity", f"{stage.exit.name}/hand_on", {}, [logits], [copied]))
            handed = [copied if tensor is logits else tensor for tensor in handed]
        graph.nodes = [*kept, *decision]
        graph.outputs = [logits, confidence, *handed]
        state.origins.update((n.name, ()) for n in decision)
        mount = tensors.get(stage.exit.mount)  # a lowered network may lack it
        name = stage.exit.mount if mount is None else mount.name
        state.exits = [replace(stage.exit, mount=name, output=LOGITS, reads="")]
        tidy(graph)
        left = {n.name for n in graph.nodes}
        state.layers = {n: layer for n, layer in state.layers.items() if n in left}
        state.precisions = {n: precision for n, precision in state.precisions.items() if n in left}
        return True


def _is_stage(graph: gs.Graph) -> bool:
    return [t.name for t in graph.outputs[:2]] == [LOGITS, CONFIDENCE]
