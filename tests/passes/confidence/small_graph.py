"""The nodes of a rule alone, as a model of the logits it reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from passes.confidence.rule import ConfidenceRule
from passes.model.writing import to_model
from tests.passes.equivalence import session_of

Float32 = NDArray[np.float32]


def computed(rule: ConfidenceRule, logits: Sequence[Float32], optimize: bool = True) -> Float32:
    """Return the confidences that onnxruntime computes, a batch at a time.

    Args:
        rule: The rule.
        logits: Of the exits up to this one, [N, classes] each.
        optimize: With onnxruntime's own rewriting of the nodes.
    """
    read = [gs.Variable(f"exit_{k}", np.float32, [1, z.shape[1]]) for k, z in enumerate(logits)]
    output = gs.Variable("confidence", np.float32, [1])
    nodes = rule.nodes("exit", read[-1], output, read[:-1])
    used = read if rule.reads_before else read[-1:]
    graph = gs.Graph(nodes, used, [output], opset=21)
    session = session_of(to_model(graph, "N"), optimize)
    (found,) = session.run(None, {t.name: logits[read.index(t)] for t in used})
    assert found.dtype == np.float32 and found.shape == (len(logits[-1]),)
    return found  # type: ignore[no-any-return]


def random_logits(seed: int, images: int, classes: int, exits: int = 1) -> list[Float32]:
    """Return logits of exits that often agree; some are equal, some far apart, and some rows hold NaN."""
    rng = np.random.default_rng(seed)
    common = rng.normal(0, 1, (images, classes))
    found = []
    for _ in range(exits):
        logits = np.round(2 * common + rng.normal(0, 1, common.shape), 0) / 2
        logits *= rng.choice([1.0, 40.0], (images, 1))
        logits[rng.random(images) < 0.1, rng.integers(classes)] = np.nan
        found.append(logits.astype(np.float32))
    return found
