"""The insert-batch-norm pass: the form of a network in which it is trained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_graphsurgeon as gs

from passes.base import Pass
from passes.errors import InputError, did_you_mean
from passes.exits.chain import ancestors
from passes.model.graph import tidy
from passes.operator_sets import BIAS_INPUT, FLOAT_LINEAR, REWRITABLE_LINEAR
from passes.rewrite.rewriter import Rewriter, dims, optional_input
from passes.rewrite.weights import why_not_constant
from passes.state import set_origin, state_of

HEADS, BACKBONE, ALL = "heads", "backbone", "all"
PLACES = (HEADS, BACKBONE, ALL)


@dataclass(frozen=True)
class InsertBatchNorm(Pass):
    """Put BatchNormalization behind layers with weights: the network computes the same and is trained better.

    1. Behind each Conv, ConvTranspose and Gemm ``where`` says: of ``heads``, of the ``backbone`` (what the
       final exit needs), or ``all``; but not behind those whose sums are logits.
    2. The bias goes: it is the shift of the normalization. Scale is 1, mean 0, and variance 1 - epsilon, so
       that nothing changes until it is trained.
    3. The normalization writes what the layer wrote, under that name; `fold-batchnorm` takes it out again.
    4. A layer stays as it is where it has one already, where its weights are computed or read elsewhere too,
       and where what it writes does not have the images along its first axis and channels along the second.
    """

    name: ClassVar[str] = "insert-batch-norm"
    where: str = HEADS
    momentum: float = 0.9
    epsilon: float = 1e-5

    def requires(self, graph: gs.Graph) -> None:  # noqa: ARG002, the contract of passes
        """A place we know."""
        if self.where not in PLACES:
            raise InputError(f"`where` cannot be '{self.where}'", did_you_mean(self.where, PLACES))

    def run(self, graph: gs.Graph) -> bool:
        """Insert the normalizations."""
        rewriter = Rewriter(graph, self.name)
        exits = state_of(graph).exits
        outputs = {t.name: t for t in graph.outputs}
        final = [outputs[exits[-1].output]] if exits else list(graph.outputs)
        backbone, last = ancestors(final), closing_layers(graph.outputs)
        changed = False
        for node in list(graph.nodes):
            wanted = self.where == ALL or (node.name in backbone) == (self.where == BACKBONE)
            if wanted and node.op in REWRITABLE_LINEAR and node.name not in last:
                changed |= self._normalize(rewriter, node)
        tidy(graph)
        return changed

    def _normalize(self, rw: Rewriter, node: gs.Node) -> bool:
        output = node.outputs[0]
        if any(reader.op == "BatchNormalization" for reader in output.outputs):
            return False
        reason = why_not_constant(node)
        bias = optional_input(node, BIAS_INPUT[node.op])
        if reason is None and any(len(t.outputs) > 1 for t in (node.inputs[1], bias) if t is not None):
            reason = f"its weights are read by more than {node.op} '{node.name}'"
        if reason is None and dims(output)[0] != 1:
            reason = "the images do not lie along its first axis"
        if reason is not None:
            return rw.decline(node, reason)
        channels = dims(output)[1]
        shift = np.zeros(channels, output.dtype)
        if bias is not None:
            shift += np.asarray(bias.values).reshape(-1)
            del node.inputs[BIAS_INPUT[node.op]]
        ones = np.ones(channels, output.dtype)
        stem = f"{node.name}/batch_norm"
        values = {"scale": ones, "shift": shift, "mean": 0 * ones, "variance": (1 - self.epsilon) * ones}
        plain = rw.variable(f"{stem}_in", dims(output), output.dtype)
        node.outputs = [plain]
        added = gs.Node(
            "BatchNormalization",
            rw.fresh(stem),
            {"epsilon": self.epsilon, "momentum": self.momentum},
            [plain, *(rw.constant(f"{stem}.{key}", value) for key, value in values.items())],
            [output],
        )
        rw.graph.nodes.insert(rw.graph.nodes.index(node) + 1, added)
        set_origin(rw.graph, added, [node])
        return True


def closing_layers(outputs: Iterable[gs.Tensor]) -> set[str]:
    """Return the names of the layers with weights whose sums are outputs, or become so without another."""
    found: set[str] = set()
    seen: set[str] = set()
    pending = [node for tensor in outputs for node in tensor.inputs]
    while pending:
        node = pending.pop()
        if node.name in seen:
            continue
        seen.add(node.name)
        if node.op in FLOAT_LINEAR:
            found.add(node.name)
        else:
            pending.extend(above for tensor in node.inputs for above in tensor.inputs)
    return found
