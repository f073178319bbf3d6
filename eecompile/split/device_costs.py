"""What each part of a run takes on its device, read from the schedule of the run."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.run_files.summary import Summary
from passes.errors import InputError
from passes.exits.chain import ancestors
from passes.exits.cut_tensors import cut_tensors, final_logits
from passes.state import state_of


@dataclass(frozen=True)
class LayerTime:
    """A layer of the schedule.

    Attributes:
        name: Its name there.
        exit: Number of the first exit whose path it is on.
        head: Whether it belongs to the head of that exit, and not to the backbone.
        origins: Nodes of the user's network it came from.
        seconds: What it takes of the path.
        joules: Alike.
        macs: Multiply-accumulates.
        merges: Whether it is of the final exit, and adds or weighs what is no layer of the user's network.
    """

    name: str
    exit: int
    head: bool
    origins: frozenset[str]
    seconds: float
    joules: float
    macs: int
    merges: bool = False


@dataclass(frozen=True)
class CutPlace:
    """A place where the network can be cut.

    Attributes:
        name: ``input``, or the layer behind which it is.
        tensor: What is sent there.
        dtype: Its type.
        shape: Its sizes, [1, ...].
        layers: How many layers of the backbone are before it.
    """

    name: str
    tensor: str
    dtype: str
    shape: tuple[int, ...]
    layers: int


@dataclass(frozen=True)
class DeviceCosts:
    """Layers in the order they run; the backbone, and heads apart.

    Attributes:
        backbone: Its layers.
        heads: Layers of each head, early exits only.
        reached: Of each early exit, how many layers of the backbone are before it.
        cuts: Where the network can be cut, first to last.
        final_reads: Numbers of the early exits that all have to be there for the final one to take over
            answers; where one is not, it answers by itself.
        merge: Layers by which it takes over.
    """

    backbone: tuple[LayerTime, ...]
    heads: tuple[tuple[LayerTime, ...], ...]
    reached: tuple[int, ...]
    cuts: tuple[CutPlace, ...]
    final_reads: tuple[int, ...] = ()
    merge: tuple[LayerTime, ...] = ()

    def takes_over(self, exits: Sequence[int]) -> bool:
        """Return whether the final exit takes over answers on a device with ``exits``."""
        return bool(self.final_reads) and {*self.final_reads} <= {*exits}

    def until(self, layers: int, exits: Sequence[int], merged: bool = False) -> tuple[float, float]:
        """Return seconds and joules of the first ``layers`` of the backbone and of the heads of ``exits``.

        Args:
            layers: How many.
            exits: Numbers of early exits.
            merged: Whether the final exit takes over answers behind that.
        """
        run = [*self.backbone[:layers], *(layer for k in exits for layer in self.heads[k])]
        run += self.merge if merged else ()
        return sum(layer.seconds for layer in run), sum(layer.joules for layer in run)

    def share_after(self, layers: int) -> float:
        """Return which share of the backbone's multiply-accumulates comes behind its first ``layers``."""
        total = sum(layer.macs for layer in self.backbone)
        return sum(layer.macs for layer in self.backbone[layers:]) / total if total else 0.0


def device_costs(
    run: Path,
    graph: gs.Graph,
    summary: Summary,
    clock_hz: float | None,
    final_reads: tuple[int, ...] = (),
) -> DeviceCosts:
    """Return the costs of a run's layers on its target.

    Each layer counts as the schedule has it; where layers overlap, those of a stage are scaled to what the
    stage takes.

    Args:
        run: Run directory.
        graph: Its lowered network, its final exit answering by itself.
        summary: Of the run.
        clock_hz: Of a target without a clock.
        final_reads: Numbers of the early exits whose answers the final one takes over in the run.

    Raises:
        InputError: No clock, or a directory without ``layers.csv``.
    """
    rows = _rows(run, graph, summary, clock_hz)
    merge = tuple(row for row in rows if row.merges) if final_reads else ()
    backbone = tuple(row for row in rows if not row.head and row not in merge)
    early = range(len(summary.exits) - 1)
    heads = tuple(tuple(row for row in rows if row.head and row.exit == k) for k in early)
    reached = tuple(sum(row.exit <= k for row in backbone) for k in early)
    if [row.exit for row in backbone] != sorted(row.exit for row in backbone):
        raise InputError(f"{run}: layers of later stages run before earlier ones", "run without `speculate`")
    return DeviceCosts(backbone, heads, reached, tuple(_cuts(graph, backbone)), final_reads, merge)


