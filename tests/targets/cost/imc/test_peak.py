"""In-SRAM computing against recorded figures of ZigZag 3.8.5, and by hand."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from passes.errors import InputError
from targets.cost.imc import peak
from targets.cost.model.batch import Batch
from targets.cost.model.evaluate import evaluate
from targets.cost.model.nest import LoopNest, Shape, Window
from targets.cost.model.unrolling import place
from targets.description.hierarchy import Hierarchy

PAIRS = Path(__file__).parents[2] / "references" / "zigzag_pairs.json.gz"
SOURCE = "ZigZag 3.8.5, hardware {hardware}, node {node} of {network}"

# Our names of the recorded components.
COMPONENTS = {
    "local_bl_precharging": "precharging",
    "cells": "cells",
    "dacs": "dacs",
    "adcs": "adcs",
    "mults": "multipliers",
    "analog_bl_addition": "bitline_addition",
    "adders_regular": "adder_trees",
    "adders_pv": "place_value_adders",
    "accumulators": "accumulators",
}
Edit = Callable[[dict[str, Any]], object]


def memory(size_bits: int, read_pj: float, write_pj: float, operands: str, served: str, *ports: Any) -> Any:
    return {
        "size_bits": size_bits,
        "read_energy_pj": read_pj,
        "write_energy_pj": write_pj,
        "operands": tuple(operands),
        "served_dimensions": tuple(served.split()),
        "ports": tuple(ports),
    }


def port(name: str, bits: int, least: int, serves: str) -> dict[str, Any]:
    return {
        "name": name,
        "bandwidth_bits_per_cycle": bits,
        "granularity_bits": least,
        "serves": tuple(serves.split(", ")),
    }


def description(kind: str) -> dict[str, Any]:
    """Return the analog or digital core ZigZag ships: 128 x 128 multipliers of 8 x 8 bits."""
    reads, writes = "I to_below, O to_below, O to_above", "I from_above, O from_above, O from_below"
    everything = f"W from_above, W to_below, {reads}, {writes}"
    return {
        "array": {
            "dimensions": {"D1": 128, "D2": 128},
            "imc": {
                "kind": kind,
                "activation_bits": 8,
                "weight_bits": 8,
                "bits_per_cycle": 2 if kind == "analog" else 1,
                "adc_bits": 8 if kind == "analog" else 0,
            },
        },
        "memories": {
            "cells": memory(8, 0, 0.095, "W", "", port("rw", 8, 8, "W from_above, W to_below")),
            "rf_1B": memory(
                *(8, 0.021, 0.021, "I", "D1"), port("r", 8, 8, "I to_below"), port("w", 8, 8, "I from_above")
            ),
            "rf_2B": memory(
                *(16, 0.021, 0.021, "O", "D2"),
                *(port("r1", 16, 16, "O to_below"), port("r2", 16, 16, "O to_above")),
                *(port("w1", 16, 16, "O from_above"), port("w2", 16, 16, "O from_below")),
            ),
            "sram": memory(
                *(262144, 416.16, 378.4, "IO", "D1 D2"), port("r", 512, 64, reads), port("w", 512, 64, writes)
            ),
            "dram": memory(10**10, 700, 750, "IWO", "D1 D2", port("rw", 64, 64, everything)),
        },
    }


def core(kind: str, edit: Edit = lambda _: None) -> Hierarchy:
    text = description(kind)
    edit(text)
    return Hierarchy.model_validate(text)


def nest_of(layer: dict[str, Any]) -> LoopNest:
    relevant = []
    for operand in layer["operands"]:
        indices = re.search(rf"{operand}((\[\w+\])+)", layer["equation"])
        assert indices is not None
        names = {name.upper() for name in re.findall(r"\[(\w+)\]", indices.group(1))}
        relevant.append((operand, frozenset(names & layer["dims"].keys())))
    windows = [
        Window(outer, inner, stride, dilation, layer["pr_sizes"][axis])
        for axis, ((outer, stride), (inner, dilation)) in layer["relations"].items()
    ]
    dims, bits = tuple(layer["dims"].items()), tuple(layer["bits"].items())
    return LoopNest(dims, tuple(layer["operands"]), tuple(relevant), tuple(windows), bits)


@cache
def recorded(hardware: str) -> list[dict[str, Any]]:
    records = json.loads(gzip.decompress(PAIRS.read_bytes()))["records"]
    return [record for record in records if record["hardware"] == hardware]


CORES = {"aimc": core("analog"), "dimc": core("digital")}
on_both = pytest.mark.parametrize("hardware", CORES)


def same(ours: dict[str, float], theirs: dict[str, float], source: str) -> None:
    assert ours == pytest.approx({COMPONENTS[name]: value for name, value in theirs.items()}, rel=1e-9), (
        source
    )


@on_both
def test_array_energy_equals_recorded(hardware: str) -> None:
    assert len(recorded(hardware)) == 36
    for record in recorded(hardware):
        spatial = record["mapping"]["spatial"]
        energy = peak.array_energy_pj(CORES[hardware], nest_of(record["layer"]), spatial)
        same(energy, record["figures"]["mac_energy_breakdown"], SOURCE.format(**record))


@on_both
def test_area_and_clock_equal_recorded(hardware: str) -> None:
    area, clock = peak.array_area_mm2(CORES[hardware]), peak.clock_ns(CORES[hardware])
    for record in recorded(hardware):
        figures, source = record["figures"], SOURCE.format(**record)
        same(area, figures["imc_area_breakdown"], source)
        same(clock, figures["tclk_breakdown"], source)
        assert sum(area.values()) == pytest.approx(figures["area"], rel=1e-9), source
        assert sum(clock.values()) == pytest.approx(figures["tclk"], rel=1e-9), source


@on_both
def test_energy_and_latency_of_whole_mappings_equal_recorded(hardware: str) -> None:
    hierarchy = CORES[hardware]
    for record in recorded(hardware):
        nest, mapping = nest_of(record["layer"]), record["mapping"]
        shape = Shape(nest)
        ordering = [(shape.index[loop], size) for loop, size in mapping["ordering"] if size > 1]
        batch = Batch(shape, np.array([[i for i, _ in ordering]]), np.array([[s for _, s in ordering]]))
        levels = {
            op: list(
                np.cumsum([sum(size > 1 for _, size in level) for level in mapping["temporal"][op]])[:, None]
            )
            for op in nest.operands
        }
        array_pj = sum(peak.array_energy_pj(hierarchy, nest, mapping["spatial"]).values())
        placed = place(shape, hierarchy, mapping["spatial"], {})
        costs = evaluate(batch, levels, hierarchy, placed, {}, array_pj)
        source = SOURCE.format(**record)
        assert costs.energy_pj[0] == pytest.approx(record["figures"]["energy"], rel=1e-9), source
        assert costs.latency.total[0] == record["figures"]["latency"], source


def banked(text: dict[str, Any]) -> None:
    """Three banks of 32 x 64, 4-bit weights, two input bits per cycle, 1 um2 of cells per multiplier."""
    text["array"]["dimensions"] = {"D1": 32, "D2": 64, "D3": 3}
    analog = text["array"]["imc"]["kind"] == "analog"
    text["array"]["imc"] |= {"weight_bits": 4, "bits_per_cycle": 2, "adc_bits": 5 if analog else 0}
    text["memories"]["cells"] |= {"size_bits": 4, "area": 1e-6}


@pytest.mark.parametrize(
    ("hierarchy", "expected"),
    [
        (core("analog"), (0.5821307463382327, 9.622171484511984, 0.25444864618113533)),
        (core("digital"), (1.0902083532956444, 7.490031820932065, 1.359681947650785)),
        (core("analog", banked), (0.4424294446012662, 15.32080746247422, 2.545136426742083)),
        (core("digital", banked), (0.9708124233652302, 13.463117788817536, 2.854020574213543)),
    ],
)
def test_peak(hierarchy: Hierarchy, expected: tuple[float, float, float]) -> None:
    source = "macro-level peak performance of ZigZag 3.8.5 for the same array"
    assert peak.peak(hierarchy) == pytest.approx(expected, rel=1e-9), source


def test_banks_multiply_area_but_not_the_clock() -> None:
    source = "ZigZag 3.8.5 for the same array"
    area, clock = peak.array_area_mm2(core("digital", banked)), peak.clock_ns(core("digital", banked))
    assert area == pytest.approx(
        {
            "cells": 32 * 64 * 3 * 1e-6,
            "dacs": 0,
            "adcs": 0,
            "multipliers": 0.030179328,
            "adder_trees": 0.2841336576,
            "place_value_adders": 0.0050573952,
            "accumulators": 0.0146416896,
        },
        rel=1e-9,
    ), source
    delays = [clock[name] for name in ("adder_trees", "place_value_adders", "accumulators")]
    assert delays == pytest.approx([2.12232, 0.30592, 0.68832], rel=1e-9), source


def layer(**sizes: int) -> LoopNest:
    relevant = (
        ("O", frozenset("BK") | {"OX", "OY"}),
        ("W", frozenset("KC") | {"FX", "FY"}),
        ("I", frozenset("BC")),
    )
    windows = (Window("OX", "FX", 1, 1, 30), Window("OY", "FY", 1, 1, 30))
    dims = {"B": 1, "K": 64, "C": 32, "OX": 28, "OY": 28, "FX": 3, "FY": 3} | sizes
    return LoopNest(tuple(dims.items()), ("O", "W", "I"), relevant, windows, (("W", 8), ("I", 8), ("O", 16)))


def test_components_by_hand() -> None:
    analog = peak.array_energy_pj(core("analog"), layer(), {"D1": {"K": 64}, "D2": {"C": 32}})
    # 28 * 28 * 9 activations of 4 cycles; 64 columns of 8 bitlines, converters of (800 + 65.536) fF at 0.9 V.
    assert analog["adcs"] == pytest.approx(28 * 28 * 9 * 4 * 64 * 8 * 0.86553600 * 0.81)
    # 32 rows are driven with two bits of 50 fF each.
    assert analog["dacs"] == pytest.approx(28 * 28 * 9 * 4 * 32 * 2 * 0.05 * 0.81)
    digital = peak.array_energy_pj(core("digital"), layer(), {"D1": {"K": 64}, "D2": {"C": 32}})
    # Digital multipliers all switch, used or not: 8 cycles of 128 * 128 * 8 gates of 0.7 fF, half the time.
    assert digital["multipliers"] == pytest.approx(28 * 28 * 9 * 8 * 128 * 128 * 8 * 0.35e-3 * 0.81)


def test_an_input_taken_at_once_needs_no_accumulator() -> None:
    parallel = core("digital", lambda text: text["array"]["imc"].update(bits_per_cycle=8))
    energy = peak.array_energy_pj(parallel, layer(), {})
    assert energy["accumulators"] == peak.clock_ns(parallel)["accumulators"] == 0
    assert peak.array_area_mm2(parallel)["accumulators"] == 0


def test_cells_of_several_weights_are_precharged() -> None:
    deep = core("analog", lambda text: text["memories"]["cells"].update(size_bits=32))
    one_pj = 8 * (0.35e-3 + 4 * 0.35e-3) * 0.81
    assert peak.precharge_pj(deep) == pytest.approx(one_pj), "8 wordlines and bitlines of four cells at 0.9 V"
    nest, unrolling = layer(), {"D1": {"K": 64}, "D2": {"C": 32}}
    some = peak.array_energy_pj(deep, nest, unrolling, weight_switches=nest.operations / 7)
    assert some["precharging"] == pytest.approx(one_pj * nest.operations / 7)
    most = peak.array_energy_pj(deep, nest, unrolling)["precharging"]
    assert most == pytest.approx(one_pj * nest.operations)
    assert peak.array_energy_pj(core("analog"), nest, unrolling)["precharging"] == 0


@pytest.mark.parametrize(
    ("wordline", "bitline", "rows"),
    [
        ({"K": 64}, {"C": 8, "FX": 3}, 8 * 3),
        ({"K": 8, "OX": 4}, {"C": 8, "FX": 3}, 8 * (3 + 4 - 1)),
        ({"K": 8, "OX": 2, "OY": 2}, {"C": 4, "FX": 3, "FY": 3}, 4 * (3 + 2 - 1) * (3 + 2 - 1)),
        ({"K": 8, "OX": 4}, {"C": 8}, 8 * 4),
        ({"K": 8, "OX": 4}, {}, 4),
        ({"K": 8, "B": 2}, {"C": 8}, 8 * 2),
        ({}, {}, 1),
    ],
)
def test_rows_of_diagonal_weights(wordline: dict[str, int], bitline: dict[str, int], rows: int) -> None:
    spatial = {"D1": wordline, "D2": bitline}
    assert peak.used_rows(core("analog"), layer(B=2), spatial) == rows
    reordered = {"D1": wordline, "D2": dict(reversed(bitline.items()))}
    assert peak.used_rows(core("analog"), layer(B=2), reordered) == rows


def test_diagonal_weights_cost_rows_and_no_columns() -> None:
    def edit(text: dict[str, Any]) -> None:
        text["array"]["dimensions"] = {"D1": 32, "D2": 128}
        text["array"]["imc"]["adc_bits"] = 7

    spatial = {"D1": {"OY": 4, "K": 8}, "D2": {"C": 4, "FX": 3, "FY": 3}}
    energy = peak.array_energy_pj(core("analog", edit), layer(), spatial)
    source = "ZigZag 3.8.5 for the same array and unrolling"
    assert energy == pytest.approx(
        {
            "precharging": 0,
            "dacs": 292626.432,
            "adcs": 7453614.003978241,
            "multipliers": 262193.283072,
            "bitline_addition": 466121.392128,
            "adder_trees": 0,
            "place_value_adders": 376902.844416,
            "accumulators": 188451.422208,
        },
        rel=1e-9,
    ), source


def of_imc(**values: object) -> Edit:
    return lambda text: text["array"]["imc"].update(values)


def of_array(**values: object) -> Edit:
    return lambda text: text["array"].update(values)


def of_cells(**values: object) -> Edit:
    return lambda text: text["memories"]["cells"].update(values)


def only_wordlines(text: dict[str, Any]) -> None:
    text["array"]["dimensions"] = {"D1": 128}
    for level in text["memories"].values():
        level["served_dimensions"] = ()


def shared_cells(text: dict[str, Any]) -> None:
    text["memories"]["cells"]["operands"] = ("W", "O")
    ports = text["memories"]["cells"]["ports"][0]
    ports["serves"] = (*ports["serves"], "O to_above", "O from_above", "O from_below", "O to_below")


@pytest.mark.parametrize(
    ("kind", "edit", "what", "fix"),
    [
        ("analog", of_array(imc=None), "array.imc: missing", "describe it"),
        ("analog", only_wordlines, "array.dimensions: only D1", "give two dimensions"),
        ("analog", of_imc(bits_per_cycle=3), "bits_per_cycle: 3 does not divide the 8 bits", "divisor"),
        ("analog", of_imc(adc_bits=0), "adc_bits: 0 does not go with kind analog", "analog 1 or more"),
        ("digital", of_imc(adc_bits=6), "adc_bits: 6 does not go with kind digital", "digital 0"),
        ("analog", of_imc(weight_bits=6), "array.imc.weight_bits: 6 is no power of two", "use 4 or 8"),
        (
            "digital",
            of_array(dimensions={"D1": 128, "D2": 100}),
            "D2: 100 is no power of two",
            "use 64 or 128",
        ),
        (
            "digital",
            of_imc(activation_bits=6, bits_per_cycle=6),
            "bits_per_cycle: 6 is no power",
            "use 4 or 8",
        ),
        ("analog", shared_cells, "memories.cells: the cells", "operands to [W]"),
        ("analog", of_cells(served_dimensions=("D1",)), "served_dimensions: D1", "leave it empty"),
        (
            "analog",
            of_cells(size_bits=12),
            "size_bits: 12 is no whole number of 8-bit weights",
            "multiple of 8",
        ),
    ],
)
def test_what_the_model_does_not_cover(kind: str, edit: Edit, what: str, fix: str) -> None:
    wrong = core(kind, edit)
    with pytest.raises(InputError, match=re.escape(what)) as error:
        peak.check(wrong)
    assert fix in error.value.hint
    with pytest.raises(InputError):
        peak.array_energy_pj(wrong, layer(), {})


def test_what_needs_no_power_of_two() -> None:
    peak.check(core("analog", of_array(dimensions={"D1": 100, "D2": 100})))
    peak.check(core("digital", of_array(dimensions={"D1": 100, "D2": 64})))
    six = core("digital", of_imc(weight_bits=6))
    with pytest.raises(InputError, match="6-bit weights"):
        peak.check(six)
