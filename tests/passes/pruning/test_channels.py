"""Channels that are one, and channels that stay."""

from __future__ import annotations

import numpy as np

from passes.pruning.channels import Channels


def test_what_is_joined_is_one_and_stays_together() -> None:
    channels = Channels()
    a, b, c = channels.fresh(3), channels.fresh(3), channels.fresh(3)
    channels.freeze(c[1:2], "first")
    channels.freeze(c[1:2], "second")
    channels.join(a, b)
    channels.join(b[:2], c[:2])
    assert channels.roots(np.concatenate([b, c])).tolist() == [0, 1, 2, 0, 1, 8]
    assert [channels.why(i) for i in (0, 1, 4, 2, 8)] == [None, "first", "first", None, None]
    channels.join(a[:1], a[1:2])  # the frozen one is the larger root of the two
    assert channels.why(6) == "first"
