"""A network on a target, scheduled, timed and checked."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from passes.exits.recognise import recognise_exits
from passes.model.graph import load
from passes.registry import parse_pipeline
from targets.contract.target import Target
from targets.described.target import EngineTarget
from targets.description.readers.files import read_architecture
from targets.description.readers.mapping import read_mapping
from targets.evaluation.scheduling import Planned, Wishes, schedule_workload
from targets.network.workload import Workload, build_workload
from targets.objective import Objective
from targets.schedule.check.checker import problems
from targets.schedule.result import Schedule

RESNET8 = ("models", "resnet8_cifar10.onnx")
MOBILENETV1 = ("models", "mobilenetv1_025_vww.onnx")
STAR = ("reference", "eenn", "mobilenetv2_exits_0_4_5_7.onnx")
OTHER_EXITS = ("reference", "eenn", "mobilenetv2_exits_3_5_8.onnx")
STREAM_QUAD = ("reference", "stream_quad_tpu", "hardware", "tpu_like_quad_core.yaml")

# Stream's assumptions: input and weights start off chip, one layer after another whole on a core.
LAYERS = Wishes("layers", keep_weights=False)
SPLIT = Wishes("split", keep_weights=False)
FUSED = Wishes("fused", keep_weights=False)
KEPT = Wishes()


@dataclass(frozen=True)
class Timed:
    """A schedule and the CPU seconds it took, with costing the layers."""

    planned: Planned
    cpu_s: float

    @property
    def schedule(self) -> Schedule:
        """The schedule."""
        return self.planned.schedule


def workload_of(path: Path, target: Target) -> Workload:
    """Return the layers of a network file as ``target`` sees them."""
    graph = load(path)
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    recognise_exits(graph)
    parse_pipeline(target.pipeline(quantized=False))(graph)
    return build_workload(graph, target.precision)


def described(path: Path, mapping: Path | None = None) -> EngineTarget:
    """Return a target described by a file."""
    architecture = read_architecture(path)
    rules = read_mapping(mapping, architecture.array_dimensions)[0] if mapping is not None else ()
    return EngineTarget(architecture=architecture, rules=rules)


def timed(
    workload: Workload,
    target: Target,
    objective: Objective,
    wishes: Wishes,
    ratios: Sequence[float] | None = None,
) -> Timed:
    """Return the schedule of ``workload``; nothing is remembered of earlier ones.

    Raises:
        ValueError: The checker finds something wrong with it.
    """
    bound = target.for_objective(objective)
    if isinstance(bound, EngineTarget):
        bound = replace(bound, engines=None)
    start = time.process_time()
    planned = schedule_workload(workload, bound, objective, ratios, wishes)
    cpu_s = time.process_time() - start
    wrong = problems(planned.network, planned.schedule)
    if wrong:
        raise ValueError(f"the schedule is wrong: {'; '.join(wrong[:3])}")
    return Timed(planned, cpu_s)


def digest(schedule: Schedule) -> str:
    """Return a fingerprint of all runs, moves and stays, the same in every process."""
    runs = [run._replace(held=frozenset()) for run in schedule.runs]
    held = ["".join(sorted(run.held)) for run in schedule.runs]
    return hashlib.sha256(repr((runs, held, schedule.moves, schedule.stays)).encode()).hexdigest()[:16]
