"""What happened to each request."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ran:
    """A stage that ran: seconds from ``begin_s`` to ``end_s``, for ``requests``, of a network."""

    begin_s: float
    end_s: float
    model: int
    stage: int
    requests: tuple[int, ...]


@dataclass(frozen=True)
class ServingOutcome:
    """What a simulation came to.

    Attributes:
        finish_s: [N] float64 seconds at which each request left.
        busy_s: Seconds in which anything of the accelerator worked, loads included.
        energy_j: Of all stages and loads.
        loads: How often weights were brought.
        interruptions: How often a request waited between two of its stages.
        ran: The stages that ran, where they were asked for.
        spills: How often an interrupted request was moved to the outer store for lack of room on chip.
        refused: How often a request went on while others waited, for lack of room for what it would leave.
        peak_bits: The most that interrupted requests had in the memories at a time.
        used_s: Seconds in which each core, link and port was in use, by name; empty where that is not known.
    """

    finish_s: NDArray[np.float64]
    busy_s: float
    energy_j: float
    loads: int
    interruptions: int
    ran: list[Ran] = field(default_factory=list)
    spills: int = 0
    refused: int = 0
    peak_bits: int = 0
    used_s: dict[str, float] = field(default_factory=dict)
