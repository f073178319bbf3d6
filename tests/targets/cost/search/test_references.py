"""Figures of the outside reference, recorded with it, against the engine's: same mapping, and same search."""

from __future__ import annotations

import math
from collections import defaultdict
from functools import cache

import pytest

from targets.cost.model.solution import Solution
from targets.cost.model.unrolling import EXACT as EXACT_RULES
from targets.cost.search.engine import Engine
from targets.description.mapping import rule_for
from targets.objective import LATENCY
from tools.zigzag_records import Core, Record, Search, cores, pairs, searches, words_of

CORES = cores()
EXACT = 1e-9
# What the same search may cost more, as a share: nothing but ties and rounding.
SLACK = 1e-3
IMC = (s for s in searches(kind="imc") if not s.locality)
BEST = (*searches(), *(s for s in IMC if (s.network, s.objective) == ("resnet8", LATENCY)))
# Of networks with many layers, every so many are searched here; tools/compare_zigzag.py searches all.
SAMPLED = {"mobilenetv1": 3, "mobilenetv2": 4}


@cache
def recorded_pairs() -> dict[str, list[Record]]:
    found: defaultdict[str, list[Record]] = defaultdict(list)
    for record in pairs():
        found[record.hardware].append(record)
    return found


def same(ours: float, theirs: float) -> bool:
    return math.isclose(ours, theirs, rel_tol=EXACT)


@cache
def engine(hardware: str) -> Engine:
    return Engine(CORES[hardware].hierarchy)


def memory_energy(found: Solution, record: Record, core: Core) -> dict[str, list[float]]:
    """Return the energy per operand and memory, as the records list it."""
    spent: defaultdict[tuple[str, str], float] = defaultdict(float)
    for access in found.accesses:
        spent[access.operand, access.memory] += access.energy_pj
    return {
        op: [spent[op, memory] for memory, _ in core.hierarchy.levels(op)]
        for op in record.figures["mem_energy"]
    }


@pytest.mark.parametrize("hardware", CORES)
def test_same_mapping_same_figures(hardware: str) -> None:
    core = CORES[hardware]
    records = recorded_pairs()[hardware]
    assert len(records) >= 20, f"{len(records)} recorded mappings on {hardware}"
    for record in records:
        found, expected = engine(hardware).cost(record.nest, record.mapping), record.figures
        ours = {
            "latency": found.latency_cycles,
            "temporal_cycles": found.compute_cycles,
            "stall": found.stall_cycles,
            "onload": found.onload_cycles,
            "offload": found.offload_cycles,
            "ideal_cycle": found.ideal_cycles,
        }
        # The array's own energy on in-memory cores has a model, and tests, of its own.
        if core.hierarchy.array.imc is None:
            ours |= {"energy": found.energy_pj, "mac_energy": found.operation_energy_pj}
        for key, value in ours.items():
            assert same(value, expected[key]), f"{record.label}: {key} {value}, not {expected[key]}"
        for op, levels in memory_energy(found, record, core).items():
            theirs = expected["mem_energy"][op]
            assert all(map(same, levels, theirs)), f"{record.label}: energy of {op} {levels}, not {theirs}"
        words = {(a.operand, a.memory, a.direction): a.words for a in found.accesses}
        assert words == words_of(record, core.hierarchy), f"{record.label}: word accesses"


def test_every_core_and_kind_of_layer_is_among_the_recorded_mappings() -> None:
    records = [r for name in CORES for r in recorded_pairs()[name]]
    assert len(records) == 1394
    nests = [r.nest for r in records]
    assert any(w.dilation > 1 for n in nests for w in n.windows)
    assert any(w.stride > 1 for n in nests for w in n.windows)
    assert any(n.sizes.get("G", 1) > 1 and n.sizes["K"] > 1 for n in nests), "no grouped convolution"
    assert any(n.sizes.get("G", 1) > 1 and n.sizes["K"] == 1 for n in nests), "no depthwise convolution"
    assert any(not n.windows for n in nests), "no matrix product"
    assert any(len(u) > 1 for r in records for u in r.mapping.spatial.values()), (
        "no two loops on one dimension"
    )
    assert any(
        r.nest.sizes[loop] % factor
        for r in records
        for factors in r.mapping.spatial.values()
        for loop, factor in factors.items()
    ), "no unrolling that leaves a remainder"


