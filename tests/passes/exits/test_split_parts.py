"""Both parts of a network answer as the whole, wherever it is cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import onnxruntime as ort
import pytest

from passes.confidence.patience import Patience
from passes.errors import InputError
from passes.exits.chain import set_rules
from passes.exits.cut_tensors import cut_tensors
from passes.exits.recycle_answers import final_alone, recycle_answers
from passes.exits.split_parts import device_segments, later_part
from passes.model.graph import load
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from tests.eecompile.small_models import write_skip_net

IMAGE = np.random.default_rng(0).normal(size=(1, 3, 16, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> gs.Graph:
    graph = load(write_skip_net(tmp_path_factory.mktemp("parts") / "net.onnx"))
    parse_pipeline("canonicalize,insert-exits{at=relu_0+add_0}")(graph)
    return graph


def answered(graph: gs.Graph, known: dict[str, Any]) -> dict[str, Any]:
    """Run a part on what is known, and return what it gives, in order."""
    runner = ort.InferenceSession(to_model(graph).SerializeToString())
    found = runner.run(None, {entry.name: known[entry.name] for entry in runner.get_inputs()})
    return dict(zip([entry.name for entry in runner.get_outputs()], found, strict=True))


def test_every_cut_with_all_sets_of_exits_answers_as_the_whole(network: gs.Graph) -> None:
    whole = answered(network, {"image": IMAGE})
    logits = [whole[item.output] for item in state_of(network).exits]
    for tensor in cut_tensors(network):
        last = later_part(network, tensor.name)
        assert [entry.name for entry in last.outputs] == ["logits"]
        for kept in ([], ["exit_0"], ["exit_1"], ["exit_0", "exit_1"]):
            known: dict[str, Any] = {"image": IMAGE}
            seen = []
            for segment in device_segments(network, kept, tensor.name):
                given = answered(segment, known)
                known |= given
                if "logits" in given:
                    assert [*given][:2] == ["logits", "confidence"] and given["confidence"].shape == (1,)
                    seen.append(given["logits"])
            assert len(seen) == len(kept)
            for name, found in zip(kept, seen, strict=True):
                np.testing.assert_array_equal(found, logits[int(name[-1])])
            np.testing.assert_array_equal(answered(last, known)["logits"], logits[-1])


def test_exits_that_read_others_are_handed_what_they_read(network: gs.Graph) -> None:
    """Logits are handed on to exits that take them over and to confidences that count them."""
    chained = copy_graph(network)
    recycle_answers(chained, (0.5, 0.25))
    set_rules(chained, [Patience()] * 3)
    whole = answered(chained, {"image": IMAGE})
    logits = [whole[item.output] for item in state_of(chained).exits]
    known: dict[str, Any] = {"image": IMAGE}
    for number, segment in enumerate(device_segments(chained, ["exit_0", "exit_1"], None)):
        known |= answered(segment, known)
        np.testing.assert_array_equal(known["logits"], logits[number])
        sure = Patience().evaluate(logits[number], logits[:number])
        assert known["confidence"] == sure
    assert number == 2
    alone = final_alone(chained)
    cut = next(
        tensor for tensor in cut_tensors(alone) if tensor.name not in {t.name for t in cut_tensors(chained)}
    )
    known = {"image": IMAGE}
    for segment in device_segments(alone, ["exit_0"], cut.name):
        known |= answered(segment, known)
    found = answered(later_part(alone, cut.name), known)["logits"]
    np.testing.assert_array_equal(found, answered(network, {"image": IMAGE})["logits"])


def test_without_a_cut_the_last_segment_is_that_of_the_final_exit(network: gs.Graph) -> None:
    known: dict[str, Any] = {"image": IMAGE}
    segments = device_segments(network, ["exit_1"], None)
    for segment in segments:
        known |= answered(segment, known)
    whole = answered(network, {"image": IMAGE})
    assert len(segments) == 2
    np.testing.assert_array_equal(known["logits"], whole[state_of(network).exits[-1].output])


def test_an_image_is_sent_with_nothing_run_before_and_no_exit_is_made_up(network: gs.Graph) -> None:
    assert device_segments(network, [], "image") == []
    with pytest.raises(InputError, match="no exit 'exit_9'"):
        device_segments(network, ["exit_9"], None)
