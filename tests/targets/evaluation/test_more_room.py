"""Larger memories and more cores give no worse schedules where they once did: a row for each reason."""

from __future__ import annotations

from itertools import pairwise

import pytest

from targets.described.target import EngineTarget
from targets.description.architecture import parse_architecture
from targets.description.mapping import MappingRule
from targets.evaluation.scheduling import Planned, schedule_workload
from targets.network.layer import Layer, Operand
from targets.network.workload import ExitPath, Workload
from targets.objective import EDP, ENERGY, LATENCY, Objective, uniform
from targets.schedule.check.checker import problems
from tests.targets.networks import loops

RULE = MappingRule("default", {"D1": {"K": 16}, "D2": {"C": 16}})
_CORE = """
  - name: core_{number}
    kind: mac_array
    array: {{dimensions: {{D1: 16, D2: 16}}, operation_energy_pj: 0.1, known: placeholder, source: test}}
    memories:
      sums:
        {{size_bits: 32, read_energy_pj: 0.02, write_energy_pj: 0.02, operands: [O], served_dimensions: [D2],
         ports: [{{name: r, bandwidth_bits_per_cycle: 32, serves: [O to_below, O to_above]}},
                 {{name: w, bandwidth_bits_per_cycle: 32, serves: [O from_above, O from_below]}}]}}
      sram:
        {{size_bits: {size_bits}, read_energy_pj: 8, write_energy_pj: 9, operands: [W, I, O],
         served_dimensions: [D1, D2],
         ports: [{{name: r, bandwidth_bits_per_cycle: 2048,
                  serves: [W to_below, I to_below, O to_below, O to_above]}},
                 {{name: w, bandwidth_bits_per_cycle: 2048,
                  serves: [W from_above, I from_above, O from_above, O from_below]}}]}}
"""
_OFFCHIP = """
offchip:
  dram:
    {{size_bits: 8000000000, read_energy_pj: {read}, write_energy_pj: {write}, operands: [I, W, O],
     ports: [{{name: p, bandwidth_bits_per_cycle: {width},
              serves: [I from_above, I to_below, W from_above, W to_below,
                       O from_above, O to_below, O from_below, O to_above]}}]}}
"""


def chip(kib: int, width: int, cores: int, objective: Objective) -> EngineTarget:
    """Return cores of 16 x 16 units with an SRAM each; a bit off chip costs the same at any width."""
    text = "".join(_CORE.format(number=number, size_bits=kib * 8192) for number in range(cores))
    outer = _OFFCHIP.format(read=8 * width, write=9 * width, width=width)
    arch = parse_architecture(f"name: test\ncores:{text}{outer}", "test.yaml")
    return EngineTarget(architecture=arch, rules=(RULE,), lpf_limit=4).for_objective(objective)


def chain(image: tuple[int, int], *convolutions: tuple[int, int]) -> Workload:
    """Return convolutions of so many channels and such a kernel, each with 2 x 2 pooling, and ten classes."""
    (width, size), layers = image, list[Layer]()

    def add(op_type: str, shape: tuple[int, ...], dims: tuple[int, ...], weight: tuple[int, ...]) -> None:
        number = len(layers)
        before = layers[-1].outputs[0] if layers else Operand("x", (1, *image, image[1]), 8)
        nest = loops(*dims)
        layers.append(
            Layer(
                f"l{number}", op_type, (), nest.iterations if weight else 0, nest, (before,),
                (Operand(f"t{number}", shape, 8),), Operand("w", weight, 8) if weight else None,
                Operand("b", weight[:1], 16) if weight else None, producers=(number - 1,) if number else (),
            )
        )  # fmt: skip

    for out, kernel in convolutions:
        add(
            "Conv",
            (1, out, size, size),
            (out, width, size, size, kernel, kernel),
            (out, width, kernel, kernel),
        )
        width, size = out, size // 2
        add("MaxPool", (1, width, size, size), (width, width, size, size, 2, 2, 2, width), ())
    inner = width * size * size
    add("Gemm", (1, 10), (10, inner, 1, 1, 1, 1), (10, inner))
    path = ExitPath("final", "", tuple(range(len(layers))), sum(layer.macs for layer in layers), False)
    return Workload(tuple(layers), (path,), (), frozenset({layers[-1].outputs[0].name}))


def planned(network: Workload, target: EngineTarget, objective: Objective) -> Planned:
    found = schedule_workload(network, target, objective)
    assert problems(found.network, found.schedule) == []
    return found


def value(found: Planned, objective: Objective) -> float:
    schedule = found.schedule
    return objective.expected(uniform(1), schedule.stage_end_cycles, [schedule.energy_pj])


KEPT = chain((16, 32), (48, 1), (8, 3))
TOGETHER = chain((16, 32), (48, 3), (16, 3))


@pytest.mark.parametrize(
    ("network", "chips", "objective"),
    [
        pytest.param(KEPT, [(32, 32, 1), (64, 32, 1)], EDP, id="weights that fit beside fused tiles stay"),
        pytest.param(TOGETHER, [(32, 16, 1), (32, 16, 2), (32, 16, 3)], EDP, id="one core of several"),
        pytest.param(
            chain((8, 16), (16, 3)),
            [(8, 64, 1), (16, 64, 1), (32, 64, 1)],
            LATENCY,
            id="mappings for less room",
        ),
    ],
)
def test_more_is_no_worse(network: Workload, chips: list[tuple[int, int, int]], objective: Objective) -> None:
    values = [value(planned(network, chip(*one, objective), objective), objective) for one in chips]
    assert all(more <= less * (1 + 1e-9) for less, more in pairwise(values)), values


def test_weights_that_are_read_once_are_streamed_where_they_do_not_stay() -> None:
    found = planned(chain((8, 16), (16, 3)), chip(12, 64, 1, ENERGY), ENERGY)
    held = {i: c.held for segment in found.plan for i, c in zip(segment.layers, segment.choices, strict=True)}
    assert "l2.weights" not in found.resident and held[2] == {"I", "O"}