def sampled(search: Search) -> tuple[Record, ...]:
    return search.layers[:: SAMPLED.get(search.network, 1)]


def totals(search: Search) -> tuple[float, float]:
    """Return the latency and energy of the engine's own search over the same layers."""
    latency = energy = 0.0
    for layer in sampled(search):
        rule = rule_for(CORES[search.hardware].rules, layer.label, layer.layer["op"])
        best = engine(search.hardware).best(layer.nest, search.objective, rule)
        latency += layer.times * best.latency_cycles
        energy += layer.times * best.energy_pj
    return latency, energy


@pytest.mark.parametrize("search", BEST, ids=lambda s: f"{s.hardware}-{s.network}-{s.objective}")
def test_own_search_is_no_worse(search: Search) -> None:
    """Summed over layers. Where ours is lower, ``compare_zigzag --confirm`` asks its own model."""
    latency, energy = totals(search)
    ours = search.objective.value(energy, latency)
    theirs = sum(layer.times * layer.figures[search.objective.name] for layer in sampled(search))
    assert ours <= theirs * (1 + SLACK), f"{search.label}: {ours} against its {theirs}"
    # The rules of both searches and their limit are the same, so a far better result would be a slip.
    assert ours >= theirs * 0.9, f"{search.label}: {ours} against its {theirs}"


@pytest.mark.parametrize("search", BEST, ids=lambda s: f"{s.hardware}-{s.network}-{s.objective}")
def test_layers_of_a_recorded_search_add_up_to_its_totals(search: Search) -> None:
    energy = sum(layer.times * layer.figures["energy"] for layer in search.layers)
    latency = sum(layer.times * layer.figures["latency"] for layer in search.layers)
    assert same(energy, search.energy_pj) and same(latency, search.latency_cycles), search.label


PUBLISHED = {
    "edge_tpu_like": (1903229377.55, 2887804.5),
    "tpu_like": (1871436380.66, 3703960.5),
    "meta_prototype": (1863284164.16, 2700449.66),
    "tesla_npu_like": (1859923747.33, 2719709.75),
    "ascend_like": (1940385435.76, 3032311.0),
}


@pytest.mark.parametrize("hardware", PUBLISHED)
def test_published_totals_of_resnet18(hardware: str) -> None:
    """Its repository's table, in pJ and cycles, from its recorded best mappings and our costs of them."""
    (search,) = (s for s in BEST if (s.hardware, s.network, s.objective) == (hardware, "resnet18", LATENCY))
    costs = [(r.times, engine(hardware).cost(r.nest, r.mapping)) for r in search.layers]
    energy, latency = PUBLISHED[hardware]
    source = f"ZigZag's published table for ResNet18 on {hardware}"
    assert sum(n * c.energy_pj for n, c in costs) == pytest.approx(energy, abs=0.01), source
    assert sum(n * c.latency_cycles for n, c in costs) == pytest.approx(latency, abs=0.01), source
    assert totals(search)[0] <= latency + 0.01, source


# What ResNet18 may take more by the rules `exact` than the reference's own best mappings by its own rules.
CLOSE = 1e-3


@pytest.mark.parametrize("hardware", [*PUBLISHED, "eyeriss_like"])
def test_resnet18_takes_hardly_longer_counted_in_full(hardware: str) -> None:
    """Whole, at the default limit; `python -m tools.compare_zigzag --rules exact` prints the ratios."""
    (search,) = (s for s in BEST if (s.hardware, s.network, s.objective) == (hardware, "resnet18", LATENCY))
    exact = Engine(CORES[hardware].hierarchy, rules=EXACT_RULES)
    ours = 0.0
    for layer in search.layers:
        rule = rule_for(CORES[hardware].rules, layer.label, layer.layer["op"])
        found = exact.best(layer.nest, LATENCY, rule)
        assert found.latency_cycles >= found.bound_cycles
        ours += layer.times * found.latency_cycles
    assert ours <= search.latency_cycles * (1 + CLOSE), search.label
