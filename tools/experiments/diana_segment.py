"""Cycles of the first segment of ResNet18 on DIANA, fused row by row: predicted, and measured.

    python -m tools.experiments.diana_segment            prints all of it, takes a few minutes
    python -m tools.experiments.diana_segment --write    and writes targets/diana/validation.yaml

Prints the assumptions, what each combination of them predicts for the variant that was measured, what each
contributes, and what keeps each core busy; and what the mode `rows` of the target makes of the segment.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping, Sequence

from targets.diana import power
from targets.diana.target import DianaTarget
from targets.evaluation.scheduling import Wishes, schedule_workload
from targets.objective import EDP
from targets.schedule.result import Schedule
from tools.experiments.diana_assumptions import (
    ASSUMPTIONS,
    BEFORE,
    MEASURED_CYCLES,
    TAKEN,
    Choice,
    combinations,
    found_for,
)
from tools.experiments.diana_fused_segment import Found, segment
from tools.experiments.diana_validation import FILE, validation_text

NEAR = 0.05
SKIPS = ("analog", "digital")
WIDTH = 48
LINE = 118


def key_of(choice: Choice) -> tuple[str, ...]:
    """Return a choice as something to look up by."""
    return tuple(choice[name] for name in ASSUMPTIONS)


class Predictions:
    """Schedules under choices of the assumptions, each found once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, ...], Found] = {}

    def found(self, choice: Choice) -> Found:
        """Return the schedule under a choice."""
        key = key_of(choice)
        if key not in self._found:
            self._found[key] = found_for(choice)
        return self._found[key]

    def cycles(self, choice: Choice) -> int:
        """Return its cycles."""
        return self.found(choice).schedule.latency_cycles


def near(cycles: int) -> bool:
    """Whether a prediction is within 5 % of what was measured."""
    return abs(cycles / MEASURED_CYCLES - 1) <= NEAR


def show_assumptions() -> None:
    """Print each value with what speaks for it; the first of each is taken."""
    for name, values in ASSUMPTIONS.items():
        print(f"{name}:")
        for number, value in enumerate(values):
            mark = "taken" if number == 0 else "" if value.defensible else "left out"
            first = f"  {value.name:<13}{mark:<9}"
            print(textwrap.fill(value.why, LINE, initial_indent=first, subsequent_indent=" " * len(first)))


def show_combinations(predictions: Predictions) -> Mapping[tuple[str, ...], int]:
    """Print all defensible combinations, * where within 5 % of the measured; return their cycles."""
    found = {key_of(choice): predictions.cycles(choice) for choice in combinations()}
    names = list(ASSUMPTIONS)
    rows = list(dict.fromkeys(key[:3] for key in found))
    columns = list(dict.fromkeys(key[3:] for key in found))
    print(f"lines: {', '.join(names[:3])}; columns: {', '.join(names[3:6])} (c counted, i in place)")
    titles = (f"{rows}/{array}/{loads[0]} " for rows, array, loads, *_ in columns)
    print(" " * 26 + "".join(f"{title:>12}" for title in titles))
    for row in rows:
        cells = (found[(*row, *column)] for column in columns)
        print(f"{', '.join(row):<26}" + "".join(f"{c:>11,}{'*' if near(c) else ' '}" for c in cells))
    close = sum(near(cycles) for cycles in found.values())
    taken = found[key_of(TAKEN)]
    print(f"\n{len(found)} combinations, {close} within {NEAR:.0%} of {MEASURED_CYCLES:,} (*)")
    for skip in SKIPS:
        own = [cycles for key, cycles in found.items() if key[0] == skip]
        count = sum(map(near, own))
        print(f"  1x1 {skip}: {min(own):,} to {max(own):,}, {count} of {len(own)} within {NEAR:.0%}")
    print(f"taken: {taken:,}, {taken / MEASURED_CYCLES - 1:+.1%}; ", end="")
    low, high = min(found.values()) / taken, max(found.values()) / taken
    print(f"all of them are {low:.3f} to {high:.3f} times that")
    return found


