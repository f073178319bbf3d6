"""What may be assumed of rows on DIANA, with a source or an argument for each, before any is combined."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from targets.diana.fused import FusedRun
from targets.diana.target import DianaTarget
from tools.experiments.diana_fused_segment import ROWS, Found, Rows, fastest, segment

# The variant with a 1x1 convolution on the skip, on silicon, fused row by row.
MEASURED_CYCLES = 812_000


@dataclass(frozen=True)
class Assumed:
    """One value of an assumption.

    Attributes:
        name: In tables.
        why: Its source, or the argument for it.
        defensible: It is combined with the others; else ``why`` says what speaks against it.
    """

    name: str
    why: str
    defensible: bool = True


# Of each, the first is taken.
ASSUMPTIONS: Mapping[str, tuple[Assumed, ...]] = {
    "core of the 1x1": (
        Assumed("analog", "Stream's description of DIANA: all convolutions but the first on the analog core"),
        Assumed("digital", "not known of the measured run; its weights fit the digital weight memory"),
    ),
    "digital core": (
        Assumed(
            "MATCH, words",
            "MATCH fetches each row of the windows in 2 cycles, two words of 16 bytes; 16 windows of 7 "
            "columns span 22 columns at stride 1 and 37 at stride 2, which are three words",
        ),
        Assumed("MATCH", "as published: 2 cycles whatever the stride"),
        Assumed("ODiMO", "as published: the array at its peak, and an eighth of a cycle per value moved"),
    ),
    "host": (
        Assumed("x1", "300 cycles per tile, the target's placeholder"),
        Assumed("x0", "the next tile is set up while one runs, as its registers may allow"),
        Assumed("x4", "a placeholder has no source: the target's own range, up to four times as much"),
    ),
    "rows per tile": (
        Assumed("1", "Stream's description: fused row by row, along OY"),
        Assumed("best", "a run made by hand takes the heights that suit it, of 1, 2, 4 and 8"),
    ),
    "analog columns": (
        Assumed("2", "the most with which all of these layers stay in the array (its size, blocks, mapping)"),
        Assumed("1", "the mapping as it is, without copies of kernels side by side"),
    ),
    "first loads": (
        Assumed("counted", "nothing is in the weight memories before, as the target takes it"),
        Assumed("in place", "a measured run may follow another, whose weights are there"),
    ),
    "cores": (
        Assumed(
            "side by side", "DIANA's authors: successive layers on both cores at the same time (abstract)"
        ),
        Assumed(
            "one by one",
            "MATCH's flow waits for each job; a run that keeps both cores at work on rows cannot",
            defensible=False,
        ),
    ),
}  # fmt: skip

Choice = dict[str, str]
TAKEN: Choice = {name: values[0].name for name, values in ASSUMPTIONS.items()}
# What was predicted before the measurement was looked at.
BEFORE: Choice = TAKEN | {"digital core": "MATCH", "rows per tile": "best"}
_HOSTS = {"x0": 0.0, "x1": 1.0, "x4": 4.0}


def combinations() -> Iterator[Choice]:
    """Yield all combinations of defensible values, that taken first."""
    names = list(ASSUMPTIONS)
    values = [[value.name for value in ASSUMPTIONS[name] if value.defensible] for name in names]
    for chosen in itertools.product(*values):
        yield dict(zip(names, chosen, strict=True))


def found_for(choice: Choice) -> Found:
    """Return the fastest schedule under a choice of all assumptions."""
    model = "odimo" if choice["digital core"] == "ODiMO" else "match"
    run = FusedRun(
        DianaTarget(model, _HOSTS[choice["host"]]),
        int(choice["analog columns"]),
        host_waits=choice["cores"] == "one by one",
        counts_stride=choice["digital core"] == "MATCH, words",
    )
    heights = [Rows(1, 1)]
    if choice["rows per tile"] == "best":
        heights = [Rows(stem, others) for others in ROWS for stem in ROWS]
    loaded = choice["first loads"] == "in place"
    return fastest(run, segment(choice["core of the 1x1"]), heights, loaded)


def cycles_of(choice: Choice) -> int:
    """Return the predicted cycles under a choice of all assumptions."""
    return found_for(choice).schedule.latency_cycles