def _rows(run: Path, graph: gs.Graph, summary: Summary, clock_hz: float | None) -> list[LayerTime]:
    names = [item.name for item in summary.exits]
    try:
        with (run / "layers.csv").open(newline="", encoding="utf-8") as stream:
            table = list(csv.DictReader(stream))
        found = [
            (
                row["name"],
                names.index(row["exit"]),
                frozenset(json.loads(row["origin"])),
                float(row["latency_cycles"]),
                float(row["energy_pj"]),
                int(row["macs"]),
                row["op_type"] in ("Add", "Mul"),
            )
            for row in table
        ]
    except FileNotFoundError:
        raise InputError(f"{run} has no layers.csv", "give the folder that `run` has written") from None
    except (KeyError, ValueError, OSError) as error:
        raise InputError(f"{run}/layers.csv cannot be read: {error}", "the file is damaged") from None
    main = _origins(graph, ancestors([final_logits(graph)]))
    rows = []
    for number, path in enumerate(summary.exits):
        before = summary.exits[number - 1] if number else None
        of_stage = [row for row in found if row[1] == number]
        cycles = path.latency_cycles - (before.latency_cycles if before else 0)
        energy = path.energy_pj - (before.energy_pj if before else 0)
        seconds = _seconds(path.latency_cycles, path.latency_s, cycles, clock_hz, summary.target)
        time = seconds / (sum(row[3] for row in of_stage) or 1)
        joules = 1e-12 * energy / (sum(row[4] for row in of_stage) or 1)
        last = number == len(names) - 1
        rows += [
            LayerTime(
                row[0], number, not last and not _is_backbone(row[0], names, row[2], main), row[2],
                row[3] * time, row[4] * joules, row[5], last and row[6] and not row[2],
            )
            for row in of_stage
        ]  # fmt: skip
    return rows


def _is_backbone(name: str, exits: Sequence[str], origins: frozenset[str], main: frozenset[str]) -> bool:
    if name.startswith(tuple(f"{one}{mark}" for one in exits for mark in "/.")):
        return False
    return not origins or bool(origins & main)


def _seconds(
    path_cycles: float, path_s: float | None, cycles: float, clock_hz: float | None, target: str
) -> float:
    if clock_hz is not None:
        return cycles / clock_hz
    if path_s is None:
        raise InputError(
            f"target '{target}' has no clock, so its cycles are no time", "give one in hertz: `clock`"
        )
    return cycles * path_s / path_cycles if path_cycles else 0.0


def _origins(graph: gs.Graph, nodes: set[str]) -> frozenset[str]:
    origins = state_of(graph).origins
    return frozenset(name for node in nodes for name in origins.get(node, ()))


def _cuts(graph: gs.Graph, backbone: Sequence[LayerTime]) -> list[CutPlace]:
    """Return one tensor for each number of layers before it: that of the fewest bytes, of equals the last."""
    main = ancestors([final_logits(graph)])
    best: dict[int, tuple[float, CutPlace]] = {}
    for tensor in cut_tensors(graph):
        before = ancestors([tensor])
        made, left = _origins(graph, before), _origins(graph, main - before)
        if made & left:  # inside of what the target runs as one layer
            continue
        counted = _layers_before(backbone, made, left)
        if counted is None or counted == len(backbone):
            continue
        name = "input" if counted == 0 else backbone[counted - 1].name
        shape = tuple(int(size) for size in tensor.shape)
        kind = np.dtype(tensor.dtype)
        place = CutPlace(name, tensor.name, kind.name, shape, counted)
        size = float(math.prod(shape) * kind.itemsize)
        if place.dtype in ("float32", "uint8", "int8") and size <= best.get(counted, (float("inf"),))[0]:
            best[counted] = (size, place)
    return [best[counted][1] for counted in sorted(best)]


def _layers_before(backbone: Sequence[LayerTime], made: frozenset[str], left: frozenset[str]) -> int | None:
    """Return how many layers are made before a tensor; ``None`` if one is only partly, or out of order."""
    sides = [True if layer.origins & made else False if layer.origins & left else None for layer in backbone]
    if any(layer.origins & made and layer.origins & left for layer in backbone):
        return None
    known = [side for side in sides if side is not None]
    if known != sorted(known, reverse=True):
        return None
    return max((n + 1 for n, side in enumerate(sides) if side), default=0)
