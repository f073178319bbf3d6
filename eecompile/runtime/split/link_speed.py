"""How fast a link is, by what was sent over it."""

from __future__ import annotations

import math
from collections.abc import Callable

SEGMENT_BYTES = 1460
"""Of a TCP segment in a frame of 1500 bytes."""
SEGMENT_HEAD_BYTES = 40
"""IPv4 and TCP without options, on each segment."""
ANSWER_BYTES = 400
"""What a server sends back, with the head of HTTP: ten logits are in 360."""
WEIGHT = 0.3
"""Of the newest measurement."""
FAILURES = 2
"""In a row, after which the link counts as down."""


def wire_bits(size: int) -> int:
    """Return the bits of a message of so many bytes with the heads of its segments."""
    return 8 * (size + -(-size // SEGMENT_BYTES) * SEGMENT_HEAD_BYTES)


class LinkSpeed:
    """Seconds of a bit and of a round trip, from exchanges; the mean of logarithms forgets slowly.

    Args:
        rtt_s: Seconds of a round trip, until one is measured and set.
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

    def answered(self, seconds: float, server_s: float, wire_bits: float) -> None:
        """Take an exchange into account: what is no round trip and no work of the server is the bits.

        Args:
            seconds: From the first byte sent to the whole answer.
            server_s: What the server needs.
            wire_bits: Of both messages, as `wire_bits` counts them.
        """
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
