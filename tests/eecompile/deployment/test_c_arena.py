"""Tensors that are read later keep their bytes."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from eecompile.deployment.c_arena import arena, is_alias, offsets, owners
from passes.integers.program import ChannelPart, IntegerProgram, View
from passes.integers.read_program import integer_program
from tests.eecompile.deployment.c_networks import analog, joins, two_exits


@pytest.mark.parametrize("build", [lambda: integer_program(two_exits("int8-pow2")), analog, joins])
def test_no_tensor_lies_on_one_that_is_still_read(build: Callable[[], IntegerProgram]) -> None:
    program = build()
    places, size = arena(program)
    owner = owners(program)
    whole = sum(math.prod(program.shapes[name]) for name in places)
    assert size < whole, "bytes are shared"
    held: dict[int, str] = {}  # byte -> tensor that wrote it last
    for op in program.operations:
        for name in op.reads:
            read = owner[name]
            if read != program.source:
                span = range(places[read], places[read] + math.prod(program.shapes[read]))
                assert {held[byte] for byte in span} == {read}
        written = owner[op.writes]
        if written in places and not is_alias(op):
            assert not {owner[name] for name in op.reads} & {written}
            span = range(places[written], places[written] + math.prod(program.shapes[written]))
            reads = {owner[name] for name in op.reads} - {program.source}
            assert not any(held.get(byte) in reads for byte in span), "an operation writes what it reads"
            held.update(dict.fromkeys(span, written))
    assert max(held) + 1 == size


def test_a_view_is_what_it_reads() -> None:
    program = integer_program(two_exits("int8-pow2"))
    views = [op for op in program.operations if isinstance(op, View)]
    found = owners(program)
    assert len(views) == 2 and all(found[op.writes] == op.reads[0] for op in views)


def test_parts_of_channels_begin_within_what_they_are_cut_from() -> None:
    program = analog()
    second = [op for op in program.operations if isinstance(op, ChannelPart)][1]
    assert second.begin == 65 and offsets(program) == {second.writes: 65 * 7 * 6}
    assert owners(program)[second.writes] == owners(program)[second.reads[0]]
