"""What a core runs by its kind, and by which other kinds there are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from passes.operator_sets import POOLS
from targets.described.support import HINTS, LANE_WORK, has_loops, help_with, support
from targets.description.architecture import Core
from targets.testing.conformance import sample_layer
from tests.targets.small_arch import small_arch

LINEAR = {"Conv", "Gemm", "MatMul"}
LANES = {"Add", "Relu", "Softmax", "Concat", "Resize"}


@pytest.mark.parametrize(
    ("kinds", "index", "linear", "pools", "lanes"),
    [
        (("mac_array",), 0, True, True, True),
        (("mac_array", "pooling"), 0, True, False, True),
        (("mac_array", "pooling"), 1, False, True, False),
        (("mac_array", "simd"), 0, True, True, False),
        (("mac_array", "simd"), 1, False, False, True),
        (("mac_array", "host"), 0, True, True, False),
        (("mac_array", "host"), 1, False, False, True),
        (("mac_array", "simd", "host"), 2, False, False, True),
        (("imc_array", "pooling", "simd"), 0, True, False, False),
        (("pooling", "simd"), 0, False, True, False),
    ],
)
def test_work_is_for_its_own_kind_of_core_else_for_the_arrays(
    kinds: tuple[str, ...], index: int, linear: bool, pools: bool, lanes: bool
) -> None:
    runs = support(small_arch(kinds=kinds), f"{kinds[index]}_{index}").keys()
    assert (runs >= LINEAR, runs >= POOLS, runs >= LANES) == (linear, pools, lanes)
    assert bool(runs & LINEAR) == linear and bool(runs & POOLS) == pools and bool(runs & LANES) == lanes


def test_a_host_without_an_array_runs_nothing_and_takes_no_work_away() -> None:
    arch = small_arch()
    arch = arch.model_copy(update={"cores": (*arch.cores, Core(name="cpu", kind="host"))})
    assert support(arch, "cpu") == {}
    assert support(arch, "mac_array_0") == support(small_arch(), "mac_array_0")


def test_poolings_are_no_work_of_lanes() -> None:
    assert not POOLS & set(LANE_WORK) and set(LANE_WORK) >= LANES
    assert "Conv" not in LANE_WORK and list(LANE_WORK) == sorted(set(LANE_WORK))


@pytest.mark.parametrize("op_type", ["Conv", *sorted(POOLS)])
def test_windows_need_a_loop_nest(op_type: str) -> None:
    arch = small_arch()
    assert support(arch, "mac_array_0")[op_type] == (has_loops,)
    layer = sample_layer(op_type)
    assert has_loops(layer, arch) and not has_loops(replace(layer, dims=None), arch)
    assert "2-D" in HINTS[has_loops]


@pytest.mark.parametrize(
    ("runs", "words"), [(False, "replace it by convolutions"), (True, "larger memories")]
)
def test_help_is_about_the_operator_or_about_room(runs: bool, words: str) -> None:
    assert words in help_with(runs)
