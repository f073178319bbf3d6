"""Figures over the nodes of a network, as files that Model Explorer lays over its graph.

One file holds one data set, by the name of the graph and the ids of its nodes: the custom node data of
https://github.com/google-ai-edge/model-explorer. Its ONNX adapter takes the names of nodes as ids.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from eecompile.run_files.node_figures import NodeFigures, of_file
from passes.files import write_atomic
from passes.model.file_nodes import file_graph
from passes.model.in_memory import Network
from targets.evaluation.report import CostReport

LEAST, MOST = (255, 247, 236), (215, 48, 31)
"""Colours of no cost and of the highest, red, green, blue from 0 to 255: dark text is legible on both."""
PALETTE = ("#a6cee3", "#b2df8a", "#fdbf6f", "#cab2d6", "#ffff99", "#fb9a99", "#d9d9d9", "#80b1d3")
ALL = "all"
NAMES = {
    ALL: "eecompile: cost, core, bits, exits",
    "energy": "eecompile: energy, pJ",
    "latency": "eecompile: latency, cycles",
    "core": "eecompile: core",
    "bits": "eecompile: bits of weights/inputs/outputs",
    "exits": "eecompile: exits",
}
"""What the data sets are called in the viewer."""


def explorer_ids(names: Iterable[str]) -> list[str]:
    """Return the ids of nodes with these names: names that lack, or that others have before, are made up.

    As the ONNX adapter of Model Explorer (0.4.2) does it: ``node``, ``node_1``, …; ``relu``, ``relu_1``, ….
    """
    used: set[str] = set()
    counts: Counter[str] = Counter()
    found = []
    for given in names:
        base = name = given or "node"
        while name in used:
            counts[base] += 1
            name = f"{base}_{counts[base]}"
        used.add(name)
        found.append(name)
    return found


def data_sets(graph: str, nodes: Mapping[str, NodeFigures]) -> dict[str, dict[str, Any]]:
    """Return the documents of all data sets, by their short names in `NAMES`.

    Args:
        graph: Name of the graph, which is its id.
        nodes: What is known of its nodes, by id.
    """
    costly = {name: node for name, node in nodes.items() if node.main}
    found: dict[str, dict[str, Any]] = {
        ALL: {"results": _together(nodes)},
        "energy": {"results": {n: {"value": f.energy_pj} for n, f in costly.items()}, "gradient": _GRADIENT},
        "latency": {
            "results": {n: {"value": f.latency_cycles} for n, f in costly.items()},
            "gradient": _GRADIENT,
        },
        "core": {"results": _kinds({name: node.core for name, node in nodes.items()})},
        "bits": {"results": _kinds({name: node.bits for name, node in nodes.items()})},
        "exits": {"results": _kinds({name: node.stage for name, node in nodes.items()})},
    }
    return {key: {graph: {"name": NAMES[key], **data}} for key, data in found.items()}


def of_user_file(report: CostReport, network: Network) -> dict[str, dict[str, Any]]:
    """Return the data sets for a user's file; layers that come from none of its nodes are on none.

    Raises:
        OSError: The file cannot be read.
    """
    graph = file_graph(network)
    found = of_file(report, graph.nodes)
    ids = zip(explorer_ids(node.name for node in graph.nodes), graph.nodes, strict=True)
    return data_sets(graph.name, {name: found[node.read_as] for name, node in ids if node.read_as in found})


def write_overlays(folder: Path, documents: Mapping[str, Mapping[str, Any]]) -> None:
    """Write each data set as ``NAME.json`` into ``folder``, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        write_overlay(folder / f"{name}.json", document)


def write_overlay(path: Path, document: Mapping[str, Any]) -> None:
    """Write one data set."""
    write_atomic(path, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())


def _together(nodes: Mapping[str, NodeFigures]) -> dict[str, Any]:
    """Return all that is known of each node as one text, on the colour of its share of energy."""
    highest = max((node.share for node in nodes.values() if node.share is not None), default=0.0)
    found: dict[str, Any] = {}
    for name, node in nodes.items():
        cost = f"part of {node.layer}" if node.share is None else f"{100 * node.share:.3g} % of energy"
        found[name] = {"value": f"{cost}, {node.core}, {node.bits} bits, {node.stage}"}
        if node.share is not None:
            found[name]["bgColor"] = _between(node.share / highest if highest else 0.0)
    return found


def _kinds(values: Mapping[str, str]) -> dict[str, Any]:
    """Return texts, alike ones on one colour."""
    kinds = list(dict.fromkeys(values.values()))
    colours = {kind: PALETTE[number % len(PALETTE)] for number, kind in enumerate(kinds)}
    return {name: {"value": value, "bgColor": colours[value]} for name, value in values.items()}


def _between(part: float) -> str:
    """Return the colour that lies ``part`` of the way from `LEAST` to `MOST`."""
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in zip(LEAST, MOST, strict=True))


_GRADIENT = [{"stop": 0, "bgColor": _between(0.0)}, {"stop": 1, "bgColor": _between(1.0)}]
