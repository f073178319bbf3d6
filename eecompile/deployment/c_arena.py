"""Where tensors lie in one static buffer: those that are never needed at once share its bytes."""

from __future__ import annotations

import math

from passes.integers.program import ChannelPart, FullyConnected, IntegerProgram, View, Widening


def is_alias(operation: object) -> bool:
    """Return whether an operation leaves all integers where they are."""
    return isinstance(operation, ChannelPart) or (isinstance(operation, View) and not operation.axes)


def writes_sums(operation: object) -> bool:
    """Return whether an operation writes sums of 32 bits, which have a buffer of their own."""
    if isinstance(operation, FullyConnected):
        return operation.rescale is None
    return isinstance(operation, Widening)


def offsets(program: IntegerProgram) -> dict[str, int]:
    """Return where tensors that are parts of their owner begin in it, in bytes; others are left out."""
    found: dict[str, int] = {}
    for op in program.operations:
        begin = 0
        if isinstance(op, ChannelPart):
            begin = op.begin * math.prod(program.shapes[op.reads[0]][2:])
        if is_alias(op) and (begin or op.reads[0] in found):
            found[op.writes] = begin + found.get(op.reads[0], 0)
    return found


def owners(program: IntegerProgram) -> dict[str, str]:
    """Return for each tensor of bytes the one whose integers it is: itself, or what a view reads."""
    found = {program.source: program.source}
    for op in program.operations:
        found[op.writes] = found[op.reads[0]] if is_alias(op) else op.writes
    return found


def arena(program: IntegerProgram) -> tuple[dict[str, int], int]:
    """Place all tensors of bytes but the input and its views; logits have buffers of their own.

    Each tensor, in the order of writing, takes the lowest place that no tensor has which is still read then
    or later. Exits change nothing: operations run in one order, of which an exit is the end.

    Returns:
        Offset of each tensor that is its own owner, and the size of the buffer, in bytes.
    """
    owner = owners(program)
    last = {owner[op.writes]: number for number, op in enumerate(program.operations)}
    for number, op in enumerate(program.operations):
        for name in op.reads:
            last[owner[name]] = number
    places: dict[str, int] = {}
    for number, op in enumerate(program.operations):
        if is_alias(op) or writes_sums(op):
            continue
        size = math.prod(program.shapes[op.writes])
        taken = sorted(
            (places[name], places[name] + math.prod(program.shapes[name]))
            for name in places
            if last[name] >= number
        )
        place = 0
        for begin, end in taken:
            if place + size <= begin:
                break
            place = max(place, end)
        places[op.writes] = place
    ends = [place + math.prod(program.shapes[name]) for name, place in places.items()]
    return places, max(ends, default=0)
