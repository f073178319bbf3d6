"""Answers of exits: made up ones counted by hand, those of networks against onnxruntime image by image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_graphsurgeon as gs
import onnxruntime
import pytest

from eecompile.data.dataset import Split
from eecompile.exits.answers import answers
from eecompile.runtime.preprocess import Preprocess
from passes.confidence import MARGIN, MAX_SOFTMAX
from passes.exits.recognise import recognise_exits
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.state import copy_graph, state_of
from tests.eecompile.data.test_for_network import SQUEEZED
from tests.eecompile.run.made_evidence import (
    IMAGES,
    LEAVES_AT,
    THRESHOLD,
    WRONG,
    made_answers,
    network,
)
from tests.eecompile.small_models import SKIP_NET, skip_net

UNIT = Preprocess("unit", (0.0,), (255.0,))
RAW = Preprocess("raw", (0.0,), (1.0,))


def test_right_and_sure_by_hand() -> None:
    seen = made_answers()
    assert seen.correct.tolist() == [[image not in wrong for image in range(IMAGES)] for wrong in WRONG]
    expected = [[0.95 if at == number else 0.6 for at in LEAVES_AT] for number in (0, 1)]
    np.testing.assert_allclose(seen.confidence, expected, rtol=1e-6)
    assert seen.confidence.dtype == np.float32


def test_an_answer_is_right_if_it_is_the_label_of_its_image() -> None:
    seen = made_answers()
    other = replace(seen, labels=np.ones(IMAGES, np.int64))
    assert (other.correct == ~seen.correct).all(), "there are two classes"


def test_images_leave_where_the_table_says_and_are_right_by_the_exit_there() -> None:
    seen = made_answers()
    where, right = seen.leaving([THRESHOLD, THRESHOLD])
    assert where.tolist() == LEAVES_AT
    assert [image for image in range(IMAGES) if not right[image]] == [3, 4, 11]
    never = seen.leaving([MAX_SOFTMAX.never] * 2)
    assert never[0].tolist() == [2] * IMAGES and (never[1] == seen.correct[-1]).all()
    always = seen.leaving([MAX_SOFTMAX.always] * 2)
    assert always[0].tolist() == [0] * IMAGES and (always[1] == seen.correct[0]).all()


@pytest.mark.parametrize("kept", [(0, 1), (0,), (1,), ()])
def test_selected_exits_answer_as_before_and_the_final_one_stays(kept: tuple[int, ...]) -> None:
    seen = replace(made_answers(), rules=(MARGIN, MAX_SOFTMAX), note="image by image")
    part = seen.select(kept)
    assert part.rules == tuple((MARGIN, MAX_SOFTMAX)[k] for k in kept)
    assert part.note == "image by image" and part.labels is seen.labels
    np.testing.assert_array_equal(part.correct, seen.correct[[*kept, 2]])
    np.testing.assert_array_equal(part.confidence, seen.confidence[list(kept)])
    assert part.confidence.shape == (len(kept), IMAGES)


def test_each_exit_is_sure_by_its_own_rule() -> None:
    """Two classes: the margin of a largest probability p is 2p - 1."""
    plain = made_answers()
    mixed = replace(plain, rules=(MAX_SOFTMAX, MARGIN))
    np.testing.assert_array_equal(mixed.confidence[0], plain.confidence[0])
    np.testing.assert_allclose(mixed.confidence[1], 2 * plain.confidence[1] - 1, atol=1e-6)
    seen = mixed.observed()
    assert seen.rules == (MAX_SOFTMAX, MARGIN)
    np.testing.assert_array_equal(seen.confidence, mixed.confidence)
    np.testing.assert_array_equal(seen.correct, mixed.correct)


def test_a_network_answers_in_batches_as_image_by_image() -> None:
    """More images than a batch holds, and a rule of preprocessing that matters."""
    graph = copy_graph(network())
    exits = state_of(graph).exits
    state_of(graph).exits = [replace(exits[0], confidence=MARGIN), *exits[1:]]
    x = np.random.default_rng(0).integers(0, 256, (150, 1, 8, 8), np.uint8)
    split = Split(x, np.arange(150) % 10)
    seen = answers(graph, split, UNIT)
    assert seen.rules == (MARGIN, MAX_SOFTMAX) and seen.note == ""
    assert seen.labels is split.y
    session = onnxruntime.InferenceSession(
        to_model(network()).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    outputs = [e.output for e in exits]
    name = session.get_inputs()[0].name
    alone = [session.run(outputs, {name: image[None].astype(np.float32) / 255}) for image in x]
    assert len(seen.logits) == len(outputs) == 3
    for found, expected in zip(seen.logits, zip(*alone, strict=True), strict=True):
        np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-4, atol=1e-5)


def test_a_network_with_its_batch_built_in_answers_the_same_and_says_so() -> None:
    def of(text: str) -> gs.Graph:
        graph = from_model(skip_net(text))
        recognise_exits(graph)
        return graph

    x = np.random.default_rng(1).normal(size=(5, 3, 16, 16)).astype(np.float32)
    split = Split(x, np.arange(5) % 4)
    batched, alone = (answers(of(text), split, RAW) for text in (SKIP_NET, SQUEEZED))
    assert batched.note == "" and "Squeeze 'squeeze_0'" in alone.note
    np.testing.assert_allclose(alone.logits[0], batched.logits[0], rtol=1e-5, atol=1e-6)
    assert alone.confidence.shape == (0, 5), "there is no early exit"
