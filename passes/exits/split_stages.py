"""One model per stage: early exit by not running the next model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import onnx_graphsurgeon as gs

from passes.base import Pass
from passes.errors import InputError
from passes.exits.stages import cut_apart, free_names, require_thresholds
from passes.model.graph import tidy
from passes.state import state_of

LOGITS, CONFIDENCE = "logits", "confidence"


@dataclass(frozen=True)
class SplitStages(Pass):
    """Keep one stage of a network with exits.

    1. Stage 0 reads the model input, stage k the tensor that stage k-1 hands on under the same name.
    2. Every stage gives ``logits`` [1, classes] and ``confidence`` [1] of its exit, by the rule of that
       exit; all but the last also give the tensor the next stage reads.
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
        following = stages[self.stage + 1].entry if self.stage + 1 < len(stages) else None
        # before nodes are cut off: what is handed on has one name on both sides
        free_names(graph.nodes, (LOGITS, CONFIDENCE), [logits])
        if self.stage > 0:
            entry = tensors[stage.entry]
            entry.inputs.clear()
            graph.inputs = [entry]
        for node in graph.nodes:
            if node.name not in stage.nodes:  # tensors of the stage must not know it as a reader
                node.inputs.clear()
        logits.name = LOGITS
        decision = stage.exit.confidence.nodes(stage.exit.name, logits, confidence)
        graph.nodes = [*kept, *decision]
        graph.outputs = [logits, confidence]
        if following is not None:
            graph.outputs.append(tensors[following])
        state.origins.update((n.name, ()) for n in decision)
        mount = tensors.get(stage.exit.mount)  # a lowered network may lack it
        name = stage.exit.mount if mount is None else mount.name
        state.exits = [replace(stage.exit, mount=name, output=LOGITS)]
        tidy(graph)
        left = {n.name for n in graph.nodes}
        state.layers = {n: layer for n, layer in state.layers.items() if n in left}
        state.precisions = {n: precision for n, precision in state.precisions.items() if n in left}
        return True


def _is_stage(graph: gs.Graph) -> bool:
    return [t.name for t in graph.outputs[:2]] == [LOGITS, CONFIDENCE]
