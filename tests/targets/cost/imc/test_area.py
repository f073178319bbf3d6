"""Area of a core."""

from __future__ import annotations

from targets.contract.registry import load_target
from targets.cost.imc.area import area_parts, core_areas, core_clocks_ns, core_peaks
from tests.targets.cost.small import core, outer, register


def test_memories_count_once_per_instance() -> None:
    dimensions = {"D1": 4, "D2": 2}
    small = core(
        dimensions,
        weights=register("W", served=("D2",)).model_copy(update={"area": 0.5}),
        dram=outer({}, dimensions),
    )
    array = small.array.model_copy(update={"operation_area": 0.1})
    assert area_parts(small.model_copy(update={"array": array})) == {"array": 0.8, "weights": 4 * 0.5}


def test_cores_without_areas_and_in_memory_arrays_tell_nothing() -> None:
    quad = load_target("edge_tpu_quad").arch
    assert core_areas(quad) == {} or all(sum(parts.values()) > 0 for parts in core_areas(quad).values())
    assert core_clocks_ns(quad) == {} and core_peaks(quad) == {}
