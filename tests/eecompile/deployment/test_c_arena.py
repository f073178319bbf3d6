"""Tensors that are read later keep their bytes."""

from __future__ import annotations

import math

from eecompile.deployment.c_arena import arena, owners
from passes.integers.program import View
from passes.integers.read_program import integer_program
from tests.eecompile.deployment.c_networks import two_exits


def test_no_tensor_lies_on_one_that_is_still_read() -> None:
    program = integer_program(two_exits("int8-pow2"))
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
        if written in places and not isinstance(op, View):
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
