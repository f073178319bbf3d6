"""What all trainings of a whole graph share: who teaches whom, and what is learnt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile.exits.answers import answers
from eecompile.training.augment import Augmentation
from eecompile.training.checkpoint import NOWHERE
from eecompile.training.device import Device
from eecompile.training.graph_training import GraphTraining, Start, answers_of
from eecompile.training.recipe import JointRecipe
from eecompile.training.torch_graph import TorchGraph
from passes.exits.chain import keep_exits
from passes.state import copy_graph
from tests.eecompile.training.small import RAW, constants, course, images, network

RECIPE = JointRecipe(
    epochs=1, batch=24, batch_norm="nowhere", teacher_share=1.0, final_teacher_share=1.0, bfloat16="no",
    average=0.0,
)  # fmt: skip
DEVICE, STILL = Device("cpu", bfloat16=False), Augmentation(0.0, False, 0.0)


def test_exits_are_told_their_own_answers_by_a_teacher_that_has_them_and_else_those_of_the_one() -> None:
    graph = network()
    losses = []
    for teacher, first in ((graph, 0.0), (graph, 0.5), (keep_exits(graph, []), 0.0)):
        start = Start(copy_graph(graph), STILL, DEVICE, NOWHERE, TorchGraph(teacher).eval())
        recipe = replace(RECIPE, epochs=2, backbone_first=first)
        training = GraphTraining(start, images(), recipe, course(), "training")
        losses.append(float(next(training._losses(0)).detach()))
    own, alone, others = losses
    assert own == pytest.approx(0, abs=1e-5) and alone == pytest.approx(0, abs=1e-5)
    assert others > 0.01


def test_only_what_is_named_is_learnt() -> None:
    graph, told = network(), list[str]()
    before = constants(graph)
    name = next(n.inputs[1].name for n in graph.nodes if n.op == "Conv")
    start = Start(copy_graph(graph), STILL, DEVICE, NOWHERE, learnt=[name])
    training = GraphTraining(start, images(), RECIPE, course(progress=told.append), "a short training")
    training.run()
    after = constants(training.form)
    assert {key for key in after if not np.array_equal(after[key], before[key])} == {name}
    assert told[0].startswith("a short training: epoch 1 of 1")


def test_stored_images_are_answered_by_the_final_exit() -> None:
    graph, val = network(), images().val
    found = answers_of(TorchGraph(graph).eval(), images(), DEVICE)(val.x)
    assert np.array_equal(found, answers(graph, val, RAW).logits[-1].argmax(axis=1))
