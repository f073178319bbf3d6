"""Which mounts and heads so many exits get where only costs are known: those whose paths save something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import onnx_graphsurgeon as gs

from passes.errors import InputError, NoSolutionError
from passes.exits.insert_exits import InsertExits
from passes.exits.mounts import find_mounts, resolve_mounts
from passes.heads.designs import RIVALS, HeadDesign
from passes.state import copy_graph, state_of

SPARE_MOUNTS = 3
"""How many mounts more than exits are looked at, so that a search of mappings stays short."""


@dataclass(frozen=True)
class ChosenExit:
    """A mount and the head it gets.

    Attributes:
        mount: Short name of the mount.
        head: The head it gets.
        path: Objective of the path that leaves there, over that of the network without exits.
    """

    mount: str
    head: HeadDesign
    path: float


def choose_exits(
    plain: gs.Graph, count: int, head: HeadDesign | None, value: Callable[[gs.Graph], float]
) -> tuple[ChosenExit, ...]:
    """Choose ``count`` exits, in the order of the network.

    Mounts are asked in their ranking; each gets the head with the cheapest path, of those that can be placed.
    The first whose paths cost less than the network without exits are taken; where there are too few of them
    among those looked at, the cheapest of the others follow. Each is costed alone, without what its head
    reuses of the exit before; the first that is chosen reuses nothing.

    Args:
        plain: The canonical network without early exits; not changed.
        count: How many.
        head: The head of all; None tries those among which ``auto`` chooses.
        value: From a network to the objective of its first exit path.

    Raises:
        InputError: Fewer mounts than exits.
        InputError, NoSolutionError: Too many mounts whose features the head does not read, or whose heads
            cannot be placed; or the network without exits cannot.
    """
    resolve_mounts(plain, str(count))
    static = value(plain)
    ranked = sorted((m for m in find_mounts(plain) if m.rank is not None), key=lambda m: m.rank or 0)
    heads = RIVALS if head is None else (head,)
    found: list[ChosenExit] = []
    refused: InputError | NoSolutionError | None = None
    for index, mount in enumerate(ranked):
        saving = sum(item.path < 1 for item in found)
        if saving == count or (index >= count + SPARE_MOUNTS and len(found) >= count):
            break
        tried = []
        for design in heads:
            try:
                path = value(with_exits(plain, [(mount.name, design.alone())]))
            except (InputError, NoSolutionError) as error:
                refused = error
                continue
            tried.append(ChosenExit(mount.name, design, path / static if static else 1.0))
        found += sorted(tried, key=lambda item: item.path)[:1]
    if len(found) < count and refused is not None:
        raise refused
    best = sorted(found, key=lambda item: 0.0 if item.path < 1 else item.path)[:count]
    order = {mount.name: index for index, mount in enumerate(find_mounts(plain))}
    first, *others = sorted(best, key=lambda item: order[item.mount])
    return (replace(first, head=first.head.alone()), *others)


def with_exits(plain: gs.Graph, exits: Sequence[tuple[str, HeadDesign]]) -> gs.Graph:
    """Return a copy of ``plain`` with exits, given as mount and head each."""
    graph = copy_graph(plain)
    state_of(graph).exits = []
    InsertExits(tuple(mount for mount, _ in exits), ",".join(head.name for _, head in exits))(graph)
    return graph
