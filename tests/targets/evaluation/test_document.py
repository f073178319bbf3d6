"""Parts of the document of costs: plain values, nothing of what they stand for lost."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from targets.contract.placement import Reason, Refusal
from targets.contract.validation import ErrorBar
from targets.cost.layer_cost import LayerCost
from targets.cost.model.solution import MemoryAccess, Solution
from targets.description.architecture import OperatingPoint
from targets.description.figure import Figure
from targets.description.mapping import Mapping
from targets.evaluation.document import (
    detail_json,
    exact_json,
    expected_json,
    layer_figures,
    path_json,
    point_json,
    refusal_json,
    schedule_json,
)
from targets.evaluation.intervals import ErrorBars
from targets.evaluation.layers import LayerReport
from targets.evaluation.paths import Cost, PathCost, Speculation
from targets.evaluation.schedule_report import ResidentWeights, ScheduleReport
from targets.schedule.exact.solve import Exact
from targets.schedule.view.energy_split import EnergySplit
from targets.schedule.view.memory_profile import MemoryProfile
from targets.schedule.view.utilisation import Utilisation
from targets.testing.conformance import sample_layer
from tests.targets.schedule.made_schedules import schedule

SHORT, LONG = Cost.at_clock(10, 100, 2e12, 50.0), Cost.at_clock(30, 300, 4e12, 50.0)
BARS = ErrorBars(ErrorBar(0.5, 2.0, 0.75, "three networks"), ErrorBar(0.75, 1.25, None, "a spread"))
EXITS = (PathCost("early", "r0", SHORT), PathCost("final", "r1", LONG, complete=False))


def plain(document: dict[str, Any]) -> dict[str, Any]:
    """Return ``document``, which JSON must hold as it is: no tuples, no objects."""
    assert json.loads(json.dumps(document)) == document
    return document


def solution(
    stall_cycles: float = 3.0, stalls: tuple[tuple[str, float], ...] = (("sram.r", 3.0),)
) -> Solution:
    mapping = Mapping({"D1": {"K": 4}}, (("C", 2), ("OX", 8)), {"W": (0, 2), "I": (1, 2), "O": (2,)})
    accesses = (MemoryAccess("W", "dram", "to_below", 7.0, 3500.0),)
    return Solution(mapping, 16.0, stall_cycles, 5.0, 2.0, stalls, 1.5, accesses, 16.0, 16.0, 9, 0.25)


def test_a_mapping_with_its_parts() -> None:
    assert plain(detail_json(solution())) == {
        "mapping": {
            "spatial": {"D1": {"K": 4}},
            "loops": [["C", 2], ["OX", 8]],
            "levels": {"W": [0, 2], "I": [1, 2], "O": [2]},
        },
        "latency": {"compute": 16.0, "stall": 3.0, "onload": 5.0, "offload": 2.0, "stalling_port": "sram.r"},
        "energy": {
            "operations_pj": 1.5,
            "accesses": [
                {"operand": "W", "memory": "dram", "direction": "to_below", "words": 7.0, "energy_pj": 3500.0}
            ],
        },
        "gap": 0.25,
    }
    assert detail_json(None) == {}, "closed forms have no mapping"


@pytest.mark.parametrize(("cycles", "stalls"), [(0.0, (("sram.r", 3.0),)), (0.0, ())])
def test_no_port_is_blamed_where_nothing_stalls(cycles: float, stalls: tuple[tuple[str, float], ...]) -> None:
    assert detail_json(solution(cycles, stalls))["latency"]["stalling_port"] is None


def test_a_layer_tells_all_that_is_known_of_it() -> None:
    cost = LayerCost(1, 2, 3, 4, 5.0, 0.5, 6, "published", 7, 8, 9)
    declined = (Reason("analog", "Weights are ternary"),)
    layer, cores = sample_layer("Conv", weight_bits=2), ("analog", "digital")
    report = LayerReport(layer, "digital", cost, 2.5, 0.25, "early", declined, cores, 2, "OY", 10, 90, 1)
    figures = plain(layer_figures(report))
    assert figures["bits"] == {"weight": 2, "input": 8, "output": 8}
    assert figures["energy_pj"] == 7.5, "with its moves"
    assert figures["latency_cycles"] == 1 + 2 + 3 + 4 + 7 + 8 + 9
    assert figures["declined"] == [{"core": "analog", "rule": "Weights are ternary"}]
    assert (figures["cores"], figures["origin"]) == (["analog", "digital"], ["sample"])
    same = {field.name for field in fields(LayerCost)} - {"energy_pj", "detail"}
    assert {key: figures[key] for key in same} == {key: getattr(cost, key) for key in same}
    own = {"core", "share", "exit", "tiles", "axis", "start_cycle", "end_cycle", "move_energy_pj", "group"}
    assert {key: figures[key] for key in own} == {key: getattr(report, key) for key in own}
    unweighted = LayerReport(sample_layer("Add"), "simd", cost, 0.0, 0.0, "early", (), (), 1, "", 0, 1, None)
    assert layer_figures(unweighted)["bits"]["weight"] is None and layer_figures(unweighted)["group"] is None


@pytest.mark.parametrize("pays", [True, False])
def test_an_exit_with_and_without_speculation(pays: bool) -> None:
    document = plain(path_json(EXITS[1], BARS))
    intervals = {
        "latency_interval": [150, 600],
        "energy_interval": [3e12, 5e12],
        "validation": "measured and spread",
    }
    assert document == {"name": "final", "mount": "r1", **vars(LONG), **intervals, "complete": False}
    ahead = PathCost("early", "r0", LONG, speculative=Speculation(SHORT, 12.5, pays))
    document = plain(path_json(ahead, ErrorBars()))
    assert document["latency_cycles"] == 300 and document["complete"] is True
    assert (document["latency_interval"], document["energy_interval"]) == (None, None)
    assert document["validation"] == "none"
    costs = {key: value for key, value in vars(SHORT).items() if key != "macs"}
    assert document["speculative"] == {**costs, "wasted_pj": 12.5, "pays": pays}, "as many products"


def test_means_tell_both_products() -> None:
    mean = Cost.mean((SHORT, LONG), (0.5, 0.5))
    document = plain(expected_json(mean, speculates=True, bars=BARS))
    assert (document["edp_js"], document["edp_of_means_js"]) == (14.0, 12.0)
    assert (document["edp_j_cycles"], document["edp_of_means_j_cycles"]) == (700.0, 600.0)
    assert document["latency_interval"] == [100, 400]
    assert document["speculation"] is True and document["macs"] == 20


def figure(value: float) -> Figure:
    return Figure(value=value, known="placeholder", source="test")


@pytest.mark.parametrize("voltage", [None, 0.65])
def test_a_point_tells_its_exits_and_the_last_as_total(voltage: float | None) -> None:
    given = None if voltage is None else figure(voltage)
    scale = None if voltage is None else figure(0.5)
    point = OperatingPoint(name="low", clock_hz=figure(50.0), voltage_v=given, energy_scale=scale)
    document = plain(point_json(point, EXITS, BARS))
    told = (1.0, None) if voltage is None else (0.5, "test")
    assert (document["energy_scale"], document["energy_scale_source"]) == told
    assert (document["name"], document["clock_hz"], document["voltage_v"]) == ("low", 50.0, voltage)
    early, final = document["exits"]
    assert early == {
        **{
            "name": "early",
            "latency_s": 2.0,
            "energy_pj": 2e12,
            "edp_js": 4.0,
            "validation": "measured and spread",
        },
        **{"latency_interval": [50, 200], "energy_interval": [1.5e12, 2.5e12]},
    }
    assert document["total"] == final and final["name"] == "final"


def test_a_refusal_keeps_every_reason() -> None:
    reasons = (Reason("digital", "Dilation is 1"), Reason("analog", "Weights are ternary"))
    document = plain(refusal_json(Refusal("conv_0", "Conv", ("stem", "relu"), reasons, "use dilation 1")))
    assert document == {
        "layer": "conv_0",
        "op_type": "Conv",
        "origin": ["stem", "relu"],
        "reasons": [{"core": r.core, "rule": r.rule} for r in reasons],
        "hint": "use dilation 1",
    }


@pytest.mark.parametrize(
    ("bound", "gap", "proven"), [(200.0, 0.0, True), (199.97, 0.00015, True), (150.0, 0.25, False)]
)
def test_what_the_solver_proved(bound: float, gap: float, proven: bool) -> None:
    document = plain(exact_json(Exact(schedule(), 200.0, bound, 1.0)))
    assert document == {"value": 200.0, "bound": bound, "gap": pytest.approx(gap), "proven": proven}


def test_a_schedule_with_stores_resources_and_energies() -> None:
    split = EnergySplit(1.0, 2.0, 3.0, 4.0)
    report = ScheduleReport(
        *("fused", "keep", (ResidentWeights("conv_0", 96, ("a.sram", "b.sram")),), 3, 120, 7, 5, 1, 2),
        {"offchip": MemoryProfile("l2", ((0, 8), (9, 0)), None, (8, 8))},
        (Utilisation("a", "core", 1.0, (0.5, 0.75), (0.5, 1.0), (0, 0)),),
        (split, split._replace(links_pj=5.0)),
    )
    document = plain(schedule_json(report, EXITS))
    assert document["schedule"] == {
        "mode": "fused",
        "weights": "keep",
        "resident": [{"layer": "conv_0", "bits": 96, "stores": ["a.sram", "b.sram"]}],
        "latency_cycles": 120,
        "runs": 7,
        "moves": 5,
        "groups": 1,
    }
    assert document["memories"] == [
        {"name": "l2", "capacity_bits": None, "peak_bits": 8, "peaks_bits": [8, 8]}
    ], "by the name of the store, not by what the machine calls it"
    (used,) = document["utilization"]
    assert (used["resource"], used["working"], used["taken"]) == ("a", [0.5, 0.75], [0.5, 1.0])
    assert [entry["exit"] for entry in document["energy"]] == ["early", "final"]
    assert [entry["links_pj"] for entry in document["energy"]] == [4.0, 5.0]
    with pytest.raises(ValueError, match="longer"):
        schedule_json(report, EXITS[:1])
