"""All thresholds of a network inside some blocks, exactly: who is where, from what is known at the edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.fronts.front_walk import SubsetNetwork
from eecompile.exits.fronts.ranked_answers import RankedAnswers

Float64 = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Swept:
    """A network at thresholds behind some ranks.

    Attributes:
        ranks: [points] up to which confidences have left.
        leaving: [exits, points] images that leave at each, the final one last.
        right: [points] right answers.
        lost: [points] wrong ones where static is right.
    """

    ranks: Ints
    leaving: Ints
    right: Ints
    lost: Ints


def sweep(network: SubsetNetwork, answers: RankedAnswers, blocks: Bools) -> Swept:
    """Return a network behind every rank at which an image moves in the ``blocks`` [blocks] marked."""
    node, count = network.node, len(network.node.kept)
    marked = np.concatenate([[False], blocks, [False]])
    some = np.flatnonzero(np.any([marked[seen.block] for seen in node.answers], axis=0))
    rank = np.stack([seen.rank[some] for seen in node.answers])
    block = np.stack([seen.block[some] for seen in node.answers])
    kinds = np.stack([seen.kind[some] for seen in node.answers])
    # An image is at an exit from its own rank there up to the least of those before.
    until = np.full(rank.shape, answers.count)
    until_block = np.full(rank.shape, len(blocks) + 1)
    np.minimum.accumulate(rank[:-1], axis=0, out=until[1:])
    np.minimum.accumulate(block[:-1], axis=0, out=until_block[1:])
    stays = rank < until
    comes, goes = stays & marked[block], stays & marked[until_block]
    ranks = np.sort(rank[comes])
    ranks = ranks[np.concatenate([[True], ranks[1:] > ranks[:-1]])] if len(ranks) else ranks
    exits, last = np.arange(count)[:, None], network.answers[some]
    moved = np.zeros((count, len(ranks)), np.int64)
    changed = np.zeros((2, len(ranks)), np.int64)
    gains = (kinds >> 1) - (last >> 1), (kinds == 1).astype(np.int64) - (last == 1)
    for sign, which, at in ((1, comes, rank), (-1, goes, until)):
        place = np.searchsorted(ranks, at[which])
        cells = np.broadcast_to(exits, which.shape)[which] * len(ranks) + place
        moved += sign * np.bincount(cells, minlength=moved.size).reshape(moved.shape)
        for what, gain in enumerate(gains):
            added = np.bincount(place, gain[which], len(ranks))
            changed[what] += sign * np.rint(added).astype(np.int64)
    edge = np.searchsorted(answers.edges, ranks, side="right") - 1
    first = np.searchsorted(edge, edge, side="left")
    leaving = _from_edges(moved, first) + np.stack(node.leaving)[:, edge]
    right, lost = _from_edges(changed, first)
    final = network.left[edge] - _from_edges(moved.sum(axis=0)[None], first)
    return Swept(
        ranks, np.concatenate([leaving, final]), network.right[edge] + right, network.lost[edge] + lost
    )


def _from_edges(moved: Ints, first: Ints) -> Ints:
    """Return sums along the last axis, each from the first place of its block."""
    sums = np.concatenate([np.zeros((len(moved), 1), np.int64), moved.cumsum(axis=1)], axis=1)
    since: Ints = sums[:, 1:] - sums[:, first]
    return since
