from __future__ import annotations

import math
from pathlib import Path

import pytest

from eecompile.search.worth.design_facts import design_facts
from eecompile.search.worth.evaluation import DesignEvaluation
from passes.macs import node_macs
from tests.eecompile.search.small import GENES, SPACE, question

MORE = SPACE + '[precision]\nbackbone = ["usual", 4]\nheads = 2\n[pruning]\ngoal = ["none", "cycles=-25%"]\n'


def test_facts_are_those_of_the_backbone_without_exits(tmp_path: Path) -> None:
    evaluation = DesignEvaluation(question(tmp_path, MORE))
    facts = design_facts(evaluation.space, evaluation.images)
    genes = {**GENES, "precision.heads": "2"}
    macs, weights, layers, bits, head_bits, left = facts(genes)
    graph = evaluation.space.graph(evaluation.space.design(genes), evaluation.images.shape, 3)
    assert math.expm1(macs) == pytest.approx(sum(map(node_macs, graph.nodes)))
    # A stem of 3x3, a block of two such layers on 4 channels, one on 8 behind a 1x1, and the classifier.
    counts = [1 * 4 * 9, 2 * 4 * 4 * 9, 4 * 8 * 9, 8 * 8 * 9, 4 * 8, 8 * 3]
    assert math.expm1(weights) == pytest.approx(sum(counts))
    assert (layers, bits, head_bits, left) == (7, 8, 2, 1)
    other = facts({**genes, "precision.backbone": "4", "pruning.goal": "cycles=-25%"})
    assert other == (macs, weights, layers, 4, 2, 0.75)
    assert facts({**genes, "backbone.width": 2})[0] < macs
