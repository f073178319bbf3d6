"""Integer programs for the tests of their source in C."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.quantization.calibration import calibrate
from passes.confidence import MAX_SOFTMAX, ConfidenceRule
from passes.integers.fold_qdq import FoldQdq
from passes.integers.interpreter import interpret, logits
from passes.integers.program import IntegerProgram
from passes.integers.read_program import integer_program
from passes.model.graph import from_model
from passes.number_formats import ROUNDINGS, Requantization
from passes.registry import parse_pipeline
from passes.state import copy_graph
from tests.eecompile.schemes import assign
from tests.eecompile.small_models import SKIP_NET, skip_net
from tests.passes.integers.analog_nets import classifier
from tests.passes.integers.joined_nets import joined_network
from tests.passes.integers.test_interpreter import Quantized, network

Array = np.ndarray[Any, Any]


@functools.cache
def _two_exits(scheme: str) -> gs.Graph:
    graph = from_model(skip_net(SKIP_NET.replace("16,16", "14,14")))
    parse_pipeline("canonicalize,insert-exits{at=1}")(graph)
    assign(graph, scheme)
    calibrate(graph, np.random.default_rng(1).normal(0, 1, (16, 3, 14, 14)).astype(np.float32))
    parse_pipeline("quantize,fold-qdq")(graph)
    return graph


def two_exits(scheme: str) -> gs.Graph:
    """Return a lowered network of two exits; its average is over 49 positions, no power of two."""
    return copy_graph(_two_exits(scheme))


def images_of(program: IntegerProgram, count: int = 20) -> Array:
    """Return quantized images, of different contrast."""
    rng = np.random.default_rng(5)
    shape = (count, *program.shapes[program.source][1:])
    size = np.linspace(0.1, 1, count).reshape(-1, *[1] * (len(shape) - 1))
    centred = rng.uniform(-127, 127, shape) * size + program.zero
    return np.clip(np.rint(centred), program.low, program.high).astype(np.int64)


def with_threshold(
    program: IntegerProgram, rounding: str, rule: ConfidenceRule = MAX_SOFTMAX
) -> IntegerProgram:
    """Return the program with a threshold that half of its images reach at the first exit."""
    images = images_of(program)
    found = np.sort(rule.evaluate(logits(program, interpret(program, images, rounding))[0]))
    middle = float(np.float32((found[9] + found[10]) / 2))
    first, *others = program.exits
    return replace(program, exits=(replace(first, threshold=middle, confidence=rule), *others))


def windows(linear: str = "grouped") -> IntegerProgram:
    """Return groups, dilations, uneven padding and pools; cores round in all ways there are."""
    graph = from_model(network(linear))
    FoldQdq()(graph)
    program = integer_program(graph)
    changed, number = [], 0
    for op in program.operations:
        rescale = getattr(op, "rescale", None)
        if rescale is None:
            changed.append(op)
            continue
        rule = Requantization(7, 12, ROUNDINGS[number % len(ROUNDINGS)])
        fields: Any = {"rescale": replace(rescale, requantization=rule)}
        changed.append(replace(op, **fields))
        number += 1
    return replace(program, operations=tuple(changed))


def joins() -> IntegerProgram:
    """Return averages of windows, padding that counts and does not, a Concat, a hidden product, two exits.

    The second exit adds a share of the logits of the first.
    """
    return integer_program(joined_network())


def analog() -> IntegerProgram:
    """Return convolutions of an analog array, one of them in two chunks."""
    return integer_program(classifier())


def line() -> IntegerProgram:
    """Return a network of one spatial axis that a Transpose comes in front of; weights need 16 bits."""
    net = Quantized((1, 12, 4))
    x = net.snap("x", 0.031, 121)
    turned = net.snap(net.op("Transpose", net.read(x), perm=[0, 2, 1]), 0.031, 121)
    raw = net.linear("Conv", turned, 0.031, 6, 4, 3, pads=[2, 1], strides=[2])
    a = net.snap(raw, 0.19, 12)
    pooled = net.op("MaxPool", net.read(a), kernel_shape=[2], strides=[2], pads=[1, 0])
    d = net.snap(pooled, 0.19, 12)
    e = net.snap(net.op("Flatten", net.read(d)), 0.19, 12)
    graph = from_model(net.model(net.linear("Gemm", e, 0.19, 5, 24, transB=1)))
    FoldQdq()(graph)
    program = integer_program(graph)
    *others, last = program.operations
    wide: Any = {"weights": last.weights * 2 - 1}  # type: ignore[attr-defined]
    return replace(program, operations=(*others, replace(last, **wide)))
