"""What is said of layers no core takes and of networks that do not fit is true; larger ones fit no better."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passes.errors import NoSolutionError
from targets.contract.closed_form import ClosedFormTarget
from targets.contract.target import Target
from targets.diana.target import DianaTarget
from targets.evaluation.report import evaluate
from targets.evaluation.scheduling import Planned, schedule_workload
from targets.gap9.target import Gap9Target
from targets.network.layer import Layer, LoopDims, Operand
from targets.network.workload import ExitPath, Workload
from targets.objective import EDP
from targets.schedule.check.checker import problems
from targets.schedule.machine import OUTER
from targets.schedule.room import demands
from targets.schedule.view.memory_profile import memory_profiles
from tests.targets.graphs import graph_of
from tests.targets.networks import loops

DIANA, GAP9 = DianaTarget(), Gap9Target()


@dataclass(frozen=True)
class InnerGap9(Gap9Target):
    """GAP9 on a board without a memory behind L2."""

    spill_memory: ClassVar[str] = ""


GROUPED = """
net (float[1,3,64,64] x) => (float[1,12] y)
<float[60,3,3,3] a, float[60,30,3,3] b, float[60,60,1,1] c, float[60,30,3,3] d, float[60,60,1,1] e,
 float[12,60] f> {
    [stem] x1 = Conv<pads=[1,1,1,1]>(x, a)
    [first] x2 = Conv<pads=[1,1,1,1], group=2>(x1, b)
    x3 = Conv(x2, c)
    [second] x4 = Conv<pads=[1,1,1,1], group=2>(x3, d)
    x5 = Conv(x4, e)
    p = GlobalAveragePool(x5)
    q = Flatten(p)
    y = Gemm<transB=1>(q, f)
}
"""


def image_then_products(width: int, size: int) -> Workload:
    """Return work on images of 64 x size x size, three of them alive at once, and two products of a width."""
    shape = (1, 64, size, size)
    x, r, s = (Operand(name, shape, 8) for name in "xrs")
    p, h, y = Operand("p", (1, 64, 1, 1), 8), Operand("h", (1, width), 8), Operand("y", (1, width), 8)
    pool = LoopDims(1, 64, 1, 1, 1, 1, size, size, size, size, size, size)
    layers = [
        Layer("relu", "Relu", (), 0, None, (x,), (r,)),
        Layer("add", "Add", (), 0, None, (x, r), (s,), producers=(0,)),
        Layer("pool", "GlobalAveragePool", (), 0, pool, (s,), (p,), producers=(1,)),
    ]
    for name, before, after in (("first", p, h), ("wide", h, y)):
        dims = loops(width, before.shape[1], 1, 1, 1, 1)
        weight = Operand("w", (width, before.shape[1]), 8)
        made = (len(layers) - 1,)
        layers.append(
            Layer(name, "Gemm", (), dims.iterations, dims, (before,), (after,), weight, producers=made)
        )
    path = ExitPath("final", "", tuple(range(5)), sum(layer.macs for layer in layers), False)
    return Workload(tuple(layers), (path,), (), frozenset("y"))


def outcome(width: int, size: int, target: Target) -> Planned | NoSolutionError:
    try:
        return schedule_workload(image_then_products(width, size), target, EDP)
    except NoSolutionError as error:
        return error


def test_all_refusals_come_before_anything_is_said_of_room() -> None:
    """The outputs of refused layers would not fit L2 as inputs of the others: that is no matter."""
    with pytest.raises(NoSolutionError) as caught:
        evaluate(graph_of(GROUPED), DIANA)
    told = str(caught.value)
    assert "2 of 7 layers cannot be placed on diana" in told
    assert (
        told.count("no core takes layer") == 2 == told.count("The convolution has one group, or is depthwise")
    )
    assert "from first" in told and "from second" in told
    assert "at once" not in told and "Pool" not in told


@pytest.mark.parametrize("fits", [True, False])
def test_where_refusals_are_allowed_the_others_still_find_their_cores(fits: bool) -> None:
    text = GROUPED if not fits else GROUPED.replace("64,64] x", "16,16] x")
    report = evaluate(graph_of(text), DIANA, allow_refused=True)
    assert len(report.refusals) == 2 and len(report.layers) == 5
    assert not report.exits[-1].complete
    assert problems(report.planned.network, report.planned.schedule) == []


def test_what_does_not_fit_names_true_bytes_and_the_share_of_weights() -> None:
    found = outcome(1200, 48, InnerGap9())
    assert isinstance(found, NoSolutionError)
    tensors, weights = 3 * 64 * 48 * 48, 1200 * 64 + 1200 * 1200
    assert found.message == (
        f"layer 'add' needs {tensors + weights:,} bytes in l2 at once: {weights:,} for the weights that lie "
        f"there and {tensors:,} for tensors; there are 1,572,864"
    )
    assert "most of it is weights" in found.hint
    small = outcome(64, 120, InnerGap9())
    assert isinstance(small, NoSolutionError)
    assert f"{64 * 64 * 2:,} for the weights" in small.message and "smaller input image" in small.hint


@pytest.mark.parametrize(
    ("target", "size", "widths"),
    [(DIANA, 32, (400, 600, 652, 700, 752, 1200)), (InnerGap9(), 48, (1000, 1200, 1300, 2000))],
    ids=["diana", "gap9 without l3"],
)
def test_larger_weights_are_refused_as_smaller_ones_are(
    target: Target, size: int, widths: tuple[int, ...]
) -> None:
    accepted = [isinstance(outcome(width, size, target), Planned) for width in widths]
    assert accepted[0] and not accepted[-1] and accepted == sorted(accepted, reverse=True), accepted


def test_weights_that_l2_has_no_room_for_come_from_the_memory_behind_it_at_its_cost() -> None:
    widths = (1000, 1200, 1300, 2000)
    found = [outcome(width, 48, GAP9) for width in widths]
    waiting = GAP9.arch.core("ne16").active_power_mw
    assert waiting is not None
    planned = dict(zip(widths, (one for one in found if isinstance(one, Planned)), strict=True))
    inside = planned.pop(1000)
    assert inside.network.beyond == {} and GAP9.warnings(inside.network.workload) == ()
    for width, one in planned.items():
        workload = one.network.workload
        (warning,) = GAP9.warnings(workload)
        assert f"those of 1 layer, {width * width:,} bytes, are fetched from l3" in warning
        (wide,) = (run for run in one.schedule.runs if run.name == "wide")
        plain = GAP9.cost(workload.layers[-1], wide.core)
        # At the rate of the external memory and the power of a chip that waits.
        fetched = math.ceil(width * width / GAP9.arch.memory("l3").bandwidth_bytes_per_cycle.value)
        assert wide.cost.load_cycles - plain.load_cycles == fetched
        assert wide.cost.latency_cycles - plain.latency_cycles == fetched <= wide.cost.bound_cycles
        assert wide.cost.energy_pj - plain.energy_pj == pytest.approx(waiting.value * fetched / 370e6 * 1e9)
        assert problems(one.network, one.schedule) == []
        pieces = [stay for stay in one.schedule.stays if stay.tensor == "wide.buffers"]
        assert [stay.bits // 8 for stay in pieces] == [131_072], "as large as L1"
    cycles = [one.schedule.latency_cycles for one in (inside, *planned.values())]
    assert all(less < more for less, more in pairwise(cycles))


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([DIANA, GAP9, InnerGap9()]),
    st.lists(st.integers(20, 600), min_size=2, max_size=4, unique=True),
    st.sampled_from([8, 32, 48, 64]),
)
def test_what_is_refused_is_refused_at_every_larger_width(
    target: ClosedFormTarget, quarters: list[int], size: int
) -> None:
    found = [outcome(4 * width, size, target) for width in sorted(quarters)]
    accepted = [isinstance(one, Planned) for one in found]
    assert accepted == sorted(accepted, reverse=True), accepted
    for one in found:
        if isinstance(one, Planned):
            network, bound = one.network, 8 * target.arch.size_bytes("l2")
            assert bool(target.warnings(network.workload)) == bool(network.beyond)
            assert target.spill_memory or not network.beyond
            most = max(demand.bits for demand in demands(network))
            assert memory_profiles(one.schedule, network.machine)[OUTER].peak_bits == most <= bound
        else:
            assert "in l2 at once" in one.message


def test_weights_beyond_the_memory_behind_l2_are_refused() -> None:
    found = outcome(6000, 8, GAP9)
    assert isinstance(found, NoSolutionError) and "36,384,000 for the weights" in found.message
    assert isinstance(outcome(5600, 8, GAP9), Planned)
