"""The files of a run for viewers of graphs: what each node costs, where it runs, and for which exits."""

from __future__ import annotations

from pathlib import Path

import onnx_graphsurgeon as gs

from eecompile.run_files.node_figures import of_graph
from eecompile.run_files.overlay import ALL, data_sets, of_user_file, write_overlay, write_overlays
from passes.files import write_atomic
from passes.model.in_memory import Network
from passes.model.writing import annotated
from targets.evaluation.report import CostReport


def write_views(work: Path, network: Network, report: CostReport, lowered: gs.Graph | None) -> None:
    """Write ``overlay.json``, ``overlay/`` and ``model.annotated.onnx``.

    Args:
        work: Where to.
        network: The user's network. Where its file is gone, as behind `retune`, nothing is laid over it.
        report: What the network of the files costs.
        lowered: That network; ``None`` in runs without images, which write none.
    """
    try:
        given = of_user_file(report, network)
    except OSError:
        given = {}
    if given:
        write_overlay(work / "overlay.json", given.pop(ALL))
        write_overlays(work / "overlay" / "given", given)
    if lowered is None:
        return
    nodes = of_graph(report, lowered)
    write_overlays(work / "overlay" / "lowered", data_sets(lowered.name or "graph", nodes))
    notes = {name: node.notes() for name, node in nodes.items()}
    write_atomic(work / "model.annotated.onnx", annotated(lowered, notes))
