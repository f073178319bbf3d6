"""What an integer program says of itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from passes.integers.fold_qdq import FoldQdq
from passes.integers.read_program import integer_program
from passes.model.graph import from_model
from tests.passes.integers.test_interpreter import network


def test_images_are_quantized_half_to_even_and_clipped() -> None:
    graph = from_model(network())
    FoldQdq()(graph)
    program = replace(integer_program(graph), scale=np.float32(0.25))
    values = np.array([0.125, 0.375, -0.625, 1e6, -1e6], np.float32)
    assert program.quantized(values).tolist() == [121, 123, 119, 255, 0]


def test_the_first_exit_needs_all_that_it_reads() -> None:
    graph = from_model(network())
    FoldQdq()(graph)
    program = integer_program(graph)
    assert tuple(program.until(0)) == program.operations
