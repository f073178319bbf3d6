"""What the model of in-SRAM computing asks of an array: each rule from both sides."""

from __future__ import annotations

import re
from typing import Any, Literal

import pytest

from passes.errors import InputError
from targets.description.hierarchy import Hierarchy, Imc, MacArray, MemoryLevel
from targets.description.imc_rules import check
from tests.targets.cost.small import memory, outer, register


def imc_core(
    kind: Literal["analog", "digital"] = "analog",
    dimensions: dict[str, int] | None = None,
    cells: MemoryLevel | None = None,
    before: bool = False,
    **imc: Any,
) -> Hierarchy:
    """Return 16 x 32 multipliers of 8 bits by 4, and cells of one weight; ``before`` puts a buffer below."""
    sizes = dimensions or {"D1": 16, "D2": 32}
    bits = {"activation_bits": 8, "weight_bits": 4, "bits_per_cycle": 2, "adc_bits": 6 * (kind == "analog")}
    array = MacArray(dimensions=sizes, imc=Imc(**{"kind": kind, **bits, **imc}))
    memories = {"buffer": register("W", 8)} if before else {}
    memories |= {"cells": cells or register("W", 4), "dram": outer({}, sizes)}
    return Hierarchy(array=array, memories=memories)


@pytest.mark.parametrize("kind", ["analog", "digital"])
def test_what_the_model_covers_is_returned(kind: Literal["analog", "digital"]) -> None:
    hierarchy = imc_core(kind)
    assert check(hierarchy) is hierarchy.array.imc


@pytest.mark.parametrize(
    "hierarchy",
    [
        imc_core("analog", {"D1": 10, "D2": 30}),
        imc_core("analog", activation_bits=6, bits_per_cycle=3),
        imc_core("analog", adc_bits=1),
        imc_core("digital", {"D1": 10, "D2": 32}),
        imc_core("digital", weight_bits=3, cells=register("W", 6)),
        imc_core("digital", {"D2": 32, "D1": 10, "D3": 5}),
        imc_core("analog", cells=register("W", 12)),
    ],
    ids=[
        *("analog sizes", "analog bits per cycle", "one bit of a converter"),
        *("digital wordlines", "digital weights", "by name, not by order", "several weights"),
    ],
)
def test_what_no_tree_of_adders_counts_may_be_any_number(hierarchy: Hierarchy) -> None:
    check(hierarchy)


@pytest.mark.parametrize(
    ("hierarchy", "message", "hint"),
    [
        (imc_core(dimensions={"D1": 16}), "array.dimensions: only D1; an in-memory array has", "two"),
        (imc_core(bits_per_cycle=3), "array.imc.bits_per_cycle: 3 does not divide the 8 bits", "divisor"),
        (imc_core(adc_bits=0), "array.imc.adc_bits: 0 does not go with kind analog", "analog 1 or more"),
        (imc_core("digital", adc_bits=1), "array.imc.adc_bits: 1 does not go with kind digital", "digital 0"),
        (imc_core(weight_bits=6, cells=register("W", 6)), "array.imc.weight_bits: 6 is no", "use 4 or 8"),
        (imc_core("digital", {"D1": 16, "D2": 33}), "array.dimensions.D2: 33 is no power", "use 32 or 64"),
        (imc_core("digital", {"D2": 31, "D1": 16}), "array.dimensions.D2: 31 is no power", "use 16 or 32"),
        (
            imc_core("digital", activation_bits=6, bits_per_cycle=3),
            "array.imc.bits_per_cycle: 3 is no power of two",
            "use 2 or 4",
        ),
        (
            imc_core(cells=memory("WI", 4, {"W from_above, W to_below, I from_above, I to_below": 8})),
            "memories.cells: the cells of an in-memory array are the innermost memory of W and hold nothing",
            "set memories.cells.operands to [W]",
        ),
        (imc_core(before=True), "memories.cells: the cells of an in-memory", "before other memories of W"),
        (
            imc_core(cells=register("W", 4, ("D1", "D2"))),
            "memories.cells.served_dimensions: D1, D2, but every multiplier has its own",
            "leave it empty",
        ),
        (
            imc_core(cells=register("W", 6)),
            "memories.cells.size_bits: 6 is no whole number of 4-bit weights",
            "use a multiple of 4",
        ),
    ],
)
def test_each_rule_names_the_value_and_the_fix(hierarchy: Hierarchy, message: str, hint: str) -> None:
    with pytest.raises(InputError, match="^" + re.escape(message)) as caught:
        check(hierarchy)
    assert hint in caught.value.hint


def test_an_array_of_multipliers_is_no_in_memory_array() -> None:
    plain = imc_core()
    array = plain.array.model_copy(update={"imc": None})
    with pytest.raises(InputError, match=r"^array\.imc: missing"):
        check(Hierarchy(array=array, memories=plain.memories))