# What is changed in the combination that is taken, one thing at a time.
CHANGES: Sequence[tuple[str, Choice]] = (
    ("cores and DMA one after another", {"cores": "one by one"}),
    ("host starts cost nothing", {"host": "x0"}),
    ("host starts cost four times as much", {"host": "x4"}),
    ("first weights in place", {"first loads": "in place"}),
    ("two words per row whatever the stride", {"digital core": "MATCH"}),
    ("digital core by ODiMO", {"digital core": "ODiMO"}),
    ("the best heights of tiles", {"rows per tile": "best"}),
    ("one analog column at once", {"analog columns": "1"}),
)


def show_contributions(predictions: Predictions) -> None:
    """Print what each assumption contributes, for both cores that may have run the 1x1."""
    print(f"{'':<{WIDTH}}" + "".join(f"{f'1x1 {skip}':>16}{'measured less':>15}" for skip in SKIPS))

    def line(title: str, changed: Choice, base: Choice, difference: bool) -> None:
        cells = ""
        for skip in SKIPS:
            whole = predictions.cycles(base | {"core of the 1x1": skip})
            cycles = predictions.cycles(base | {"core of the 1x1": skip} | changed)
            shown = f"{cycles - whole:+,}" if difference else f"{cycles:,}"
            cells += f"{shown:>16}{MEASURED_CYCLES - cycles:>+15,}"
        print(f"{title:<{WIDTH}}{cells}")

    line("predicted before the measurement was looked at", {}, BEFORE, difference=False)
    line("  one row per tile", {"rows per tile": "1"}, BEFORE, difference=True)
    line("  three words per row at stride 2", {"digital core": "MATCH, words"}, BEFORE, difference=True)
    line("as taken", {}, TAKEN, difference=False)
    for title, changed in CHANGES:
        line(f"  {title}", changed, TAKEN, difference=True)


def show_work(predictions: Predictions) -> None:
    """Print what keeps each core busy, and what the segment takes of energy, not measured."""
    found = [predictions.found(TAKEN | {"core of the 1x1": skip}) for skip in SKIPS]
    print(f"{'':<{WIDTH}}" + "".join(f"{f'1x1 {skip}':>16}" for skip in SKIPS))
    for name in ("digital", "analog", "pooling", "simd", "dma", "host"):
        print(f"{f'{name} busy':<{WIDTH}}" + "".join(f"{one.busy_cycles[name]:>16,}" for one in found))
    print(f"{'bytes in L1 at most':<{WIDTH}}" + "".join(f"{one.l1_bytes:>16,}" for one in found))
    print(f"{'energy, nJ':<{WIDTH}}" + "".join(f"{energy_pj(one.schedule) / 1e3:>16,.0f}" for one in found))
    added = (sum(run.cost.energy_pj for run in one.schedule.runs) for one in found)
    print(f"{'  if powers of cores added up':<{WIDTH}}" + "".join(f"{pj / 1e3:>16,.0f}" for pj in added))


def energy_pj(schedule: Schedule) -> float:
    """Return the energy of the chip over a schedule, in pJ."""
    return power.settled(DianaTarget().arch, schedule).energy_pj


def show_mode() -> None:
    """Print what `--schedule rows` makes of the segment, by the same assumptions with heights of its own."""
    for skip in SKIPS:
        planned = schedule_workload(segment(skip), DianaTarget(), EDP, wishes=Wishes("rows"))
        groups = [len(step.layers) for step in planned.plan]
        tiles = sorted({choice.cut.parts for step in planned.plan for choice in step.choices})
        print(
            f"1x1 {skip}: {planned.schedule.latency_cycles:,} cycles, "
            f"{planned.schedule.energy_pj / 1e3:,.0f} nJ; layers per group {groups}, tiles per layer {tiles}"
        )


def main(write: bool = False) -> None:
    """Print all, and write the validation if asked to."""
    predictions = Predictions()
    print("Assumptions\n")
    show_assumptions()
    print("\nCombinations, in cycles\n")
    found = show_combinations(predictions)
    print("\nContributions, in cycles\n")
    show_contributions(predictions)
    print("\nAs taken\n")
    show_work(predictions)
    print("\nThe mode `rows` of the target, for least energy-delay product\n")
    show_mode()
    if write:
        cycles = found.values()
        text = validation_text(found[key_of(TAKEN)], min(cycles), max(cycles), len(found))
        FILE.write_text(text, encoding="utf-8")
        print(f"\nwritten: {FILE.name}")


if __name__ == "__main__":
    main("--write" in sys.argv[1:])
