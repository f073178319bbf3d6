"""A program whose int8 tensors are stored as bytes from 0 to 255: integers plus 128."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from passes.integers.program import (
    Affine,
    Average,
    Concatenation,
    Convolution,
    FullyConnected,
    IntegerProgram,
    Operation,
    Rescale,
    Widening,
    WindowAverage,
)
from passes.integers.schemes import ZERO_POINT


def as_bytes(program: IntegerProgram) -> IntegerProgram:
    """Return the program with zero points, bounds and tables of int8 tensors moved by 128.

    Sums are counted from zero points, so that none changes. Additions stay as they are: zero points take part
    in the float32 that onnxruntime adds in; ``lowest`` says how far their bytes are from their integers.
    """
    if not program.signed:
        return program
    up = ZERO_POINT if program.source in program.signed else 0
    return replace(
        program,
        zero=program.zero + up,
        low=program.low + up,
        high=program.high + up,
        operations=tuple(_moved(op, program.signed) for op in program.operations),
        signed=frozenset(),
    )


def _moved(op: Operation, signed: frozenset[str]) -> Operation:
    read = ZERO_POINT if op.reads[0] in signed else 0
    up = ZERO_POINT if op.writes in signed else 0
    changes: dict[str, Any] = {}
    if isinstance(op, Convolution | FullyConnected | Average | Affine | WindowAverage | Widening):
        changes["zero"] = op.zero + read
    if isinstance(op, Convolution | FullyConnected | Average | Affine) and op.rescale is not None:
        changes["rescale"] = _raised(op.rescale, up)
    if isinstance(op, WindowAverage):
        changes["rescales"] = {count: _raised(rescale, up) for count, rescale in op.rescales.items()}
        changes["tables"] = {count: table + up for count, table in op.tables.items()}
    if isinstance(op, Concatenation):  # of one type
        changes = {
            "lowest": op.lowest + read,
            "zeros": tuple(zero + read for zero in op.zeros),
            "rescales": tuple(_raised(rescale, up) for rescale in op.rescales),
            "tables": tuple(table + up for table in op.tables),
        }
    return replace(op, **changes)


def _raised(rescale: Rescale, up: int) -> Rescale:
    return replace(rescale, zero=rescale.zero + up, low=rescale.low + up, high=rescale.high + up)
