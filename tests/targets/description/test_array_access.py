"""What the memories of a core must offer so that data gets to its array and back."""

from __future__ import annotations

import re

import pytest

from targets.description.array_access import check_array_access
from targets.description.hierarchy import Hierarchy, MemoryLevel
from tests.targets.cost.small import LARGE, WIDE, core, memory, outer, register

DIMENSIONS = {"D1": 4, "D2": 2}


def sums(*transfers: str, size_bits: int = 32) -> MemoryLevel:
    return memory("O", size_bits, dict.fromkeys(transfers, WIDE), ("D2",))


ALL = ("O to_below", "O from_below", "O to_above", "O from_above")


def with_sums(level: MemoryLevel) -> Hierarchy:
    return core(DIMENSIONS, sums=level, weights=register("W", served=("D1",)), dram=outer({}, DIMENSIONS))


def test_what_reaches_the_array_is_taken() -> None:
    check_array_access(with_sums(sums(*ALL)), ("sums", "weights"))


@pytest.mark.parametrize("lacking", ["O to_below", "O from_below"])
def test_the_innermost_memory_of_results_is_read_and_written_by_the_array(lacking: str) -> None:
    broken = with_sums(sums(*(transfer for transfer in ALL if transfer != lacking)))
    with pytest.raises(ValueError, match=rf"^memories\.sums\.ports: no port serves '{lacking}'.*add it"):
        check_array_access(broken, ("sums", "weights"))


@pytest.mark.parametrize("operand", ["W", "I"])
def test_the_innermost_memory_of_an_input_is_read_by_the_array(operand: str) -> None:
    level = memory(operand, LARGE, {f"{operand} from_above": WIDE}, ("D1", "D2"))
    broken = core(DIMENSIONS, inner=level, dram=outer({}, DIMENSIONS))
    with pytest.raises(ValueError, match=rf"^memories\.inner\.ports: no port serves '{operand} to_below'"):
        check_array_access(broken, ("inner",))


@pytest.mark.parametrize(
    ("own", "dimension"),
    [(("sums",), "D1"), (("weights",), "D2"), ((), "D1"), (("sums", "weights"), ""), (("dram",), "")],
)
def test_a_memory_of_the_core_itself_serves_each_dimension(own: tuple[str, ...], dimension: str) -> None:
    hierarchy = with_sums(sums(*ALL))
    if not dimension:
        check_array_access(hierarchy, own)
        return
    with pytest.raises(ValueError, match=rf"^memories: none serves array dimension '{dimension}'; add it"):
        check_array_access(hierarchy, own)


def test_a_dimension_of_one_needs_no_memory() -> None:
    flat = {"D1": 4, "D2": 1}
    check_array_access(core(flat, weights=register("W", served=("D1",)), dram=outer({}, flat)), ("weights",))


@pytest.mark.parametrize(("size_bits", "fits"), [(LARGE - 1, True), (LARGE, True), (LARGE + 1, False)])
def test_no_memory_is_smaller_than_one_below_it(size_bits: int, fits: bool) -> None:
    hierarchy = with_sums(sums(*ALL, size_bits=size_bits))
    if fits:
        check_array_access(hierarchy, ("sums", "weights"))
        return
    message = f"memories.dram: smaller than sums below it ({LARGE} < {size_bits} bits, operand O); list the"
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        check_array_access(hierarchy, ("sums", "weights"))


def test_memories_of_different_operands_may_have_any_sizes() -> None:
    large, small = register("W", LARGE, ("D1",)), register("I", 8, ("D2",))
    check_array_access(core(DIMENSIONS, w=large, i=small, dram=outer({}, DIMENSIONS)), ("w", "i"))
