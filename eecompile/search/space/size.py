"""How large a space is, counted before anything is trained."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from eecompile.search.backbones.family import Shape, mounts_of_blocks
from eecompile.search.backbones.final_head import last_block
from eecompile.search.space.searched_backbones import OwnBackbone
from eecompile.search.space.space import Space
from eecompile.search.space.tables import GLOBAL
from passes.errors import InputError
from passes.heads.designs import HeadDesign
from passes.heads.families import NO_REUSE

COUNTED = 400
"""So many backbones with other blocks are built at most to be counted (about 10 ms each)."""


@dataclass(frozen=True)
class SpaceSize:
    """How many networks there are; thresholds come on top.

    Attributes:
        designs: Backbones x precision x pruning: what is trained.
        exits: Choices of exits, heads, rules and final head of the backbone that has most.
        mounts: Of that backbone.
        points: Operating points of each network.
        networks: All together.
        exact: ``networks`` was counted; else there are so many at most, as all backbones were taken for the
            one that has most.
    """

    designs: int
    exits: int
    mounts: int
    points: int
    networks: int
    exact: bool = True

    @property
    def words(self) -> str:
        """The size in a sentence."""
        trained = _counted(self.designs, "design")
        exits = f"{'' if self.designs == 1 else 'up to '}{_counted(self.exits, 'choice')} of exits and heads"
        points = "" if self.points == 1 else f" x {_counted(self.points, 'operating point')}"
        all_of_them = f"{'' if self.exact else 'at most '}{_counted(self.networks, 'network')}"
        return (
            f"{trained} to train x {exits} on {_counted(self.mounts, 'mount')}{points}: {all_of_them}, "
            "thresholds apart"
        )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


@dataclass(frozen=True)
class _Wiring:
    """Backbones with the same blocks: how many there are, and what each holds.

    ``mounts`` are those that are asked for, ``places`` all of its blocks.
    """

    backbones: int
    exits: int
    mounts: tuple[str, ...]
    places: tuple[str, ...]
    missing: frozenset[str | int]
    missing_parts: frozenset[str]
    heads: frozenset[str]


def size_of(space: Space, input_shape: Shape, classes: int) -> SpaceSize:
    """Count the networks of a space.

    One backbone is built of each set of blocks, as exits go to the ends of blocks.

    Args:
        space: The space.
        input_shape: Of images, (1, channels, rows, columns).
        classes: Of images.

    Raises:
        InputError: Something in the space is in none of its networks: a mount that no backbone has, more
            exits than there are mounts, heads that read none of them.
    """
    exact = sum(_wirings_of(space)) <= COUNTED
    graphs = _graphs(space, input_shape, classes, exact)
    wirings = [_wiring(space, graph, backbones) for graph, backbones in graphs]
    most = max(wirings, key=lambda wiring: wiring.exits)
    _check_mounts(space, wirings)
    _check_heads_and_parts(space, wirings)
    per_backbone, points = space.designs_of_backbone, max(1, len(space.mapping.points))
    choices = space.designs * most.exits
    if exact:
        choices = per_backbone * sum(wiring.backbones * wiring.exits for wiring in wirings)
    return SpaceSize(space.designs, most.exits, len(most.mounts), points, choices * points, exact)


def _wirings_of(space: Space) -> list[int]:
    if isinstance(space.backbones, OwnBackbone):
        return [1]
    return [
        math.prod(len(item.choices[gene.name]) for gene in item.family.genes if gene.makes_blocks)
        for item in space.backbones
    ]


def _graphs(space: Space, shape: Shape, classes: int, exact: bool) -> list[tuple[gs.Graph, int]]:
    """Return backbones, and how many are wired like each; only the corners where there are too many."""
    if isinstance(space.backbones, OwnBackbone):
        return [(space.backbones.graph(), 1)]
    if not exact:
        return [(space.graph(design, shape, classes), 1) for design in space.corners().values()]
    return [
        (item.family.graph(shape, classes, genes), backbones)
        for item in space.backbones
        for genes, backbones in item.wirings()
    ]


def _wiring(space: Space, graph: gs.Graph, backbones: int) -> _Wiring:
    classes = int(graph.outputs[0].shape[1])
    mounts, tensors = space.mounts(graph), graph.tensors()
    space.check_chains(graph)
    heads = [space.heads_on(tuple(tensors[name].shape[1:]), classes) for name in mounts]
    _check_final_heads(space, graph, classes)
    return _Wiring(
        backbones,
        _choices(space, heads),
        mounts,
        mounts_of_blocks(graph),
        space.missing_mounts(graph),
        space.missing_parts(graph),
        frozenset(head.name for found in heads for head in found),
    )


def _choices(space: Space, heads: Sequence[Sequence[HeadDesign]]) -> int:
    """Return how many choices of exits there are on mounts with these heads.

    With a threshold each, every exit has a rule of its own; one threshold goes with one rule. A head that
    reads the exit before it is not for the first.
    """
    exits, rules = space.exits, len(space.exits.confidence)
    of_one_rule = exits.thresholds == GLOBAL
    counts = [1]  # of choices of so many exits
    for options in heads:
        later = len(options) * (1 if of_one_rule else rules)
        first = sum(head.reuse == NO_REUSE for head in options) * (1 if of_one_rule else rules)
        grown = [
            0,
            *(count * (later if exits_before else first) for exits_before, count in enumerate(counts)),
        ]
        counts = [a + b for a, b in itertools.zip_longest(counts, grown, fillvalue=0)]
    kept = counts if exits.at_most is None else counts[: exits.at_most + 1]
    with_exits = sum(kept[1:]) * (rules if of_one_rule else 1)
    return (1 + with_exits) * len(exits.final_heads)


def _check_mounts(space: Space, wirings: Sequence[_Wiring]) -> None:
    if space.exits.at_most == 0:
        return
    most = max((wiring.mounts for wiring in wirings), key=len)
    listed = ", ".join(most)
    places = ", ".join(max(wirings, key=lambda wiring: len(wiring.places)).places)
    asked = space.exits.mounts
    if isinstance(asked, int) and len(most) < asked:
        raise InputError(
            f"exits.mounts: {asked} mounts asked for, and no backbone has more than {len(most)}: {listed}",
            f"say {len(most)} at most" if most else "give it more blocks, or say at_most = 0",
        )
    for number, item in enumerate(asked if isinstance(asked, tuple) else ()):
        if all(item in wiring.missing for wiring in wirings):
            named = f"index {item}" if isinstance(item, int) else f"'{item}'"
            raise InputError(
                f"exits.mounts[{number}]: no backbone has a mount {named}",
                f"the largest has: {places}" if places else "it has none",
            )
    if not most:
        raise InputError(
            "exits.mounts: no backbone of this space has a place for an exit",
            "give it more blocks, or say at_most = 0 to search without exits",
        )


def _check_heads_and_parts(space: Space, wirings: Sequence[_Wiring]) -> None:
    for number, head in enumerate(space.exits.heads if space.exits.at_most != 0 else ()):
        if all(head.name not in wiring.heads for wiring in wirings):
            axes = ", ".join(map(str, head.family.spatial))
            raise InputError(
                f"exits.heads[{number}]: head '{head.name}' reads features with {axes} spatial axes, and no "
                "mount of this space has such",
                "leave it away",
            )
    for part in sorted(frozenset.intersection(*(wiring.missing_parts for wiring in wirings))):
        raise InputError(
            f"precision.backbone: no backbone has a layer or part '{part}'",
            "parts are beginnings of names: stem, stage_1, stage_1.block_0, classifier",
        )


def _check_final_heads(space: Space, graph: gs.Graph, classes: int) -> None:
    for number, head in enumerate(space.exits.final_heads):
        if head is None:
            continue
        try:
            head.on(tuple(int(d) for d in last_block(graph).shape[1:]), classes)
        except InputError as error:
            raise InputError(f"exits.final_heads[{number}]: {error.message}", error.hint) from None
