"""What the heads of every family take at every mount of a network, as a table in Markdown.

    python -m tools.heads MODEL [--target diana] [--heads 'linear,conv{kernel=5}']

Each is costed alone, before any training: one exit at one mount, its layers and its decision. Without --heads
the default of each family. What the target cannot run is told with the rule.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_graphsurgeon as gs

from eecompile.run.exits_by_cost import with_exits
from eecompile.run.prepare import cost_of
from passes.errors import InputError, NoSolutionError
from passes.exits.chain import head_nodes
from passes.exits.insert_exits import head_parameters
from passes.exits.mounts import find_mounts
from passes.exits.recognise import classifier_exits
from passes.heads.designs import HeadDesign, parse_heads
from passes.heads.families import FAMILIES
from passes.model.graph import load
from passes.registry import parse_pipeline
from passes.state import state_of
from targets.contract.registry import load_target
from targets.contract.target import Target
from targets.objective import EDP


@dataclass(frozen=True)
class HeadFigures:
    """What a head takes at a mount.

    Attributes:
        mount: Short name of the mount.
        shape: Of the mount, without batch.
        head: The head.
        macs: Multiply-accumulates of the head.
        parameters: Its weights and biases.
        cycles: Of its layers and of the decision, one after the other.
        refused: Why there is no such head here; the figures are 0 then.
    """

    mount: str
    shape: tuple[int, ...]
    head: str
    macs: int = 0
    parameters: int = 0
    cycles: int = 0
    refused: str = ""


def head_figures(plain: gs.Graph, target: Target, heads: Sequence[HeadDesign]) -> list[HeadFigures]:
    """Return the figures of each head at each mount of a network in canonical form, shallow to deep."""
    tensors = plain.tensors()
    return [
        _figures(plain, target, mount.name, tuple(tensors[mount.tensor].shape[1:]), design)
        for mount in find_mounts(plain)
        if mount.ok
        for design in heads
    ]


def _figures(
    plain: gs.Graph, target: Target, mount: str, shape: tuple[int, ...], design: HeadDesign
) -> HeadFigures:
    try:
        graph = with_exits(plain, [(mount, design)])
        report = cost_of(graph, target, EDP)
    except InputError as error:  # the head does not read such features
        return HeadFigures(mount, shape, design.name, refused=error.message)
    except NoSolutionError as error:
        return HeadFigures(mount, shape, design.name, refused=_rule(str(error)))
    first = state_of(graph).exits[0]
    own = {node.name for node in head_nodes(graph, first)} | {f"{first.name}.decide"}
    layers = [layer for layer in report.layers if layer.name in own]
    return HeadFigures(
        mount,
        shape,
        design.name,
        sum(layer.layer.macs for layer in layers),
        sum(int(values.size) for values in head_parameters(graph, first).values()),
        sum(layer.cost.latency_cycles for layer in layers),
    )


def _rule(text: str) -> str:
    """Return what a refusal says, in one line: the layer and the rules it breaks, without what would help."""
    return " ".join(text.partition("To help")[0].split())


def table(figures: Sequence[HeadFigures]) -> str:
    """Return the figures as a table in Markdown."""
    lines = ["| mount | head | MACs | parameters | cycles |", "|---|---|---|---|---|"]
    for item in figures:
        place = f"{item.mount} [{', '.join(map(str, item.shape))}]"
        told = f"{item.macs:,} | {item.parameters:,} | {item.cycles:,}"
        lines.append(f"| {place} | `{item.head}` | {item.refused or told} |{' | |' if item.refused else ''}")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--target", default="diana")
    parser.add_argument("--heads", default=",".join(FAMILIES))
    options = parser.parse_args()
    plain = load(options.model)
    parse_pipeline("canonicalize,fold-batchnorm")(plain)
    classifier_exits(plain)
    heads = parse_heads(options.heads)
    if None in heads:
        parser.error("--heads: 'auto' is none of the heads it chooses among")
    print(table(head_figures(plain, load_target(options.target), [design for design in heads if design])))


if __name__ == "__main__":
    main()
