"""Exits that take over answers: what they answer, what belongs to them, and all forms of such a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from passes.errors import InputError
from passes.exits.chain import head_nodes, keep_exits, readers_of
from passes.exits.insert_exits import InsertExits
from passes.exits.recycle_answers import final_alone, recycle_answers
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import state_of
from tests.passes.equivalence import batch_of, check_shapes, run_model
from tests.passes.exits.test_added_head import FORMS, check_early_files
from tests.passes.grids import add_grids
from tests.passes.small_nets import chain

WEIGHTS = (0.5, 0.0, 0.25)


def network(head: str = "linear") -> gs.Graph:
    graph = from_model(chain(5))
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    InsertExits(("3",), head, seed=3)(graph)
    return graph


def test_answers_are_the_own_logits_plus_those_of_the_exit_before_weighted() -> None:
    graph = network()
    x = batch_of(chain(5), 1)
    own, outputs = run_model(to_model(graph), x), [t.name for t in graph.outputs]
    recycle_answers(graph, WEIGHTS)
    assert [t.name for t in graph.outputs] == outputs == [e.output for e in state_of(graph).exits]
    found = run_model(to_model(graph), x)
    half, quarter = np.float32(0.5), np.float32(0.25)
    expected = [own[0], own[1] + half * own[0], own[2], own[3] + quarter * own[2]]
    for answer, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(answer, wanted)
    check_shapes(graph)


def test_what_it_takes_belongs_to_the_exit_that_takes_and_needs_the_one_before() -> None:
    graph = network()
    before = {e.name: [n.name for n in head_nodes(graph, e)] for e in state_of(graph).exits}
    recycle_answers(graph, WEIGHTS)
    exits = state_of(graph).exits
    assert [e.reads for e in exits] == ["", "exit_0", "", "exit_2"]
    assert [[r.name for r in readers_of(graph, e)] for e in exits] == [["exit_1"], [], ["final"], []]
    added = {"exit_1": ["exit_1/weigh", "exit_1/recycle"], "final": ["final/weigh", "final/recycle"]}
    for item in exits:
        own = {n.name for n in head_nodes(graph, item)}
        assert own == {*before[item.name], *added.get(item.name, [])}
    with pytest.raises(InputError, match="exit 'exit_1' reads 'exit_0', which is not kept"):
        keep_exits(graph, ["exit_1", "exit_2"])
    x = batch_of(chain(5), 1)
    expected = run_model(to_model(graph), x)
    fewer = keep_exits(graph, ["exit_2"])
    for answer, wanted in zip(run_model(to_model(fewer), x), expected[2:], strict=True):
        np.testing.assert_array_equal(answer, wanted)


@pytest.mark.parametrize("form", FORMS)
def test_the_final_exit_alone_answers_by_its_own_logits(form: str) -> None:
    graph, images = network("conv"), batch_of(chain(5), 9)
    if FORMS[form]:
        add_grids(graph, images)
        parse_pipeline(FORMS[form])(graph)
    assert final_alone(graph) is graph, "it takes over nothing"
    x = images[:1]
    own = run_model(to_model(graph), x)[-1]
    recycle_answers(graph, WEIGHTS)
    whole = run_model(to_model(graph), x)
    alone = final_alone(graph)
    found = run_model(to_model(alone), x)
    assert [t.name for t in alone.outputs] == [t.name for t in graph.outputs]
    np.testing.assert_array_equal(found[-1], own)
    assert (found[-1] != whole[-1]).any()
    for answer, wanted in zip(found[:-1], whole[:-1], strict=True):
        np.testing.assert_array_equal(answer, wanted)
    assert [e.reads for e in state_of(alone).exits] == ["", "exit_0", "", ""]
    assert {"final/weigh", "final/recycle"} == {n.name for n in graph.nodes} - {n.name for n in alone.nodes}
    assert set(state_of(alone).origins) <= {n.name for n in alone.nodes}


def test_a_final_exit_that_reads_another_in_its_head_cannot_do_without() -> None:
    graph = network()
    recycle_answers(graph, WEIGHTS)
    graph.outputs[-1].inputs[0].op = "Mul"
    with pytest.raises(InputError, match="exit 'final' reads 'exit_2', and cannot do without"):
        final_alone(graph)


def test_wrong_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="2 weights for 4 exits"):
        recycle_answers(network(), (1.0, 1.0))
    with pytest.raises(ValueError, match="'exit_1' reads 'exit_0' already"):
        recycle_answers(network("linear{reuse=logits}"), (1.0, 0.0, 0.0))


@pytest.mark.parametrize("form", FORMS)
def test_files_that_exit_early_answer_as_the_flat_network(form: str, tmp_path: Path) -> None:
    graph, images = network("conv"), batch_of(chain(5), 9)
    if FORMS[form]:
        add_grids(graph, images)
        parse_pipeline(FORMS[form])(graph)
    recycle_answers(graph, WEIGHTS)
    parse_pipeline("fuse-layers")(graph)
    assert set(state_of(graph).layers) == {n.name for n in graph.nodes}
    # other nodes are fused in float graphs of other extent
    check_early_files(graph, images, tmp_path, optimize=form != "float")
