"""The scheduler beside published figures, with the assumptions they were made under."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from targets.edge_tpu_quad.target import EdgeTpuQuadTarget
from targets.evaluation.scheduling import Wishes
from targets.objective import EDP, LATENCY
from tests.shared_files import shared
from tools.bench.schedule_resnet8 import STREAM_CYCLES, STREAM_PJ
from tools.bench.schedule_star import PAPER_CYCLES, PAPER_EDP, PAPER_PJ, RATIOS, averages
from tools.bench.scheduled import (
    FUSED,
    LAYERS,
    RESNET8,
    STAR,
    STREAM_QUAD,
    described,
    timed,
    workload_of,
)

STREAM = "Stream, last version with a genetic allocator and energy: ResNet8 on stream_quad_tpu"
PAPER = "arXiv 2512.04705: exits after blocks 0, 4, 5, 7 and final, averages over its exit ratios"


@pytest.mark.parametrize(("peer", "wishes"), [("layers", LAYERS), ("fused", FUSED)])
def test_resnet8_on_streams_quad_core(peer: str, wishes: Wishes) -> None:
    target = described(shared(*STREAM_QUAD))
    found = timed(workload_of(shared(*RESNET8), target), target, LATENCY, wishes)
    assert found.schedule.latency_cycles <= STREAM_CYCLES[peer], STREAM
    assert found.schedule.energy_pj <= STREAM_PJ[peer], STREAM


def test_the_papers_network_layer_by_layer_with_one_allocation() -> None:
    target = EdgeTpuQuadTarget()
    found = timed(workload_of(shared(*STAR), target), target, EDP, LAYERS, RATIOS)
    cycles, energy_pj, edp = averages(found.schedule)
    assert cycles <= PAPER_CYCLES and energy_pj <= PAPER_PJ and edp <= PAPER_EDP, PAPER


SCRIPT = """
from tools.bench.schedule_growth import accelerator, network
from tools.bench.scheduled import digest
from targets.objective import EDP
from targets.evaluation.scheduling import schedule_workload
print(digest(schedule_workload(network(12), accelerator(3), EDP).schedule))
"""


def test_two_processes_make_the_same_schedule() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(digests) == 1, "the schedule depends on the order of a set"
