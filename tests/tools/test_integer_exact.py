"""The experiment on exact integers: what it counts, and that it sees what differs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from passes.integers.program import Affine, Convolution
from passes.integers.read_program import integer_program
from passes.model.graph import from_model
from passes.number_formats import ONNXRUNTIME, TARGET
from passes.registry import parse_pipeline
from tests.eecompile.small_models import SKIP_NET, skip_net
from tools.experiments.integer_exact import (
    COMPILE,
    WAYS,
    Difference,
    difference,
    line,
    lowered,
    of_c,
    of_interpreter,
    of_onnxruntime,
    sums_that_differ,
)

IMAGES = np.random.default_rng(1).normal(size=(60, 3, 14, 14)).astype(np.float32)


def test_each_bit_sum_and_answer_that_differs_is_counted() -> None:
    step = np.array([0.5], np.float32)
    same = np.array([[1.0, 2.0], [3.0, 0.5]], np.float32)
    other = np.array([[1.0, 2.0], [1.5, 2.0]], np.float32)
    bits = sum(
        (int(same.view(np.uint32)[1, k]) ^ int(other.view(np.uint32)[1, k])).bit_count() for k in (0, 1)
    )
    found = difference([same, same], [same, other], [step, step])
    assert found == Difference(2, 8, bits, 3, (0, 1)) and bits > 2
    assert "2 of 8 (25.00 %)" in line("way", TARGET, found, "0 of 8", "1")


def test_on_powers_of_two_both_roundings_agree_in_all_bits_if_ties_go_to_even() -> None:
    images = np.random.default_rng(1).normal(size=(60, 3, 16, 16)).astype(np.float32)
    graph = from_model(skip_net())
    parse_pipeline("canonicalize,insert-exits{at=1}")(graph)
    found = {}
    for name in ("diana", "half-even"):
        program = integer_program(lowered(graph, WAYS[name], images[:16]))
        integers = program.quantized(images)
        ours, theirs = (of_interpreter(program, integers, r)[1] for r in (TARGET, ONNXRUNTIME))
        found[name] = [sums_that_differ([a], [b]) for a, b in zip(ours, theirs, strict=True)]
    assert found["half-even"] == [0, 0] and min(found["diana"]) > 0


def test_analog_layers_are_those_of_onnxruntime_and_both_ends_digital_where_mixed() -> None:
    graph = from_model(skip_net(SKIP_NET.replace("16,16", "14,14")))
    parse_pipeline("canonicalize,insert-exits{at=1}")(graph)
    counts = []
    for name in ("analog", "mixed"):
        network = lowered(graph, WAYS[name], IMAGES[:16])
        program = integer_program(network)
        counts.append(sum(isinstance(op, Affine) for op in program.operations))
        floats, _ = of_interpreter(program, program.quantized(IMAGES), ONNXRUNTIME)
        scales = [item.scales for item in program.exits]
        assert difference(of_onnxruntime(network, IMAGES), floats, scales).logits == 0
    assert counts[0] == counts[1] + 2 and counts[1] > 0


@pytest.mark.parametrize("name", ["diana", "w4a8"])
def test_the_interpreter_differs_from_onnxruntime_where_the_network_does(name: str) -> None:
    graph = from_model(skip_net(SKIP_NET.replace("16,16", "14,14")))
    parse_pipeline("canonicalize,insert-exits{at=1}")(graph)
    network = lowered(graph, WAYS[name], IMAGES[:16])
    program = integer_program(network)
    scales = [item.scales for item in program.exits]
    integers = program.quantized(IMAGES)
    wanted = of_onnxruntime(network, IMAGES)
    found = difference(wanted, of_interpreter(program, integers, ONNXRUNTIME)[0], scales)
    assert found.logits == 0 and found.of == sum(x.size for x in wanted) and len(found.answers) == 2
    first = next(op for op in program.operations if isinstance(op, Convolution))
    shifted = replace(first, bias=first.bias + 400)
    spoilt = replace(program, operations=tuple(shifted if op is first else op for op in program.operations))
    assert difference(wanted, of_interpreter(spoilt, integers, ONNXRUNTIME)[0], scales).logits > 0
    assert (int(np.abs(first.weights).max()) <= 8) is (name == "w4a8")


@pytest.mark.skipif(shutil.which(COMPILE[0]) is None, reason="no C compiler called cc")
def test_each_exit_in_c_has_the_sums_of_the_interpreter_in_the_same_rounding(tmp_path: Path) -> None:
    graph = from_model(skip_net(SKIP_NET.replace("16,16", "14,14")))
    parse_pipeline("canonicalize,insert-exits{at=1}")(graph)
    program = integer_program(lowered(graph, WAYS["diana"], IMAGES[:16]))
    integers = program.quantized(IMAGES)
    in_c = of_c(program, integers, TARGET, tmp_path)
    same, other = (of_interpreter(program, integers, r)[1] for r in (TARGET, ONNXRUNTIME))
    assert len(in_c) == 2 and sums_that_differ(same, in_c) == 0
    assert sums_that_differ(other, in_c) > 0
