"""What a schedule says of each node of a file: cost, core, bits, and which exits it is for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import onnx_graphsurgeon as gs

from passes.model.file_nodes import FileNode
from passes.state import state_of
from targets.evaluation.layers import LayerReport
from targets.evaluation.report import CostReport
from targets.network.layer import Layer
from targets.network.workload import Workload


@dataclass
class NodeFigures:
    """What is known of a node.

    Attributes:
        layers: The layers it is part of.
        main: Those among them whose figures it stands for, so that sums over all nodes count each layer once.
        main_node: Node that stands for its first layer.
        stage: For which exits it runs, in words.
    """

    layers: list[LayerReport] = field(default_factory=list)
    main: list[LayerReport] = field(default_factory=list)
    main_node: str = ""
    stage: str = ""

    @property
    def energy_pj(self) -> float | None:
        """Energy of the layers it stands for; ``None`` where it stands for none."""
        return sum(layer.energy_pj for layer in self.main) if self.main else None

    @property
    def latency_cycles(self) -> float | None:
        """Cycles of the layers it stands for; ``None`` where it stands for none."""
        return sum(layer.cost.latency_cycles for layer in self.main) if self.main else None

    @property
    def share(self) -> float | None:
        """Their share of the energy of the whole network, 0 to 1; ``None`` where it stands for none."""
        return sum(layer.share for layer in self.main) if self.main else None

    @property
    def core(self) -> str:
        """The cores that run it."""
        return _joined(core for layer in self.layers for core in layer.cores)

    @property
    def bits(self) -> str:
        """Bits of weights, inputs and outputs: ``8/8/8``; a dash where there are no weights."""
        return _joined("/".join("-" if b is None else str(b) for b in layer.bits) for layer in self.layers)

    @property
    def layer(self) -> str:
        """Names of its layers."""
        return _joined(layer.name for layer in self.layers)

    def notes(self) -> dict[str, str]:
        """Return all that is known, as texts by name; figures only where it stands for a layer."""
        found = {"core": self.core, "bits": self.bits, "stage": self.stage, "part_of": self.layer}
        if self.main:
            found |= {
                "energy_pj": f"{self.energy_pj:.10g}",
                "latency_cycles": f"{self.latency_cycles:.10g}",
                "energy_share": f"{self.share:.6g}",
            }
        return found


def of_file(report: CostReport, nodes: Sequence[FileNode]) -> dict[str, NodeFigures]:
    """Return what is known of the nodes of the user's file, by the name they are read by.

    Layers that come from none of them, such as those of inserted heads, are on none.
    """
    operators = {node.read_as: node.op_type for node in nodes}
    parts = {
        layer.name: [name for name in layer.layer.origin if name in operators] for layer in report.layers
    }
    return _gathered(report, parts, operators)


def of_graph(report: CostReport, graph: gs.Graph) -> dict[str, NodeFigures]:
    """Return what is known of the nodes of a graph whose layers are those of ``report``, by name."""
    layers = state_of(graph).layers
    operators = {node.name: node.op for node in graph.nodes}
    parts: dict[str, list[str]] = {layer.name: [] for layer in report.layers}
    for name in operators:
        if (layer := layers.get(name, name)) in parts:
            parts[layer].append(name)
    return _gathered(report, parts, operators)


def _gathered(
    report: CostReport, parts: Mapping[str, Sequence[str]], operators: Mapping[str, str]
) -> dict[str, NodeFigures]:
    stages = stages_of(report)
    found: dict[str, NodeFigures] = {}
    for layer in report.layers:
        names = parts[layer.name]
        if not names:
            continue
        main = next((name for name in names if layer.layer.op_type in operators[name]), names[0])
        for name in names:
            node = found.setdefault(name, NodeFigures(main_node=main, stage=stages[layer.name]))
            node.layers.append(layer)
            if name == main:
                node.main.append(layer)
    return found


def stages_of(report: CostReport) -> dict[str, str]:
    """Return for which exits each layer runs, in words.

    These are ``stage 0``, ``stage 0, read by exit_0`` and ``head of exit_0``. Stage k are the layers that run
    beyond those of the exit before, on the way to later ones; what no later exit needs is its head.
    """
    workload = report.workload
    reads = [_read_from(workload, layer) for layer in workload.layers]
    below: set[int] = set()
    waiting = [*workload.stages()[-1]]
    while waiting:
        index = waiting.pop()
        if index not in below:
            below.add(index)
            waiting += reads[index]
    words: dict[str, str] = {}
    for number, (path, stage) in enumerate(zip(workload.exits, workload.stages(), strict=True)):
        heads = [index for index in stage if index not in below]
        words |= {workload.layers[index].name: f"head of {path.name}" for index in heads}
        words |= {workload.layers[index].name: f"stage {number}" for index in stage if index in below}
        mounts = {p for index in heads for p in reads[index] if p in below}
        for index in sorted(mounts):
            words[workload.layers[index].name] += f", read by {path.name}"
    return words


def _read_from(workload: Workload, layer: Layer) -> list[int]:
    """Return the layers that write what ``layer`` reads; decisions also wait for others."""
    names = {operand.name for operand in layer.inputs}
    return [p for p in layer.producers if names & {o.name for o in workload.layers[p].outputs}]


def _joined(texts: Iterable[str]) -> str:
    return " + ".join(dict.fromkeys(texts))
