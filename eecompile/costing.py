"""A network made ready for a target and costed: canonical, exits in place, layers named."""

from __future__ import annotations

from pathlib import Path

import onnx_graphsurgeon as gs

from passes.canonicalize import Canonicalize
from passes.errors import InputError
from passes.exits import recognise_exits
from passes.fold_batchnorm import FoldBatchnorm
from passes.graph import load
from passes.insert_exits import InsertExits
from passes.registry import parse_pipeline
from passes.state import state_of
from targets.base import Target, load_target
from targets.report import CostReport, evaluate

DEFAULT_HEAD = "conv"


def canonical(model: Path) -> gs.Graph:
    """Load a model, recognise the exits it has, and bring it into canonical form without batch norms."""
    graph = load(model)
    recognise_exits(graph)
    Canonicalize()(graph)
    FoldBatchnorm()(graph)
    return graph


def insert_exits(graph: gs.Graph, exits: str, head: str, seed: int) -> None:
    """Insert exits (a number, or mounts separated by commas) into a network that has none, in place."""
    found = state_of(graph).exits
    if len(found) > 1:
        names = ", ".join(e.name for e in found[:-1])
        raise InputError(f"the network has exits already: {names}", "leave --exits away to cost those")
    mounts = tuple(part.strip() for part in exits.split(","))
    InsertExits(at=mounts, head=DEFAULT_HEAD if head == "auto" else head, seed=seed)(graph)


def fuse(graph: gs.Graph, target: Target) -> None:
    """Name the layers of ``graph`` by the rules of ``target``, in place."""
    parse_pipeline(target.pipeline)(graph)


def cost_network(
    model: Path,
    target: str,
    objective: str,
    cost_model: str | None,
    exits: str | None,
    head: str,
    host_scale: float,
    seed: int,
) -> CostReport:
    """Return the cost of every layer and exit path; arguments as in `eecompile.api.cost`."""
    accelerator = load_target(target, cost_model, host_scale)
    graph = canonical(model)
    if exits is not None:
        insert_exits(graph, exits, head, seed)
    fuse(graph, accelerator)
    return evaluate(graph, accelerator, objective)
