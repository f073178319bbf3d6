"""Where an exit can go: the tensors that alone separate the input from the final output.

Read from a canonical float graph. Names are ``<operator type>_<number>`` of the node that writes a
tensor, counted per type in topological order: ``relu_3``, ``add_2``, ``conv_0``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import onnx_graphsurgeon as gs

from passes.errors import InputError, did_you_mean
from passes.exits.mount_ranking import LegalMount, rank
from passes.exits.mount_rules import DataFlow, why_not_mount
from passes.exits.reading import Reading, reading_of


@dataclass(frozen=True)
class Mount:
    """One tensor of the network, seen as a place for an exit.

    Attributes:
        tensor: Its name in the graph.
        name: Its short name, ``relu_3``; ``input`` for the model input.
        ok: Whether an exit can read it.
        reason: One sentence: why not, or what speaks for it.
        macs: Multiply-accumulates that run before it exists.
        macs_fraction: ``macs`` over those of the way from the input to the final output.
        rank: Its place among the mounts, 1 is the best; None if it is none.
    """

    tensor: str
    name: str
    ok: bool
    reason: str
    macs: int
    macs_fraction: float
    rank: int | None


def find_mounts(graph: gs.Graph) -> list[Mount]:
    """Return an entry for every tensor that is not constant, in topological order.

    Where the graph has several outputs, the way to the last exit counts: that of the exits' list,
    or else the output with most multiply-accumulates in front of it.
    """
    network = DataFlow(graph)
    total = max(network.macs_before(network.final), 1)
    found, candidates = [], []
    for tensor in network.tensors:
        reason = why_not_mount(network, tensor)
        macs = network.macs_before(tensor)
        fraction = min(macs / total, 1.0)
        found.append(
            Mount(tensor.name, network.name(tensor), reason is None, reason or "", macs, fraction, None)
        )
        if reason is None and isinstance(reading := reading_of(tensor, network.final), Reading):
            candidates.append(LegalMount(tensor.name, fraction, reading.map, network.joins(tensor)))
    ranks = rank(candidates)
    return [
        replace(mount, rank=ranks[mount.tensor].place, reason=ranks[mount.tensor].reason)
        if mount.ok
        else mount
        for mount in found
    ]


Spec = str | Sequence[str]


def resolve_mounts(graph: gs.Graph, spec: Spec) -> list[Mount]:
    """Return the mounts ``spec`` asks for, in the order of the network.

    Args:
        graph: A canonical float graph.
        spec: A number of exits (``2``: the two best-ranked mounts), or mounts by short name, tensor
            name or name of the node that writes them: one text separated by commas, or a sequence of names.

    Raises:
        InputError: Unknown name, a tensor that is no mount, the same mount twice, more exits than
            there are mounts, or a network without any.
    """
    found = find_mounts(graph)
    legal = [mount for mount in found if mount.ok]
    if not legal:
        raise _no_mount(found)
    if isinstance(spec, str) and is_number(spec):
        return _best(legal, int(spec))
    chosen = _named(graph, spec, found, legal)
    return [mount for mount in legal if mount.tensor in chosen]


def is_number(spec: str) -> bool:
    """Whether ``spec`` asks for so many exits, not for some by name."""
    return re.fullmatch(r"[+-]?[0-9]+", spec.strip()) is not None


def given_names(graph: gs.Graph, spec: Spec) -> dict[str, str]:
    """Return tensor name -> name that ``spec`` calls it by; nothing for a number.

    Raises:
        InputError: As :func:`resolve_mounts`.
    """
    if isinstance(spec, str) and is_number(spec):
        return {}
    found = find_mounts(graph)
    return _named(graph, spec, found, [mount for mount in found if mount.ok])


def split_names(graph: gs.Graph, text: str) -> list[str]:
    """Return the names of ``text``, which are separated by commas unless all of it is one."""
    return _split(text, _keys(graph, find_mounts(graph)))


def _split(text: str, keys: Collection[str]) -> list[str]:
    text = text.strip()
    return [text] if text in keys else [part.strip() for part in text.split(",")]


def _named(graph: gs.Graph, spec: Spec, found: list[Mount], legal: list[Mount]) -> dict[str, str]:
    keys = _keys(graph, found)
    wanted = _split(spec, keys) if isinstance(spec, str) else list(spec)
    chosen: dict[str, str] = {}
    for name in wanted:
        mount = _one(name, keys, legal)
        if mount.tensor in chosen:
            raise InputError(
                f"exits '{chosen[mount.tensor]}' and '{name}' are the same mount ({mount.name})",
                "name each mount once",
            )
        chosen[mount.tensor] = name
    return chosen


def _no_mount(found: list[Mount]) -> InputError:
    """Return the error for a network without mounts: the two most frequent reasons, each with its tensors."""
    by_kind: dict[str, list[Mount]] = {}
    for mount in found[1:] or found:  # the first is the model input
        by_kind.setdefault(mount.reason.partition(":")[0], []).append(mount)
    frequent = sorted(by_kind.values(), key=len, reverse=True)[:2]
    what = "this network has no tensor an exit could read: "
    if frequent[0][0].reason.startswith("bypassed"):
        return InputError(
            f"{what}none alone separates the input from the output", f"for example: {frequent[0][0].reason}"
        )
    reasons = [f"{_listed(mounts)}: {mounts[0].reason}" for mounts in frequent]
    return InputError(what + "; ".join(reasons), "`eecompile inspect` gives the reason for each tensor")


def _listed(mounts: list[Mount]) -> str:
    names = ", ".join(mount.name for mount in mounts[:3])
    return names if len(mounts) <= 3 else f"{names} and {len(mounts) - 3} more"


def _best(legal: list[Mount], count: int) -> list[Mount]:
    if count < 1:
        raise InputError(
            f"the number of exits must be at least 1, not {count}", "the final classifier comes on top"
        )
    if count > len(legal):
        listed = ", ".join(mount.name for mount in legal)
        mounts = "1 mount" if len(legal) == 1 else f"{len(legal)} mounts"
        raise InputError(
            f"{count} exits asked for, but this network has {mounts}: {listed}",
            f"ask for at most {len(legal)}",
        )
    return [mount for mount in legal if mount.rank is not None and mount.rank <= count]


def _keys(graph: gs.Graph, found: list[Mount]) -> dict[str, Mount]:
    """Return all names a user may give; a short name wins over a node name, that over a tensor name."""
    by_tensor = {mount.tensor: mount for mount in found}
    nodes = {
        node.name: by_tensor[node.outputs[0].name]
        for node in graph.nodes
        if node.outputs[0].name in by_tensor
    }
    return by_tensor | nodes | {mount.name: mount for mount in found}


def _one(name: str, keys: dict[str, Mount], legal: list[Mount]) -> Mount:
    if name not in keys:
        near = did_you_mean(name, [m.name for m in legal])
        raise InputError(f"no tensor or node is called '{name}'", near)
    mount = keys[name]
    if not mount.ok:
        listed = ", ".join(m.name for m in legal)
        raise InputError(
            f"'{name}' cannot carry an exit: {mount.reason}", f"mounts of this network: {listed}"
        )
    return mount
