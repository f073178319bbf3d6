"""Analog convolutions as integer operations, bit for bit as onnxruntime computes their chunked form."""

from __future__ import annotations

import functools

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from passes.errors import InputError
from passes.integers.interpreter import interpret, logits
from passes.integers.program import Affine, ChannelPart, Convolution
from passes.integers.read_program import integer_program
from passes.model.writing import to_model
from passes.number_formats import HALF_EVEN, HALF_UP, TARGET
from passes.state import copy_graph
from tests.passes.equivalence import run_model
from tests.passes.integers.analog_nets import classifier

network = functools.cache(classifier)


def test_all_bits_are_those_of_the_chunked_form() -> None:
    graph = copy_graph(network())
    program = integer_program(graph)
    kinds = [type(op) for op in program.operations]
    assert kinds.count(Affine) == 2 and kinds.count(ChannelPart) == 2 and kinds.count(Convolution) == 3
    images = np.random.default_rng(3).normal(0, 1.5, (60, 6, 7, 6)).astype(np.float32)
    want = np.concatenate([run_model(to_model(graph), image[None])[0] for image in images])
    tensors = interpret(program, program.quantized(images))
    np.testing.assert_array_equal(logits(program, tensors)[0], want)
    assert len(np.unique(want)) > 150
    converters = [op.writes for op in program.operations if isinstance(op, Convolution)]
    found = np.concatenate([tensors[name].ravel() for name in converters])
    assert (found.min(), found.max()) == (96, 159), "clipped at both ends of the converter"


def test_converters_round_to_even_on_every_core_and_affines_as_the_core_does() -> None:
    program = integer_program(copy_graph(network()))
    rules = {
        kind: {op.rescale.requantization.rounding for op in program.operations if isinstance(op, kind)}
        for kind in (Affine, Convolution)
    }
    assert rules == {Convolution: {HALF_EVEN}, Affine: {HALF_UP}}
    images = program.quantized(np.random.default_rng(3).normal(0, 1.5, (9, 6, 7, 6)).astype(np.float32))
    ours, theirs = interpret(program, images, TARGET), interpret(program, images)
    first = next(op for op in program.operations if isinstance(op, Affine))
    np.testing.assert_array_equal(ours[first.reads[0]], theirs[first.reads[0]])
    assert np.abs(ours[first.writes] - theirs[first.writes]).max() <= 1


def _other_step(graph: gs.Graph) -> None:
    quantizer = next(n for n in graph.nodes if n.op == "Mul").outputs[0].outputs[0].outputs[0].outputs[0]
    quantizer.inputs[1].values = np.float32(0.3)


def _other_axis(graph: gs.Graph) -> None:
    next(n for n in graph.nodes if n.op == "Split").attrs["axis"] = 2


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_other_step, r"'.*shift' \(Add\) .* steps that are no powers of two apart"),
        (_other_axis, r"\(Split\) .* cuts something else than channels"),
    ],
)
def test_another_form_is_refused_by_name(spoil: object, message: str) -> None:
    graph = copy_graph(network())
    spoil(graph)  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        integer_program(graph)
