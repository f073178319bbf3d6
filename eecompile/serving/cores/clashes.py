"""When a stage may begin beside another one, so that no core, link or port is in use by both.

The schedule of each is kept as it is and moved in time as a whole. Offsets at which two meet are a list of
spans, found once for each pair: a reservation table's collision vector (Davidson 1971), in continuous time.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from eecompile.serving.cores.use import CoreUse, Spans

# Offsets are sums of seconds: by less than this share of both stages, nobody meets.
ROUNDING = 1e-9
# Pairs that are kept: of ten networks of ten stages each, without batches.
MOST = 10_000


class Clashes:
    """Seconds behind the begin of one stage at which another cannot begin."""

    def __init__(self, first: CoreUse, then: CoreUse) -> None:
        """Find them for ``then`` behind ``first``."""
        self._slack = ROUNDING * (first.seconds + then.seconds)
        names = sorted(first.busy.keys() & then.busy.keys())
        met = [_met(first.busy[name], then.busy[name], self._slack) for name in names]
        begin, end = np.concatenate([np.empty((0, 2)), *met]).T
        order = np.argsort(begin)
        begin, end = begin[order], np.maximum.accumulate(end[order])
        apart = np.flatnonzero(begin[1:] >= end[:-1])
        self._from: list[float] = begin[[0, *(apart + 1)]].tolist() if len(begin) else []
        self._to: list[float] = end[[*apart, -1]].tolist() if len(end) else []

    def free(self, offset: float) -> float:
        """Return the first offset from ``offset`` on, not negative, at which they do not meet."""
        at = bisect_right(self._from, offset) - 1
        return offset if at < 0 or offset >= self._to[at] - self._slack else self._to[at]


@lru_cache(maxsize=MOST)
def clashes(first: CoreUse, then: CoreUse) -> Clashes:
    """Return the clashes of ``then`` behind ``first``, which many simulations of a network ask for."""
    return Clashes(first, then)


def _met(first: Spans, then: Spans, slack: float) -> NDArray[np.float64]:
    """Return the offsets, longer than ``slack`` and not all negative, at which spans of both meet: [N, 2]."""
    one, other = (np.array(spans, np.float64).reshape(-1, 2) for spans in (first, then))
    begin = (one[:, :1] - other[:, 1]).ravel() + slack
    end = (one[:, 1:] - other[:, 0]).ravel()
    kept = (end > slack) & (end - begin > slack)
    return np.stack([begin[kept], end[kept]], axis=1)
