"""When requests arrive: cameras, Poisson, bursts, or a recorded trace."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from passes.errors import InputError, did_you_mean

Times = NDArray[np.float64]
# What numpy draws by: several numbers, so that streams of one seed draw apart.
Seed = int | tuple[int, ...]
EXAMPLES = "periodic:30, poisson:120, mmpp:20,200,1.5,.5 or trace:FILE.csv"


class Arrivals(Protocol):
    """A pattern of arrivals."""

    def times(self, count: int, seed: Seed) -> Times:
        """Return when requests arrive, seconds, sorted, [count] (a trace may have fewer).

        Raises:
            InputError: A file that is no trace.
        """


class _Positive:
    """A pattern whose numbers are all above 0."""

    def __post_init__(self) -> None:
        """Check them; raises InputError."""
        for name, value in vars(self).items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                raise InputError(f"{type(self).__name__}: `{name}` cannot be {value!r}", "a number above 0")


@dataclass(frozen=True)
class Periodic(_Positive):
    """One request each 1 / ``rate`` seconds, as a camera has it; the seed is the phase.

    Raises:
        InputError: The rate is not above 0.
    """

    rate: float

    def times(self, count: int, seed: Seed) -> Times:
        """Return seconds, [count]."""
        start = np.random.default_rng(seed).random()
        return np.asarray((start + np.arange(count)) / self.rate, np.float64)


@dataclass(frozen=True)
class Poisson(_Positive):
    """Independent requests, ``rate`` per second on average.

    Raises:
        InputError: The rate is not above 0.
    """

    rate: float

    def times(self, count: int, seed: Seed) -> Times:
        """Return seconds, [count]."""
        return np.cumsum(np.random.default_rng(seed).exponential(1 / self.rate, count))


@dataclass(frozen=True)
class Bursts(_Positive):
    """Poisson of two rates (MMPP): ``low`` for ``calm_s`` seconds on average, then ``high`` for ``burst_s``.

    Raises:
        InputError: A number is not above 0.
    """

    low: float
    high: float
    calm_s: float
    burst_s: float

    def times(self, count: int, seed: Seed) -> Times:
        """Return seconds, [count]."""
        draw = np.random.default_rng(seed)
        found: list[Times] = []
        total, start, busy = 0, 0.0, False
        while total < count:
            length = draw.exponential(self.burst_s if busy else self.calm_s)
            inside = draw.poisson((self.high if busy else self.low) * length)
            found.append(start + np.sort(draw.random(inside)) * length)
            total, start, busy = total + inside, start + length, not busy
        return np.concatenate(found)[:count]


@dataclass(frozen=True)
class Trace:
    """Recorded arrivals: a CSV file with seconds in its first column, with a heading or not."""

    path: Path

    def times(self, count: int, seed: Seed) -> Times:
        """Return seconds from the first arrival; no seed changes them.

        Raises:
            InputError: No such file, or no seconds in order.
        """
        del seed
        if not self.path.is_file():
            raise InputError(f"no such file: {self.path}", "a CSV file with seconds in its first column")
        with self.path.open(newline="") as lines:
            rows = [row for row in csv.reader(lines) if row and row[0].strip()]
        found = []
        for number, row in enumerate(rows, 1):
            try:
                found.append(float(row[0]))
            except ValueError:
                if number > 1:
                    raise InputError(f"{self.path}, row {number}: '{row[0]}' is no time in seconds") from None
        times = np.array(found, np.float64)
        if len(times) < 2 or not np.isfinite(times).all() or (np.diff(times) < 0).any():
            raise InputError(f"{self.path}: its first column is not seconds in order", "two at least, sorted")
        return np.asarray(times[:count] - times[0], np.float64)


def arrivals_of(text: str) -> Arrivals:
    """Read ``periodic:RATE``, ``poisson:RATE``, ``mmpp:LOW,HIGH,CALM,BURST`` or ``trace:FILE.csv``.

    Rates are requests per second, CALM and BURST seconds.

    Raises:
        InputError: The text is none of these.
    """
    kind, _, rest = text.partition(":")
    kinds = {"periodic": (Periodic, 1), "poisson": (Poisson, 1), "mmpp": (Bursts, 4)}
    if kind == "trace" and rest:
        return Trace(Path(rest))
    if kind not in kinds or not rest:
        raise InputError(
            f"arrivals cannot be '{text}'", f"{did_you_mean(kind, [*kinds, 'trace'])}; {EXAMPLES}"
        )
    made, count = kinds[kind]
    try:
        numbers = [float(part) for part in rest.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        if ":" in rest:
            raise InputError(
                f"arrivals '{text}' are several",
                "give each with an option of its own, in the order of the runs",
            )
        raise InputError(f"arrivals '{text}': {kind} takes {count} number{'s' * (count > 1)}", EXAMPLES)
    found: Arrivals = made(*numbers)
    return found


def rate_of(times: Times) -> float:
    """Return the mean rate, requests per second."""
    return len(times) / float(times[-1])
