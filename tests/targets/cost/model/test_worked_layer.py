"""The layer that docs/cost-model.md works out by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from targets.cost.model.nest import LoopNest, Window
from targets.cost.model.solution import Solution
from targets.cost.search.engine import Engine
from targets.description.architecture import parse_architecture
from targets.description.mapping import Mapping

PAGE = Path(__file__).parents[4] / "docs" / "cost-model.md"
CORE = """
name: worked
cores:
  - name: core
    kind: mac_array
    array: {dimensions: {D1: 2}, operation_energy_pj: 1}
    memories:
      sum:
        size_bits: 16
        read_energy_pj: 1
        write_energy_pj: 1
        operands: [O]
        ports:
          - {name: r, bandwidth_bits_per_cycle: 16, serves: [O to_below, O to_above]}
          - {name: w, bandwidth_bits_per_cycle: 16, serves: [O from_below, O from_above]}
      sram:
        size_bits: 512
        read_energy_pj: 5
        write_energy_pj: 6
        operands: [W, I]
        served_dimensions: [D1]
        ports:
          - {name: r, bandwidth_bits_per_cycle: 24, serves: [W to_below, I to_below]}
          - {name: w, bandwidth_bits_per_cycle: 8, serves: [W from_above, I from_above]}
      dram:
        size_bits: 100000
        read_energy_pj: 100
        write_energy_pj: 100
        operands: [W, I, O]
        served_dimensions: [D1]
        ports:
          - name: rw
            bandwidth_bits_per_cycle: 8
            serves: [W to_below, I to_below, O from_below, O to_below]
"""
NEST = LoopNest(
    (("K", 4), ("OX", 4), ("C", 2), ("FX", 3)),
    ("O", "W", "I"),
    (("O", frozenset({"K", "OX"})), ("W", frozenset({"K", "C", "FX"})), ("I", frozenset({"C"}))),
    (Window("OX", "FX", 1, 1, 6),),
    (("W", 8), ("I", 8), ("O", 16), ("O_final", 8)),
)
MAPPING = Mapping(
    {"D1": {"K": 2}},
    (("FX", 3), ("C", 2), ("OX", 4), ("K", 2)),
    {"O": (2, 4), "W": (2, 4), "I": (3, 4)},
)


@pytest.fixture(scope="module")
def found() -> Solution:
    core = parse_architecture(CORE, "docs/cost-model.md").hierarchy("core")
    assert core is not None
    return Engine(core).cost(NEST, MAPPING)


def page_rows(pattern: str) -> list[tuple[str, ...]]:
    """Return the table rows of the page that match."""
    text = PAGE.read_text(encoding="utf-8").partition("## 8. A layer by hand")[2]
    return [m.groups() for line in text.splitlines() if (m := re.fullmatch(pattern, line))]


def test_energy_per_transfer(found: Solution) -> None:
    told = page_rows(r"\| ([OWI]) (\w+) (\w+) \|.*\| (\d+) \| (\d+) \|")
    ours = [
        (a.operand, a.memory, a.direction, f"{a.words:.0f}", f"{a.energy_pj:.0f}") for a in found.accesses
    ]
    assert sorted(told) == sorted(ours)
    assert found.energy_pj == 6200
    assert found.operation_energy_pj == 96


def test_latency_parts(found: Solution) -> None:
    told = {name: float(cycles) for name, cycles in page_rows(r"\| (\w+) \| (\d+) \|")}
    assert told == {
        "compute": found.compute_cycles,
        "stall": found.stall_cycles,
        "onload": found.onload_cycles,
        "offload": found.offload_cycles,
        "latency": found.latency_cycles,
    }
    assert dict(found.stalls) == {"sram.r": 46, "sum.r": 6}
