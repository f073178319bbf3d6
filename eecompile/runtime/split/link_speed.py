"""How fast a link is, by what was sent over it."""

from __future__ import annotations

import math
from collections.abc import Callable

WEIGHT = 0.3
"""Of the newest measurement."""
FAILURES = 2
"""In a row, after which the link counts as down."""


class LinkSpeed:
    """Seconds of a bit and of a round trip, from exchanges; the mean of logarithms forgets slowly.

    Args:
        rtt_s: Seconds of a round trip until one was measured.
        retry_s: Seconds for which nothing is sent once the link is down, or too slow for any plan that sends.
        clock: Seconds that pass.
    """

    def __init__(self, rtt_s: float, retry_s: float, clock: Callable[[], float]) -> None:
        self.rtt_s, self._retry_s, self._clock = rtt_s, retry_s, clock
        self.bit_s: float | None = None
        self._failed = 0
        self._last_sent = -math.inf

    @property
    def down(self) -> bool:
        """Whether the last exchanges all failed."""
        return self._failed >= FAILURES

    @property
    def may_try(self) -> bool:
        """Whether enough time is over to find out again."""
        return self._clock() - self._last_sent >= self._retry_s

    def measured_rtt(self, seconds: float) -> None:
        """Take a round trip into account: the least of those measured, which drifts up slowly."""
        self.rtt_s = min(seconds, self.rtt_s * 1.1) if self._last_sent > -math.inf else seconds

    def answered(self, seconds: float, server_s: float, wire_bits: float) -> None:
        """Take an exchange into account: what is no round trip and no work of the server is the bits."""
        self._failed, self._last_sent = 0, self._clock()
        now = max(seconds - self.rtt_s - server_s, 1e-3 * seconds) / wire_bits
        self.bit_s = (
            now
            if self.bit_s is None
            else math.exp((1 - WEIGHT) * math.log(self.bit_s) + WEIGHT * math.log(now))
        )

    def failed(self) -> None:
        """Take an exchange without an answer into account."""
        self._failed += 1
        self._last_sent = self._clock()
