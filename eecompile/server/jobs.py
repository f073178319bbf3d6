"""Requests inside of the server: one answer for all images of each."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from eecompile.server.contract import Answered, Known, ServedModel
from eecompile.serving.dispatch import Ticket
from eecompile.serving.outlook import Outlook
from eecompile.serving.service import ServiceTime


@dataclass(eq=False)
class ModelSlot:
    """A network that the engine runs; a network that is loaded again gets another.

    Attributes:
        number: Of the slots.
        name: As clients call it.
        exits: Names of its exits.
        model: What runs; ``None`` after it was taken out of service and its last image left.
        service: Seconds of its stages.
        outlook: What its past tells.
        waiting: Images that are in.
        retired: Nothing more comes to it.
    """

    number: int
    name: str
    exits: Sequence[str]
    model: ServedModel | None
    service: ServiceTime
    outlook: Outlook
    waiting: int = 0
    retired: bool = False


@dataclass(eq=False)
class RequestJob:
    """A request that was taken.

    Attributes:
        slot: Where its images run.
        arrival_s: Seconds, by the clock of the engine.
        answers: One per image, in their order.
        left: Images without an answer.
        over: Answered, failed, or its client is gone: what still waits of it is not run.
        done: The answers, or why there are none.
    """

    slot: ModelSlot
    arrival_s: float
    answers: list[Answered | None]
    left: int
    over: bool = False
    done: Future[list[Answered]] = field(default_factory=Future)

    def __post_init__(self) -> None:
        """Let nobody cancel the future: who gives up calls `StageEngine.drop`."""
        self.done.set_running_or_notify_cancel()

    def finish(self) -> None:
        """Hand the answers over."""
        self.done.set_result([answer for answer in self.answers if answer is not None])


@dataclass(eq=False)
class WaitingImage:
    """An image that waits for a stage."""

    ticket: Ticket
    job: RequestJob
    row: int
    known: Known
