"""A link between device and server: what a payload takes on it, in seconds and joules.

All expectations are linear in the seconds that a bit takes, ``1 / rate``: so plans can be compared for all
rates at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eecompile.runtime.split.link_speed import ANSWER_BYTES, SEGMENT_BYTES, SEGMENT_HEAD_BYTES
from eecompile.split.radios import Radio

Float64 = NDArray[np.float64]

_MOST_ROUNDS = 200


@dataclass(frozen=True)
class Linear:
    """Amounts of N images that grow with the seconds of a bit: ``fixed + per_bit_s * seconds``, [N] each."""

    fixed: Float64
    per_bit_s: Float64

    def at(self, bit_s: float) -> Float64:
        """Return the amounts where a bit takes ``bit_s`` seconds."""
        return self.fixed + self.per_bit_s * bit_s


@dataclass(frozen=True)
class SplitLink:
    """A link, but for its rate.

    Attributes:
        rtt_s: Seconds there and back of an empty segment.
        loss: Probability that a segment is lost and sent again, 0 to below 1; each is lost independently.
        answer_bytes: What the server sends back, with the head of HTTP.
    """

    rtt_s: float
    loss: float = 0.0
    answer_bytes: int = ANSWER_BYTES

    def __post_init__(self) -> None:
        """Refuse what is no link.

        Raises:
            ValueError: Times or shares that cannot be.
        """
        if not (0 <= self.rtt_s < np.inf and 0 <= self.loss < 1):
            raise ValueError("a link has a round trip of 0 s or more, and loses less than all")

    def segments(self, request_bytes: Float64) -> Float64:
        """Return how many segments requests [N] fill."""
        return np.ceil(request_bytes / SEGMENT_BYTES)

    def wire_bits(self, some_bytes: Float64) -> Float64:
        """Return the bits of messages [N] with the heads of their segments, each sent once."""
        return 8 * (some_bytes + self.segments(some_bytes) * SEGMENT_HEAD_BYTES)

    def latency(self, request_bytes: Float64, server_s: float) -> Linear:
        """Return the expected seconds until the answer is there.

        A lost segment is sent again a round trip later, in rounds, until none is missing; what is sent again
        takes its time, too. Slow start is not counted: the connection is kept.
        """
        rounds = 1 + self._further_rounds(request_bytes)
        answer = self.wire_bits(np.array([float(self.answer_bytes)]))
        bits = (self.wire_bits(request_bytes) + answer) / (1 - self.loss)
        return Linear(self.rtt_s * rounds + server_s, bits)

    def energy(self, request_bytes: Float64, server_s: float, radio: Radio, idle_w: float) -> Linear:
        """Return the expected joules of the device from the first byte sent to the answer."""
        sent = self.wire_bits(request_bytes) / (1 - self.loss)
        got = self.wire_bits(np.array([float(self.answer_bytes)])) / (1 - self.loss)
        waits = self.latency(request_bytes, server_s).fixed
        fixed = radio.send_j_per_bit * sent + radio.receive_j_per_bit * got + idle_w * waits
        return Linear(fixed, radio.send_w * sent + radio.receive_w * got)

    def quantile_latency(
        self, request_bytes: float, server_s: float, bit_s: float, shares: Float64
    ) -> Float64:
        """Return the seconds within which shares [K] of requests of one size are answered.

        Rounds are drawn; bits that are sent again are counted at their mean.
        """
        line = self.latency(np.array([request_bytes]), server_s)
        mean = 1 + self._further_rounds(np.array([request_bytes]))[0]
        base = float(line.at(bit_s)[0]) - self.rtt_s * mean
        if not self.loss:
            return np.full(len(shares), base + self.rtt_s)
        count = float(self.segments(np.array([request_bytes]))[0]) + 1
        # all segments there after r rounds: (1 - loss^r)^count >= share
        needed = np.log1p(-(np.minimum(shares, 1 - 1e-12) ** (1 / count))) / np.log(self.loss)
        found: Float64 = base + self.rtt_s * np.maximum(1.0, np.ceil(needed - 1e-12))
        return found

    def _further_rounds(self, request_bytes: Float64) -> Float64:
        """Return the expected rounds beyond the first: of all segments, the answer's too, the slowest."""
        count = self.segments(request_bytes) + 1
        total = np.zeros_like(count)
        for number in range(1, _MOST_ROUNDS):
            missing = -np.expm1(count * np.log1p(-(self.loss**number)))
            total += missing
            if (missing < 1e-12).all():
                break
        return total
