"""What policies know of all requests of a simulation, worked out at once for each rung of thresholds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from eecompile.serving.crowd import Crowd
from eecompile.serving.dispatch import Ticket
from eecompile.serving.moving.adapting import Adapting
from eecompile.serving.moving.giving_way import GivingWay
from eecompile.serving.order.fewest_late import FewestLateQueue
from eecompile.serving.order.queues import KeyQueue, LiveQueue
from eecompile.serving.outlook import Outlook
from eecompile.serving.policies import Policy
from eecompile.serving.waiting import Waiting

Values = list[list[float]]


class KnownBefore:
    """What is known of each stage and request, at the rung that holds: the only one where none moves.

    Args:
        crowd: Requests and networks.
        policy: Who is next.
        moving: Thresholds that move, if any.
    """

    def __init__(self, crowd: Crowd, policy: Policy, moving: GivingWay | Adapting | None) -> None:
        self._crowd, self._policy, self._moving = crowd, policy, moving
        self._found: dict[int, tuple[Crowd, Waiting, Values, Values]] = {}
        self._rung = -1
        self.look()

    def look(self) -> bool:
        """Look which rung holds; return whether it is another one than before."""
        rung = 0 if self._moving is None else self._moving.rung
        if rung == self._rung:
            return False
        self._rung = rung
        if rung not in self._found:
            crowd = self._crowd if self._moving is None else self._moving.known_at(rung, self._crowd)
            waiting = crowd.waiting()
            self._found[rung] = (crowd, waiting, *_values(self._policy, waiting))
        self._crowd_now, self._waiting, self._keys, self._latest = self._found[rung]
        return True

    def values(self) -> tuple[Values, Values]:
        """Return of each stage and request its key, and until when it may begin, now."""
        self.look()
        return self._keys, self._latest

    @property
    def outlooks(self) -> Sequence[Outlook]:
        """What val tells of each network."""
        return self._crowd_now.outlooks

    def of(self, ticket: Ticket) -> tuple[float, float]:
        """Return the key of a ticket, and until when it may begin."""
        return self._keys[ticket.stage][ticket.number], self._latest[ticket.stage][ticket.number]

    def gather(self, groups: Sequence[list[Ticket]]) -> Waiting:
        """Return what policies may look at, of the first of each group."""
        return self.at([one.stage for one, *_ in groups], [one.number for one, *_ in groups])

    def at(self, stages: Sequence[int], numbers: Sequence[int]) -> Waiting:
        """Return what policies may look at, of requests that wait for stages."""
        return self._waiting.at((stages, numbers))

    def queue(self, at: list[int]) -> KeyQueue | LiveQueue | FewestLateQueue:
        """Return an empty queue; ``at``: the stages for which requests wait, while time goes by."""
        if self._policy.rank is None:
            return KeyQueue() if self._policy.latest is None else FewestLateQueue()
        return LiveQueue(self._policy.rank, lambda numbers: self.at([at[one] for one in numbers], numbers))


def _values(policy: Policy, waiting: Waiting) -> tuple[Values, Values]:
    always = [[math.inf] * waiting.arrival_s.shape[1]] * waiting.arrival_s.shape[0]
    if policy.key is None:
        return always, always
    return policy.key(waiting).tolist(), always if policy.latest is None else policy.latest(waiting).tolist()
